"""Writes the model card: README.md of the model folder, with the hub's metadata at the top.

The metadata follow https://huggingface.co/docs/hub/model-cards#model-card-metadata. Only the last part of a folder's path
appears, because paths mean nothing on other machines; data is identified by the sha256 of train.parquet. The card does not depend
on time or machine.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from gra.fileio import sha256_file
from gra.labels import MARK, before_training, quantized
from gra.labels import simulated as labelled
from gra.train.data import mixture, rows
from gra.train.report.files import folder_name
from gra.train.settings import TrainSettings

LICENCES = ("license", "licence")
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "deepspeed", "tokenizers")
NOT_DECISIVE = {
    "name",
    "save_steps",
    "log_steps",
    "eval_steps",
    "sharding",
    "check_ends",
}  # keys of `sft` that change no weight
METHODS = {"full": "full-parameter", "lora": "LoRA, merged", "qlora": "QLoRA (4-bit base), merged"}


def simulated(settings: TrainSettings, inputs: dict[str, Path]) -> str | None:
    """Return the label that says why the trained model counts as simulated, that is, made with simulated models. Return
    None if it does not.

    The trained model takes over the label of an input folder or of the folder `student.model`.
    """
    sources = dict(inputs)
    if "student" not in inputs and settings.student.model is not None:
        sources["student.model"] = Path(settings.student.model).expanduser()
    found = {name: path for name, path in sources.items() if labelled([path])}
    for path in found.values():
        if (path / MARK).is_file():
            return (path / MARK).read_text(encoding="utf-8").strip()
    return f"made from simulated inputs: {', '.join(found)}" if found else None


def few_bits(settings: TrainSettings, inputs: dict[str, Path]) -> str | None:
    """Return the label that says how the student's weights were quantised before the training. Return None if they were
    not."""
    if "student" in inputs:
        return quantized([inputs["student"]])
    return None if settings.student.model is None else quantized([Path(settings.student.model).expanduser()])


def data_licences(folders: list[Path]) -> list[str]:
    """Return the distinct licences in the YAML headers of the data folders' cards. Folders without a licence are left out."""
    return list(dict.fromkeys(found for folder in folders if (found := _licence(folder)) is not None))


def _licence(folder: Path) -> str | None:
    import yaml

    try:
        parts = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
        head = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    found = [head[key] for key in LICENCES if key in head] if isinstance(head, dict) else []
    return str(found[0]) if found else None


def card(
    settings: TrainSettings, base: str, inputs: dict[str, Path], account: dict[str, Any], metrics: dict[str, Any]
) -> str:
    """Return the text of the model card.

    `base`: the hub id or folder of the student. `account`: the counts of rows and tokens, as in metrics.json.
    `metrics`: the metrics of the training, such as steps and losses.
    """
    sources = mixture.folders(inputs)
    licences, label = data_licences(list(sources.values())), simulated(settings, inputs)
    rounded = few_bits(settings, inputs)
    lines = [
        *_head(settings, base, licences, {"simulated": label is not None, "quantized": rounded is not None}),
        f"# {settings.student.name}, tuned ({settings.sft.name})",
        "",
        *([f"**Simulated:** {label}", ""] if label else []),
        f"- Base: {_base(settings, base)}",
        *([f"- **The base model's {before_training(rounded)}**"] if rounded is not None else []),
        *(
            f"- Data: `{folder.name}`, sha256 of train.parquet `{sha256_file(rows.path_of(folder))}`"
            for folder in sources.values()
        ),
        f"- Licence of the data: {', '.join(licences) or 'not stated, see its source'}",
        f"- Samples: {_samples(account, settings.sft.cutoff_length)}",
        f"- Recipe: {_recipe(settings)}",
        f"- Chat template: `{settings.sft.template}` (saved with the tokenizer; generation stops at the end token it writes)",
        f"- Mean training loss: {metrics['train_loss']:.4f} over {metrics['steps']} steps",
        *([f"- Validation loss: {metrics['validation_loss']:.4f}"] if "validation_loss" in metrics else []),
        *([_ends(metrics["ends"])] if "ends" in metrics else []),
        f"- Made with: {', '.join(f'{name} {version}' for name, version in _versions().items())}",
        "- The base model's licence applies as well.",
        "",
        "All settings that affect the weights:",
        "",
        "```yaml",
        _yaml({"seed": settings.seed, "sft": settings.sft.model_dump(mode="json", exclude=NOT_DECISIVE)}),
        "```",
        "",
    ]
    return "\n".join(lines)


def _head(settings: TrainSettings, base: str, licences: list[str], labels: dict[str, bool]) -> list[str]:
    carried = [name for name, does in labels.items() if does]
    tags = ["sft", "gra", *(["lora"] if settings.sft.method != "full" else []), *carried]
    head: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    if not Path(base).is_dir():
        head |= {"base_model": base, "base_model_relation": "finetune"}
    if len(licences) == 1:  # the hub's key takes only one licence; the card's text lists several
        head["license"] = licences[0]
    return ["---", _yaml({**head, "tags": tags}), "---", ""]


def _base(settings: TrainSettings, base: str) -> str:
    if Path(base).is_dir():
        return f"`{folder_name(Path(base))}`"
    return f"`{base}`" + (f" at revision `{settings.student.revision}`" if settings.student.revision else "")


def _samples(account: dict[str, Any], cutoff: int) -> str:
    dropped = ", ".join(f"{n} {reason}" for reason, n in account["dropped"].items()) or "none"
    return (
        f"{account['samples']} of {account['rows']} rows (dropped: {dropped}; truncated at {cutoff} tokens: {account['truncated']})"
        f"; {account['tokens']} tokens, {account['trained_tokens']} trained"
    )


def _ends(found: dict[str, int]) -> str:
    limit = f"the limit of {found['max_new_tokens']} tokens"
    words = "prompts that were not trained on, greedy"
    return f"- Replies that ended before {limit}: {found['ended']} of {found['asked']} ({words})"


def _recipe(settings: TrainSettings) -> str:
    sft = settings.sft
    steps = f"{sft.max_steps} steps" if sft.max_steps else f"{sft.epochs:g} epoch(s)"
    return (
        f"{METHODS[sft.method]} supervised fine-tuning on assistant turns, {steps}, learning rate {sft.learning_rate:g} "
        f"({sft.schedule}, warm-up ratio {sft.warmup_ratio:g}), weight decay {sft.weight_decay:g}, {sft.optimizer}, "
        f"global batch {sft.global_batch}, {'packed' if sft.packing else 'not packed'}, {sft.precision}, loss {sft.loss_type}, "
        f"seed {settings.seed}"
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in ("gra", *LIBRARIES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _yaml(value: dict[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True)).rstrip()
