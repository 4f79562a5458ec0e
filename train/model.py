"""Load the student, fit it to the recipe (vocabulary, LoRA), prove that packing does not leak, and publish the result."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.errors import TrainError
from gra.fileio import sync_folder
from train import kernels, new_tokens, quantised, sharding
from train.batches import world_size
from train.settings import Dtype, LoraSettings, SftSettings, StudentSettings

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)
LEAK_TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}  # of the largest logit; a leak is far above, rounding far below


def location(student: StudentSettings, inputs: dict[str, Path]) -> str:
    """Folder or hub id of the student: the input `student` goes before `student.model`."""
    if "student" in inputs:
        return str(inputs["student"] / "model")
    if student.model is None:
        raise TrainError("no student: set student.model, or give a student folder as input `student`")
    folder = Path(student.model).expanduser()
    return str(folder) if folder.is_dir() else student.model


def load(student: StudentSettings, sft: SftSettings, where: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model (weights as `student.dtype` says) and tokenizer. Raises TrainError naming the student if that fails."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = source(student, where)
    with readable(where):
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
        options |= {"dtype": getattr(torch, weight_dtype(student, sft)), "attn_implementation": kernels.attention(student, sft)}
        model = AutoModelForCausalLM.from_pretrained(where, **options, **quantised.loading(sft))
    return model, tokenizer


def weight_dtype(student: StudentSettings, sft: SftSettings) -> Dtype:
    """Of the weights held while training, but for those in 4 bits."""
    half = sft.precision == "bf16" and (sft.method != "full" or sharding.active(sft, world_size()) is not None)
    return student.dtype or ("bfloat16" if half else "float32")


def source(student: StudentSettings, where: str) -> dict[str, Any]:
    """What every `from_pretrained(where, ...)` is given."""
    options: dict[str, Any] = {"trust_remote_code": student.trust_remote_code}
    return options if Path(where).is_dir() else options | {"revision": student.revision}


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Raise TrainError, naming the student `where`, in place of what transformers raises where it cannot be loaded."""
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
    """Enlarge the embeddings to `size` tokens where they have fewer rows. Raises TrainError where that is not wanted or useless."""
    rows = _embedding_rows(model)
    if size <= rows:
        return
    if not sft.resize_vocab:
        raise TrainError(
            f"sft.template={sft.template} needs {size} tokens, the student has embeddings for {rows}\n"
            "    -> set sft.resize_vocab=true, or choose sft.template=default"
        )
    log.info("embeddings enlarged from %d to %d rows", rows, size)
    model.resize_token_embeddings(size)


def _embedding_rows(model: PreTrainedModel) -> int:
    return sharding.rows(model.get_input_embeddings().weight)


def lora_config(sft: SftSettings, model: PreTrainedModel) -> LoraConfig | None:
    """The adapter's configuration for peft, on `model`; None under full tuning."""
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
    """Raise TrainError if, in a packed row, a document's logits depend on the document before it.

    Two packed rows with the same second document and different first ones are compared; that holds for any architecture and
    attention kernel, where a list of known ones would not.
    """
    import torch

    flash = str(model.config._attn_implementation).startswith("flash")
    if flash and model.device.type == "cpu":  # it works on a GPU alone, in half precision: as under the trainer
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
            model(input_ids=row[None].to(model.device), position_ids=positions, use_cache=False).logits[0, length:].float()
            for row in rows
        )
    model.train(training)
    difference = float((one - other).abs().max() / one.abs().max().clamp(min=1e-6))
    tolerance = LEAK_TOLERANCE["float32" if model.dtype == torch.float32 and not flash else "bfloat16"]
    if not difference <= tolerance:
        raise TrainError(
            f"sft.packing=true: with attention `{model.config._attn_implementation}` this student lets packed documents see each "
            f"other (logits differ by {difference:.2g})\n    -> set sft.packing=false, or another student.attention (sdpa)"
        )


def set_stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> None:
    """Let generation stop where an assistant turn ends, and keep config and tokenizer in agreement."""
    model.config.get_text_config().eos_token_id = tokenizer.eos_token_id
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    if model.generation_config is not None:
        model.generation_config.eos_token_id = ids if len(ids) > 1 else ids[0]
        model.generation_config.pad_token_id = tokenizer.pad_token_id


def publish(model: Any, tokenizer: PreTrainedTokenizerBase, sft: SftSettings, output: Path, card: str) -> None:
    """Write `output/model` (and, under LoRA, `output/adapter`; the model is then the merged one): whole or not at all."""
    import torch

    if sft.method != "full":
        with _whole(output / "adapter") as folder:
            model.save_pretrained(folder)
            (folder / "README.md").unlink(missing_ok=True)  # peft's is an empty form
        model = quantised.merged(model, output / "adapter") if sft.method == "qlora" else model.merge_and_unload()
    if sft.save_dtype is not None:
        dtype = getattr(torch, sft.save_dtype)
    else:
        dtype = torch.bfloat16 if sft.precision == "bf16" else torch.float32
    with _whole(output / "model") as folder:
        model.to(dtype).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "README.md").write_text(card, encoding="utf-8")


class _whole:
    """A context that yields a working folder beside `folder` and renames it to `folder` on a clean exit."""

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
