"""The training set as it is fed, made once, before any process group and without the model: a folder that every process maps
into memory.

    tokens/train.arrow      columns input_ids, labels (int32 lists), under packing also seq_lengths; Arrow's stream format
    tokens/held_out.arrow   the same for the validation loss, where sft.held_out asks for it
    tokens/account.json     where every row went, lengths, tokens, packing
    tokens/facts.json       written last: what the folder was made from, the hash of that, the other files' sizes

A folder made from the same facts is used again, one made from others is made anew. `train.prepare` makes one as a step of its own.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.errors import Problem, TrainError
from gra.fileio import read_json, sha256_file, sync_folder, write_json
from train import data, mixing, templates
from train.settings import SftSettings, TrainSettings

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from train.draw import Picks, Scratch

log = logging.getLogger(__name__)
FOLDER = "tokens"
VERSION = 1  # of the facts and of how samples are made from them
TRAIN, HELD_OUT, ACCOUNT, FACTS = "train.arrow", "held_out.arrow", "account.json", "facts.json"
RECIPE = ("template", "cutoff_length", "packing", "limit", "mix", "held_out")  # the keys of `sft` that decide what is in it
WAIT_SECONDS = 4 * 3600.0  # that other processes wait for the first one: millions of samples take hours
POLL_SECONDS = 0.2


def ensure(settings: TrainSettings, inputs: dict[str, Path], output: Path) -> Path:
    """The folder with the tokenised training set for `settings`: the one in the input `tokens`, or `output/tokens`, which is made
    by the first process (RANK=0, or no RANK) where it is not there yet, while others wait for it.

    Needs no process group and loads no model. Raises TrainError: unusable data or tokenizer, tokens made from something else, or
    a first process that does not get done.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    tokenizer = _tokenizer(settings, inputs)
    facts = _facts(settings, inputs, tokenizer)
    if "tokens" in inputs:
        return _given(inputs["tokens"] / FOLDER, facts)
    folder = output / FOLDER
    if int(os.environ.get("RANK") or 0) > 0:
        _wait(folder, facts)
    elif _made_from(folder) == facts:
        log.info("tokens: found %s", folder)
    else:
        _make(settings, inputs, tokenizer, facts, folder)
    return folder


def read(folder: Path) -> tuple[Dataset, Dataset | None, dict[str, Any]]:
    """The training set and the held-out set (None without one), mapped into memory and not read, and the account.

    The held-out set goes to the trainer as `eval_dataset`; it is packed as the training set is. Whoever averages its loss has to
    weight by trained tokens: rows, and batches of them, hold unequal numbers.
    """
    from datasets import Dataset

    held = folder / HELD_OUT
    return (
        Dataset.from_file(str(folder / TRAIN)),
        Dataset.from_file(str(held)) if held.is_file() else None,
        read_json(folder / ACCOUNT),
    )


def discard(output: Path) -> None:
    """Remove the tokens from a finished run's folder: as large as the data, made again in a minute, accounted in metrics.json."""
    for folder in (output / FOLDER, _work(output / FOLDER)):
        shutil.rmtree(folder, ignore_errors=True)


def check(sft: SftSettings, seed: object, folder: Path | None) -> list[Problem]:
    """Faults of the input `tokens` (None: made by an earlier step) that show without the tokenizer: it is no such folder, or was
    made for another recipe. The rest of its facts is compared by `ensure`."""
    if folder is None or not folder.is_dir():  # a missing folder is the caller's word
        return []
    there = _made_from(folder / FOLDER)
    if there is None:
        message = f"no whole {folder / FOLDER}"
        return [Problem("inputs.tokens", message, "give a folder that the stage train.prepare made, or leave the input out")]
    here = _recipe(sft, seed if isinstance(seed, int) else None)
    lines = _differences({key: there.get(key) for key in here}, here)
    remedy = "prepare them anew with this recipe, or leave the input out"
    return [Problem("inputs.tokens", f"made for another recipe: {'; '.join(lines)}", remedy)] if lines else []


def _tokenizer(settings: TrainSettings, inputs: dict[str, Path]) -> PreTrainedTokenizerBase:
    """The student's tokenizer with the recipe's template. Raises TrainError."""
    from train import model

    tokenizer = templates.load_tokenizer(settings.student, model.location(settings.student, inputs))
    templates.install(tokenizer, settings.sft.template)
    if (missing := templates.missing_start(tokenizer)) is not None:
        log.warning("sft.template=%s: %s", settings.sft.template, missing)
    return tokenizer


def _recipe(sft: SftSettings, seed: int | None) -> dict[str, Any]:
    """The facts that the config alone gives; the seed is one only where something is drawn."""
    drawn = sft.limit is not None or sft.mix is not None or sft.held_out is not None
    mix = {name: repr(weight) for name, weight in sft.mix.items()} if sft.mix else None
    return {key: getattr(sft, key) for key in RECIPE} | {"mix": mix, "seed": seed if drawn else None}


def _facts(settings: TrainSettings, inputs: dict[str, Path], tokenizer: Any) -> dict[str, Any]:
    """Everything that the tokens depend on, by content: the same files in another place are the same facts."""
    files = {}
    for name, folder in mixing.folders(inputs).items():
        data.require_rows(folder)
        files[name] = sha256_file(data.path_of(folder))
    text = str(tokenizer.chat_template)
    return {
        "version": VERSION,
        "data": files,
        "tokenizer": _tokenizer_hash(tokenizer),
        "template_text": hashlib.sha256(text.encode()).hexdigest(),
        **_recipe(settings.sft, settings.seed),
    }


def _tokenizer_hash(tokenizer: Any) -> str:
    """Hex sha256 of all that decides how a rendered text is tokenised."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        content = backend.to_str()
    else:  # written in Python: its files are all there is
        with tempfile.TemporaryDirectory() as folder:
            tokenizer.save_pretrained(folder)
            content = sha256_file(Path(folder))
    special = json.dumps(tokenizer.special_tokens_map, sort_keys=True, default=str)
    return hashlib.sha256("\0".join([type(tokenizer).__name__, content, special]).encode()).hexdigest()


def _hash(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _made_from(folder: Path) -> dict[str, Any] | None:
    """The facts of a whole folder; None where there is none or something of it is missing."""
    try:
        found = read_json(folder / FACTS)
        whole = all((folder / name).stat().st_size == size for name, size in found["files"].items())
        facts = found["facts"]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None
    return facts if whole and isinstance(facts, dict) else None


def _given(folder: Path, facts: dict[str, Any]) -> Path:
    there = _made_from(folder)
    if there is None:
        raise TrainError(f"{folder}: no whole tokens\n    -> give a folder that the stage train.prepare made as input `tokens`")
    if there != facts:
        raise TrainError(
            f"{folder}: made from something else: {'; '.join(_differences(there, facts))}\n"
            "    -> prepare them anew with this data, student and recipe, or leave the input `tokens` out"
        )
    return folder


def _differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    keys = [key for key in sorted({*there, *here}) if there.get(key) != here.get(key)]
    return [f"{key}: {_short(there.get(key))} there, {_short(here.get(key))} here" for key in keys]


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 60 else text[:57] + "..."


def _wait(folder: Path, facts: dict[str, Any]) -> None:
    """Wait for the first process of the group, with no process group: that begins after this."""
    deadline = time.monotonic() + WAIT_SECONDS
    while _made_from(folder) != facts:
        if time.monotonic() > deadline:
            raise TrainError(
                f"{folder}: the first process (RANK=0) has not made the tokens within {WAIT_SECONDS / 3600:g} h\n"
                "    -> see its messages; the output folder has to be on a disk that all processes share"
            )
        time.sleep(POLL_SECONDS)


def _work(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.work")


def _make(settings: TrainSettings, inputs: dict[str, Path], tokenizer: Any, facts: dict[str, Any], folder: Path) -> None:
    """Tokenise, mask, draw, pack, and publish the folder: whole or not at all."""
    from train.draw import Draw, Scratch, account

    sft, started, work = settings.sft, time.monotonic(), _work(folder)
    for old in (folder, work):
        if old.exists():
            shutil.rmtree(old)
    work.mkdir(parents=True)
    scratch = Scratch(work)
    draw = Draw(sft, settings.seed, mixing.folders(inputs), data.Tokeniser(tokenizer, sft.cutoff_length), scratch)
    held, training = draw.held_out(), draw.training()
    rows = _write(work / TRAIN, training, scratch, sft)
    if held:
        _write(work / HELD_OUT, held, scratch, sft)
    scratch.remove()
    told = account(draw, training, held)
    packing = {"rows": rows, "efficiency": told["tokens"] / (rows * sft.cutoff_length)} if sft.packing else None
    told |= {"rows_fed": rows, "packing": packing}
    write_json(work / ACCOUNT, told)
    _publish(work, folder, facts)
    if sft.limit is not None and told["samples"] < sft.limit:
        log.warning("sft.limit=%d, but only %d samples can be trained on", sft.limit, told["samples"])
    dropped = ", ".join(f"{n} {reason}" for reason, n in told["dropped"].items()) or "none"
    log.info(
        "tokens: %d samples, %d tokens, %d cut at %d tokens, dropped: %s; made in %.1f s",
        told["samples"], told["tokens"], told["truncated"], sft.cutoff_length, dropped, time.monotonic() - started,
    )  # fmt: skip


def _publish(work: Path, folder: Path, facts: dict[str, Any]) -> None:
    files = sorted(path for path in work.iterdir() if path.is_file())
    for path in files:
        with path.open("rb+") as handle:
            os.fsync(handle.fileno())
    sizes = {path.name: path.stat().st_size for path in files}
    write_json(work / FACTS, {"facts": facts, "hash": _hash(facts), "files": sizes})
    work.rename(folder)
    sync_folder(folder.parent)


def _write(path: Path, picks: Picks, scratch: Scratch, sft: SftSettings) -> int:
    """Write the picked samples in order, packed where the recipe says so; returns the number of rows.

    Packing is best-fit-decreasing (TRL) within windows of data.CHUNK samples, which is how TRL's own trainer packs.
    """
    import pyarrow as pa

    form = pa.schema([(name, pa.list_(pa.int32())) for name in ("input_ids", "labels", *(["seq_lengths"] if sft.packing else []))])
    rows = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, form) as writer:
        for window in _windows(picks, scratch):
            table = _pack(window, sft.cutoff_length) if sft.packing else window
            writer.write_table(table.cast(form))
            rows += len(table)
    return rows


def _windows(picks: Picks, scratch: Scratch) -> Iterator[pa.Table]:
    """The samples in order, data.CHUNK at a time, across the borders of folders."""
    import numpy as np

    starts = np.concatenate([source.start[rows] for source, rows in picks])
    lengths = np.concatenate([source.length[rows] for source, rows in picks])
    for at in range(0, len(starts), data.CHUNK):
        yield scratch.table(starts[at : at + data.CHUNK], lengths[at : at + data.CHUNK])


def _pack(window: pa.Table, cutoff: int) -> pa.Table:
    import datasets
    from trl import pack_dataset

    datasets.disable_progress_bars()
    packed = pack_dataset(datasets.Dataset(datasets.table.InMemoryTable(window)), cutoff, "bfd")
    return packed.with_format("arrow")[:]
