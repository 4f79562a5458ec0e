"""Loads the student (the model that is fine-tuned), adapts it to the recipe, and publishes the trained model.

To adapt the student, this module enlarges its vocabulary and configures LoRA. If samples are packed into shared rows,
the module also checks that no sample attends to another one.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.errors import TrainError
from gra.fileio import sync_folder
from gra.hub import commit_of
from gra.private_api.transformers import attention_of
from gra.train.distributed import zero
from gra.train.distributed.batches import world_size
from gra.train.settings import Dtype, LoraSettings, SftSettings, StudentSettings, TrainSettings
from gra.train.student import kernels, new_tokens, quantised

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)
LEAK_TOLERANCE = {
    "float32": 1e-4,
    "bfloat16": 5e-2,
}  # relative to the largest logit; a leak changes logits by far more, rounding by far less


def location(student: StudentSettings, inputs: dict[str, Path]) -> str:
    """Return the folder or hub id of the student.

    If the step has an input named `student`, the result is the folder model/ in that input. Otherwise it is the value
    of the setting `student.model`.

    Raises TrainError if there is neither this input nor this setting.
    """
    if "student" in inputs:
        return str(inputs["student"] / "model")
    if student.model is None:
        raise TrainError("no student\n    -> set student.model, or pass a student folder as input `student`")
    folder = Path(student.model).expanduser()
    return str(folder) if folder.is_dir() else student.model


def load(student: StudentSettings, sft: SftSettings, where: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the student from `where`, a folder or hub id, and return its model and its tokenizer.

    The weights have the dtype that `weight_dtype` returns, except those that QLoRA stores in 4 bits.

    Raises TrainError, which names the student, if loading fails.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = source(student, where)
    with readable(where):
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
        options |= {
            "dtype": getattr(torch, weight_dtype(student, sft)),
            "attn_implementation": kernels.attention(student, sft),
        }
        model = AutoModelForCausalLM.from_pretrained(where, **options, **quantised.loading(sft))
    return model, tokenizer


def weight_dtype(student: StudentSettings, sft: SftSettings) -> Dtype:
    """Return the dtype of the weights during training. Weights that QLoRA stores in 4 bits do not have this dtype."""
    half = sft.precision == "bf16" and (sft.method != "full" or zero.active(sft, world_size()) is not None)
    return student.dtype or ("bfloat16" if half else "float32")


def source(student: StudentSettings, where: str) -> dict[str, Any]:
    """Return the keyword arguments that every call of `from_pretrained` for this student needs.

    `where`: the student's folder or hub id.
    """
    options: dict[str, Any] = {"trust_remote_code": student.trust_remote_code}
    return options if Path(where).is_dir() else options | {"revision": student.revision}


@contextmanager
def readable(where: str) -> Iterator[None]:
    """A context manager: if loading the student fails inside it, the error becomes a TrainError that names the student.

    `where`: the student's folder or hub id.
    """
    import httpx

    try:
        yield
    except (OSError, ValueError, ImportError, KeyError, httpx.HTTPError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise TrainError(
            f"student {where}: cannot be loaded ({reason})\n    -> check student.model, student.revision and "
            "student.attention; a hub id needs the network and, if gated, HF_TOKEN"
        ) from error


def fit_vocabulary(model: PreTrainedModel, size: int, sft: SftSettings) -> None:
    """Enlarge the embeddings to `size` rows (one per token) if they have fewer.

    Raises TrainError if they have fewer but `sft.resize_vocab` is false.
    """
    rows = _embedding_rows(model)
    if size <= rows:
        return
    if not sft.resize_vocab:
        raise TrainError(
            f"sft.template={sft.template} needs {size} tokens, but the student has embeddings for {rows}\n"
            "    -> set sft.resize_vocab=true, or choose sft.template=default"
        )
    log.info("embeddings enlarged from %d to %d rows", rows, size)
    model.resize_token_embeddings(size)


def _embedding_rows(model: PreTrainedModel) -> int:
    return zero.rows(model.get_input_embeddings().weight)


def lora_config(sft: SftSettings, model: PreTrainedModel) -> LoraConfig | None:
    """Return PEFT's configuration of the LoRA adapter for `model`; None for full fine-tuning."""
    if sft.method == "full":
        return None
    from peft import LoraConfig

    lora = sft.lora or LoraSettings()
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        modules_to_save=lora.modules_to_save or None,
        ensure_weight_tying=new_tokens.tied(model, lora.modules_to_save),
        task_type="CAUSAL_LM",
    )


def refuse_leak(model: PreTrainedModel) -> None:
    """Raise TrainError if a document's logits depend on the document before it in the same packed row.

    The function runs the model on two packed rows that differ only in their first document, and compares the logits of
    their second document. This works for any architecture and attention kernel, without a list of known models.
    """
    import torch

    flash = attention_of(model.config).startswith("flash")
    if flash and model.device.type == "cpu":  # FlashAttention needs a GPU and half precision, as in the trainer
        whole: Any = model
        whole.to("cuda")
    length, vocabulary = 8, _embedding_rows(model)
    second = torch.arange(length) % vocabulary
    rows = [torch.cat([(torch.arange(length) * factor + factor) % vocabulary, second]) for factor in (3, 7)]
    positions = torch.arange(length).repeat(2)[None].to(model.device)
    training = model.training
    model.eval()
    with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16, enabled=flash):
        one, other = (
            model(input_ids=row[None].to(model.device), position_ids=positions, use_cache=False)
            .logits[0, length:]
            .float()
            for row in rows
        )
    model.train(training)
    difference = float((one - other).abs().max() / one.abs().max().clamp(min=1e-6))
    tolerance = LEAK_TOLERANCE["float32" if model.dtype == torch.float32 and not flash else "bfloat16"]
    if not difference <= tolerance:
        raise TrainError(
            f"sft.packing=true: with attention `{attention_of(model.config)}` packed samples attend to each other in this "
            f"student (logits differ by {difference:.2g})\n    -> set sft.packing=false, or another student.attention (sdpa)"
        )


def set_stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> None:
    """Make generation stop at the tokens `ids`, and give the model's config the tokenizer's end and padding tokens."""
    model.config.get_text_config().eos_token_id = tokenizer.eos_token_id
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    if model.generation_config is not None:
        model.generation_config.eos_token_id = ids if len(ids) > 1 else ids[0]
        model.generation_config.pad_token_id = tokenizer.pad_token_id


def publish(
    model: Any, tokenizer: PreTrainedTokenizerBase, settings: TrainSettings, base: str, output: Path, card: str
) -> None:
    """Write the trained model to `output/model` atomically.

    With LoRA, the adapter is written to `output/adapter` and merged into the model in `output/model`.

    `base`: the folder or hub id that the student was loaded from.
    `card`: the text of the model card.
    """
    import torch

    sft, student = settings.sft, settings.student

    if sft.method != "full":
        with _whole(output / "adapter") as folder:
            model.save_pretrained(folder)
            (folder / "README.md").unlink(missing_ok=True)  # PEFT's is an empty template
        if sft.method == "qlora":
            options = source(student, base)
            if "revision" in options:  # the same files as in training, also if a branch has moved since
                options["revision"] = commit_of(base, student.revision) or student.revision
            model = quantised.merged(model, output / "adapter", base, options)
        else:
            model = model.merge_and_unload()
    if sft.save_dtype is not None:
        dtype = getattr(torch, sft.save_dtype)
    else:
        dtype = torch.bfloat16 if sft.precision == "bf16" else torch.float32
    with _whole(output / "model") as folder:
        model.to(dtype).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "README.md").write_text(card, encoding="utf-8")


class _whole:
    """A context manager that yields a working folder beside `folder` and renames it to `folder` if no exception was raised."""

    def __init__(self, folder: Path):
        self.folder, self.work = folder, folder.with_name(folder.name + ".work")

    def __enter__(self) -> Path:
        for folder in (self.folder, self.work):
            if folder.exists():
                shutil.rmtree(folder)
        self.work.mkdir(parents=True)
        return self.work

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self.work.rename(self.folder)
            sync_folder(self.folder.parent)
