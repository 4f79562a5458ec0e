"""What a training run leaves beside the weights: log.csv, loss.png, metrics.json, and the model's card.

All but the key `runtime` of metrics.json is the same for the same config, inputs and number of threads.
"""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

from gra.errors import TrainError
from gra.fileio import atomic_path, write_json, write_text
from gra.labels import MARK
from gra.labels import simulated as labelled
from train.settings import TrainSettings

COLUMNS = {
    "step": "step",
    "epoch": "epoch",
    "loss": "loss",
    "lr": "learning_rate",
    "grad_norm": "grad_norm",
    "tokens": "num_tokens",
}
LICENCES = ("license", "licence")
Row = dict[str, float | None]


def rows(history: list[dict[str, Any]]) -> list[Row]:
    """One row a logged step from the trainer's history; `loss` is the mean since the row before, a missing value None."""
    return [{column: entry.get(key) for column, key in COLUMNS.items()} for entry in history if "loss" in entry]


def mean_loss(table: list[Row]) -> float:
    """Mean loss over all steps: each row weighted by the steps it stands for. Raises TrainError if it is not finite."""
    before, total = 0.0, 0.0
    for row in table:
        step, loss = row["step"], row["loss"]
        if step is None or loss is None or not math.isfinite(loss):
            raise TrainError(f"the loss is {loss} at step {step}\n    -> lower sft.learning_rate, or raise sft.warmup_ratio")
        total += loss * (step - before)
        before = step
    if not before:
        raise TrainError("no step was logged\n    -> set sft.log_steps to no more than the number of steps")
    return total / before


def write(output: Path, table: list[Row], metrics: dict[str, Any]) -> None:
    """log.csv (empty cell: no value), loss.png and metrics.json, each whole or absent."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in table)
    write_text(output / "log.csv", text.getvalue())
    _plot(table, output / "loss.png")
    write_json(output / "metrics.json", metrics)


def _plot(table: list[Row], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([row["step"] for row in table], [row["loss"] for row in table], linewidth=1)  # type: ignore[arg-type]
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("training loss (nats / trained token)")
    axes.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def simulated(settings: TrainSettings, inputs: dict[str, Path]) -> str | None:
    """Why the result counts as simulated: the label of an input folder or of the folder `student.model`; None if none has one."""
    sources = dict(inputs)
    if "student" not in inputs and settings.student.model is not None:
        sources["student.model"] = Path(settings.student.model).expanduser()
    found = {name: path for name, path in sources.items() if labelled([path])}
    for path in found.values():
        if (path / MARK).is_file():
            return (path / MARK).read_text(encoding="utf-8").strip()
    return f"made from simulated inputs: {', '.join(found)}" if found else None


def data_licence(folder: Path) -> str | None:
    """The licence in the YAML head of a data card, if there is one."""
    import yaml

    try:
        parts = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
        head = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    found = [head[key] for key in LICENCES if key in head] if isinstance(head, dict) else []
    return str(found[0]) if found else None


def card(settings: TrainSettings, base: str, inputs: dict[str, Path], statistics: dict[str, Any], train_loss: float) -> str:
    """The model's README: base, data, recipe, licence. Folders go by their last part: a path means nothing elsewhere."""
    sft = settings.sft
    licence, label = data_licence(inputs["data"]), simulated(settings, inputs)
    local = Path(base).is_dir()
    name = (Path(base).parent.name if Path(base).name == "model" else Path(base).name) if local else base
    head = ["---", "library_name: transformers", "pipeline_tag: text-generation"]
    head += [] if local else [f"base_model: {base}"]
    head += [f"license: {licence}"] if licence else []
    head += [f"tags: [sft{', simulated' if label else ''}]", "---", ""]
    data = statistics["data"]
    dropped = ", ".join(f"{n} {reason}" for reason, n in data["dropped"].items()) or "none"
    steps = f"{sft.max_steps} steps" if sft.max_steps else f"{sft.epochs:g} epoch(s)"
    method = "full-parameter" if sft.method == "full" else "LoRA, merged"
    body = [
        f"# {settings.student.name}, tuned ({sft.name})",
        "",
        *([f"**Simulated:** {label}", ""] if label else []),
        f"- Base: `{name}`" + (f" at revision `{settings.student.revision}`" if settings.student.revision and not local else ""),
        f"- Data: `{inputs['data'].name}`: {data['samples']} samples of {data['rows']} rows "
        f"(dropped: {dropped}; cut at {sft.cutoff_length} tokens: {data['truncated']}); "
        f"{data['tokens']} tokens, {data['trained_tokens']} trained",
        f"- Recipe: {method} supervised fine-tuning on assistant turns, {steps}, learning rate {sft.learning_rate:g} "
        f"({sft.schedule}, warm-up ratio {sft.warmup_ratio:g}), weight decay {sft.weight_decay:g}, {sft.optimizer}, "
        f"global batch {sft.global_batch}, {'packed' if sft.packing else 'not packed'}, {sft.precision}, loss {sft.loss_type}, "
        f"seed {settings.seed}",
        f"- Chat template: `{sft.template}` (saved with the tokenizer)",
        f"- Mean training loss: {train_loss:.4f} over {statistics['steps']} steps",
        f"- Licence of the data: {licence}" if licence else "- Licence of the data: not stated; see the data's source",
        "- The base model's licence applies as well.",
        "",
    ]
    return "\n".join([*head, *body])
