"""The stage `student`: writes the folder of the model that a later step fine-tunes.

The model is either built or copied. A built model (`student.build`) has a small Llama architecture with random weights,
and a byte-level BPE tokenizer trained on `inputs["corpus"]/corpus.txt`. A copied model (`student.model`) is an existing
one. An experiment can therefore change its student with one key. The same config and corpus give the same bytes.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra import model_folder
from gra.errors import ConfigError, Problem, TrainError
from gra.fileio import sync_folder, write_text
from gra.labels import MARK, QUANTIZED, quantized, simulated
from gra.outlook import Cost, Outlook, Upstream
from gra.settings import parse
from gra.train import cost_estimate, stage, templates
from gra.train.settings import BuildSettings, StudentStageSettings
from gra.weights.student import command_for

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NAME = "student"
VERSION = 1
NOT_HASHED = ("student.name",)
preflight, external_files = stage.preflight, stage.external_files
END, PAD = "<|endoftext|>", "<|pad|>"
SPECIALS = (END, PAD, "<|im_start|>", "<|im_end|>")  # includes those of chatml, so that both templates can be used
TEMPLATE_WORDS = ("Human:", "\nAssistant:", "user\n", "assistant\n")
HUB_FILES = ["*.json", "*.jinja", "*.safetensors", "*.model", "*.txt", "*.py", "LICENSE*", "README.md"]
log = logging.getLogger(__name__)


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Write the model folder `output/model` and return the stage's metrics.

    If `student.model` is set, the model is copied from there, and the only metric is `bytes`, the size of its files.
    Otherwise a new model is built from `student.build`, and the metrics are `parameters` (the number of parameters)
    and `vocab_size`.
    """
    problems = check(config, dict(inputs))
    if problems:
        raise ConfigError(problems)
    settings = StudentStageSettings.model_validate(config)
    final, work = output / "model", output / "model.work"
    for folder in (final, work):
        if folder.exists():
            shutil.rmtree(folder)
    if settings.student.model is not None:
        _copy(settings.student.model, settings.student.revision, work)
        _label(Path(settings.student.model).expanduser(), output)
        if (few_bits := quantized([Path(settings.student.model).expanduser()])) is not None:
            write_text(work / QUANTIZED, few_bits + "\n")
        metrics: dict[str, float] = {"bytes": float(sum(p.stat().st_size for p in work.rglob("*") if p.is_file()))}
    else:
        build = settings.student.build
        if build is None:  # `check` rejects this
            raise TrainError("student.build is not set")
        metrics = _build(build, settings.seed, inputs["corpus"] / "corpus.txt", work)
        _label(inputs["corpus"], output)
    work.rename(final)
    sync_folder(output)
    return metrics


def outlook(
    config: dict[str, Any],
    inputs: Mapping[str, Path | None],  # noqa: ARG001
    own: Path | None,  # noqa: ARG001
    earlier: Sequence[Path],  # noqa: ARG001
    upstream: Upstream,  # noqa: ARG001
) -> Outlook:
    """Return the student's disk space and its number of parameters, both for `gra plan`.

    `gra plan` adds the disk space to its total. Later steps need the number of parameters to estimate their own costs.
    """
    billions = cost_estimate.parameters(StudentStageSettings.model_validate(config).student)
    return Outlook(cost=None if billions is None else Cost(disk=2e9 * billions), billions=billions)


def kept(folder: Path) -> str:  # noqa: ARG001 - of any working folder
    """Return "", because an unfinished run of this stage leaves nothing that is worth keeping."""
    return ""


def check(config: dict[str, Any], inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Return all faults that can be found before any work."""
    settings, problems = parse(StudentStageSettings, config)
    if settings is None:
        return problems
    student, build = settings.student, settings.student.build
    if student.model is not None:
        folder = Path(student.model).expanduser()
        if folder.exists() and (fault := model_folder.fault(folder)) is not None:
            problems.append(Problem("student.model", *fault))
        elif student.model.startswith((".", "/", "~")) and not folder.exists():
            remedy = command_for(folder) or "correct the path, or set a hub id"
            problems.append(Problem("student.model", f"no such folder: {student.model}", remedy))
        return problems
    if build is None:
        return [
            Problem(
                "student.build",
                "neither student.model nor student.build is set",
                "use student=tiny, or student.model=MODEL",
            )
        ]
    kv_heads = build.kv_heads or build.heads
    if build.hidden_size % build.heads:
        problems.append(
            Problem(
                "student.build.hidden_size",
                f"{build.hidden_size} is not a multiple of {build.heads} heads",
                f"nearest: {round(build.hidden_size / build.heads) * build.heads}",
            )
        )
    if build.heads % kv_heads:
        problems.append(
            Problem(
                "student.build.kv_heads",
                f"{build.heads} heads are not a multiple of {kv_heads}",
                "set a divisor of heads",
            )
        )
    if "corpus" not in inputs:
        problems.append(Problem("inputs.corpus", "required, but not given", "set a folder with corpus.txt"))
    elif (corpus := inputs["corpus"]) is not None and not (corpus / "corpus.txt").is_file():
        problems.append(
            Problem(
                "inputs.corpus",
                f"there is no file {corpus / 'corpus.txt'}",
                "set a folder with corpus.txt (text for the tokenizer)",
            )
        )
    return problems


def _build(build: BuildSettings, seed: int, corpus: Path, folder: Path) -> dict[str, float]:
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    tokenizer = train_tokenizer(corpus, build)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=build.hidden_size,
        intermediate_size=build.intermediate_size,
        num_hidden_layers=build.layers,
        num_attention_heads=build.heads,
        num_key_value_heads=build.kv_heads or build.heads,
        max_position_embeddings=build.positions,
        tie_word_embeddings=build.tie_embeddings,
        initializer_range=build.init_std,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"parameters": float(sum(p.numel() for p in model.parameters())), "vocab_size": float(len(tokenizer))}


def train_tokenizer(corpus: Path, build: BuildSettings) -> PreTrainedTokenizerBase:
    """Return a byte-level BPE tokenizer trained on the lines of the file `corpus`.

    The tokenizer gets the chat template named "default". If the file has little text, the tokenizer has fewer than
    `build.vocab_size` tokens. Raises TrainError if the file is empty.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    if corpus.stat().st_size == 0:
        raise TrainError(
            f"{corpus}: empty\n    -> add text of the kind that the student will read: the tokenizer is built from it"
        )
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = [pre_tokenizers.Digits(individual_digits=True)] if build.split_digits else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*digits, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=build.vocab_size,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_lines(corpus), trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(SPECIALS[2:]),
        model_max_length=build.positions,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = templates.read("default")
    return wrapped


def _lines(corpus: Path) -> Iterator[str]:
    """Yield the lines of the text, each followed by the fixed words of the chat templates, so that these become tokens."""
    with corpus.open(encoding="utf-8", errors="replace") as handle:
        for line in handle:
            yield line
            yield from TEMPLATE_WORDS


def _copy(model: str, revision: str | None, folder: Path) -> None:
    """Copy a folder's files (as hard links if the disk allows it), or those of a hub id, into `folder`."""
    source = Path(model).expanduser()
    if source.is_dir():
        shutil.copytree(source, folder, copy_function=_link)
        return
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        snapshot_download(model, revision=revision, local_dir=folder, allow_patterns=HUB_FILES)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, httpx.HTTPError, OSError) as error:
        raise TrainError(
            f"student.model={model}: cannot be fetched from the model hub ({str(error).splitlines()[0]})\n"
            "    -> check the id, the network and your access rights (HF_TOKEN), or set a local folder"
        ) from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)


def _link(source: str, target: str) -> None:
    real = Path(source).resolve()  # files in hub caches are links to blobs
    try:
        os.link(real, target)
    except OSError:
        shutil.copy2(real, target)


def _label(source: Path, output: Path) -> None:
    if simulated([source]):
        own = source / MARK
        write_text(
            output / MARK, own.read_text(encoding="utf-8") if own.is_file() else f"made from {source.name}, simulated\n"
        )
