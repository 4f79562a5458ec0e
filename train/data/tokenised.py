"""Tokenises the training set once, before the process group is created and without loading the model.

The result is a folder of Arrow files, which each process maps into memory:

    tokens/train.arrow      columns input_ids, labels (int32 lists), with packing also seq_lengths; Arrow stream
    tokens/held_out.arrow   the same for the validation loss, if sft.held_out is set
    tokens/account.json     what became of every row, lengths, tokens, packing
    tokens/facts.json       written last: what the folder was made from, its hash, and the other files' sizes

An existing folder is reused if it was made from the same facts (data, tokenizer, template and recipe); otherwise it is
made again. `train/prepare.py` makes the folder in a separate step.
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
from gra.train import templates
from gra.train.data import mixture
from gra.train.data import rows as data
from gra.train.data.packing import packed
from gra.train.settings import SftSettings, TrainSettings

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from gra.train.data.selection import Picks, Scratch

log = logging.getLogger(__name__)
FOLDER = "tokens"
VERSION = 1  # raised when the facts change, or the way in which samples are made from them
TRAIN, HELD_OUT, ACCOUNT, FACTS = "train.arrow", "held_out.arrow", "account.json", "facts.json"
RECIPE = (
    "template",
    "cutoff_length",
    "packing",
    "limit",
    "mix",
    "held_out",
)  # the keys of `sft` that decide the folder's content
WAIT_SECONDS = 4 * 3600.0  # how long other processes wait for the first one: millions of samples take hours
POLL_SECONDS = 0.2


def ensure(settings: TrainSettings, inputs: dict[str, Path], output: Path) -> Path:
    """Return the folder with the tokenised training set for `settings`. If this folder does not exist, make it.

    If the input `tokens` is set, the folder is the subfolder tokens/ of this input. Otherwise it is `output/tokens`,
    which the first process (RANK=0, or no RANK) makes while the others wait. No process group is needed, and no model
    is loaded. Raises TrainError if data or tokenizer cannot be used, if the input `tokens` does not match this run, or
    if the first process does not finish in time.
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
    """Return the tokenised training set in `folder` as (training set, held-out set, content of account.json). The
    held-out set is None if there is none. Both sets are memory-mapped.

    The held-out set is the trainer's `eval_dataset` and is packed like the training set. Its mean loss must be weighted
    by trained tokens, because rows and batches have different numbers of trained tokens.
    """
    from datasets import Dataset

    held = folder / HELD_OUT
    return (
        Dataset.from_file(str(folder / TRAIN)),
        Dataset.from_file(str(held)) if held.is_file() else None,
        read_json(folder / ACCOUNT),
    )


def discard(output: Path) -> None:
    """Remove the tokens from the folder of a finished run.

    The tokens are as large as the data and quick to make again. What became of every row is also in metrics.json.
    """
    for folder in (output / FOLDER, _work(output / FOLDER)):
        shutil.rmtree(folder, ignore_errors=True)


def check(sft: SftSettings, seed: object, folder: Path | None) -> list[Problem]:
    """Return the faults of the input `tokens` that can be found without the tokenizer. `folder`: the folder of this
    input; None if an earlier step has not made it yet.

    It is a fault if the folder is incomplete or was made for another recipe. The function `ensure` later compares the
    data, the tokenizer and the template.
    """
    if folder is None or not folder.is_dir():  # the caller reports a missing folder
        return []
    there = _made_from(folder / FOLDER)
    if there is None:
        message = f"{folder / FOLDER} is missing or incomplete"
        return [Problem("inputs.tokens", message, "set a folder written by `gra prepare`, or leave the input out")]
    here = _recipe(sft, seed if isinstance(seed, int) else None)
    lines = _differences({key: there.get(key) for key in here}, here)
    remedy = "run `gra prepare` with this recipe, or leave the input out"
    return [Problem("inputs.tokens", f"made for another recipe: {'; '.join(lines)}", remedy)] if lines else []


def _tokenizer(settings: TrainSettings, inputs: dict[str, Path]) -> PreTrainedTokenizerBase:
    """Return the student's tokenizer with the recipe's template.

    Raises TrainError if it cannot be loaded or does not fit the template.
    """
    from gra.train.student import load

    tokenizer = templates.load_tokenizer(settings.student, load.location(settings.student, inputs))
    templates.install(tokenizer, settings.sft.template, settings.sft.bos)
    if settings.sft.bos == "model" and (missing := templates.missing_start(tokenizer)) is not None:
        log.warning("sft.template=%s: %s", settings.sft.template, missing)
    return tokenizer


def _recipe(sft: SftSettings, seed: int | None) -> dict[str, Any]:
    """Return the facts from the config; the seed is included only if something is sampled."""
    drawn = sft.limit is not None or sft.mix is not None or sft.held_out is not None
    mix = {name: repr(weight) for name, weight in sft.mix.items()} if sft.mix else None
    return {key: getattr(sft, key) for key in RECIPE} | {"mix": mix, "seed": seed if drawn else None}


def _facts(settings: TrainSettings, inputs: dict[str, Path], tokenizer: Any) -> dict[str, Any]:
    """Return everything that the tokens depend on, by content: the same files in another folder give the same facts."""
    files = {}
    for name, folder in mixture.folders(inputs).items():
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
    """Return the sha256, in hex, of everything that decides how a rendered text is tokenised."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        content = backend.to_str()
    else:  # written in Python: hash its files
        with tempfile.TemporaryDirectory() as folder:
            tokenizer.save_pretrained(folder)
            content = sha256_file(Path(folder))
    special = json.dumps(tokenizer.special_tokens_map, sort_keys=True, default=str)
    return hashlib.sha256("\0".join([type(tokenizer).__name__, content, special]).encode()).hexdigest()


def _hash(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _made_from(folder: Path) -> dict[str, Any] | None:
    """Return the facts of a complete folder; None if the folder or one of its files is missing."""
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
        raise TrainError(
            f"{folder}: missing or incomplete\n    -> set the input `tokens` to a folder written by `gra prepare`"
        )
    if there != facts:
        raise TrainError(
            f"{folder}: does not match this run: {'; '.join(_differences(there, facts))}\n"
            "    -> run `gra prepare` with this data, student and recipe, or omit the input `tokens`"
        )
    return folder


def _differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    keys = [key for key in sorted({*there, *here}) if there.get(key) != here.get(key)]
    return [f"{key}: {_short(there.get(key))} there, {_short(here.get(key))} here" for key in keys]


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 60 else text[:57] + "..."


def _wait(folder: Path, facts: dict[str, Any]) -> None:
    """Wait until the first process has made the folder. There is no process group yet that could be used for waiting."""
    deadline = time.monotonic() + WAIT_SECONDS
    while _made_from(folder) != facts:
        if time.monotonic() > deadline:
            raise TrainError(
                f"{folder}: the first process (RANK=0) did not make the tokens within {WAIT_SECONDS / 3600:g} h\n"
                "    -> see its output; the output folder must be on a disk shared by all processes"
            )
        time.sleep(POLL_SECONDS)


def _work(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.work")


def _make(
    settings: TrainSettings, inputs: dict[str, Path], tokenizer: Any, facts: dict[str, Any], folder: Path
) -> None:
    """Tokenise, mask, select and pack the samples, and publish the folder as a whole."""
    from gra.train.data.selection import Scratch, Selection, account

    sft, started, work = settings.sft, time.monotonic(), _work(folder)
    for old in (folder, work):
        if old.exists():
            shutil.rmtree(old)
    work.mkdir(parents=True)
    scratch = Scratch(work)
    selection = Selection(
        sft, settings.seed, mixture.folders(inputs), data.Tokeniser(tokenizer, sft.cutoff_length), scratch
    )
    held, training = selection.held_out(), selection.training()
    rows = _write(work / TRAIN, training, scratch, sft)
    if held:
        _write(work / HELD_OUT, held, scratch, sft)
    scratch.remove()
    counts = account(selection, training, held)
    packing = {"rows": rows, "efficiency": counts["tokens"] / (rows * sft.cutoff_length)} if sft.packing else None
    counts |= {"rows_fed": rows, "packing": packing}
    write_json(work / ACCOUNT, counts)
    _publish(work, folder, facts)
    if sft.limit is not None and counts["samples"] < sft.limit:
        log.warning("sft.limit=%d, but only %d samples can be trained on", sft.limit, counts["samples"])
    dropped = ", ".join(f"{n} {reason}" for reason, n in counts["dropped"].items()) or "none"
    log.info(
        "tokens: %d samples, %d tokens, %d truncated at %d tokens, dropped: %s; took %.1f s",
        counts["samples"],
        counts["tokens"],
        counts["truncated"],
        sft.cutoff_length,
        dropped,
        time.monotonic() - started,
    )


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
    """Write the selected samples in order, packed if the recipe says so, and return the number of rows.

    Packing (packing.py) is done within windows of data.CHUNK samples, as in TRL's trainer.
    """
    import pyarrow as pa

    form = pa.schema(
        [(name, pa.list_(pa.int32())) for name in ("input_ids", "labels", *(["seq_lengths"] if sft.packing else []))]
    )
    rows = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, form) as writer:
        for window in _windows(picks, scratch):
            table = packed(window, sft.cutoff_length) if sft.packing else window
            writer.write_table(table.cast(form))
            rows += len(table)
    return rows


def _windows(picks: Picks, scratch: Scratch) -> Iterator[pa.Table]:
    """Yield the samples in order, data.CHUNK at a time, across folders."""
    import numpy as np

    starts = np.concatenate([source.start[rows] for source, rows in picks])
    lengths = np.concatenate([source.length[rows] for source, rows in picks])
    for at in range(0, len(starts), data.CHUNK):
        yield scratch.table(starts[at : at + data.CHUNK], lengths[at : at + data.CHUNK])
