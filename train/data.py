"""`data/train.parquet` of a data folder -> tokenised samples with labels, and an account of what was dropped or cut.

Tokenising and masking are done here and not by TRL: what leaves this room is, to the token, what the model is fed
(`tests/train/test_train_labels.py` reads it back from the trainer's batches).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.errors import TrainError
from train import templates

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # a label that the loss leaves out
CHUNK = 1000  # samples tokenised at once: bounds memory
LOW, HIGH = 0.5, 0.95  # quantiles of lengths that are reported


@dataclass(frozen=True)
class Sample:
    """One tokenised talk: `ids` and `labels` are equally long; a label is the token's id, or IGNORED."""

    ids: list[int]
    labels: list[int]


def path_of(folder: Path) -> Path:
    """The file with the training samples in a data folder."""
    return folder / "data" / "train.parquet"


def load_messages(folder: Path) -> list[list[templates.Message]]:
    """The talks of a data folder, in file order. Raises TrainError where the file is missing, unreadable or empty."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = path_of(folder)
    try:
        talks = pq.read_table(path, columns=["messages"]).column("messages").to_pylist()
    except (OSError, pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise TrainError(
            f"{path}: cannot be read as training data ({error})\n"
            "    -> give a data folder: data/train.parquet with a column `messages` (list of role, content)"
        ) from error
    if not talks:
        raise TrainError(f"{path}: holds no samples\n    -> see stats.json and rejected.parquet beside it for where they went")
    return [list(talk or []) for talk in talks]


def tokenise(
    talks: list[list[templates.Message]], tokenizer: PreTrainedTokenizerBase, cutoff: int, seed: int, limit: int | None = None
) -> tuple[list[Sample], dict[str, Any]]:
    """Samples with labels, and statistics; at most `limit` usable samples, drawn by `seed`, kept in file order.

    Dropped, with the reason counted: `malformed` (no user/assistant text), `empty_response`, `special_token` (content that
    spells a special token would end or fake a turn), `prompt_over_cutoff` (nothing trained is left below the cutoff).
    A sample longer than `cutoff` tokens loses its end and is counted as truncated. Raises TrainError if nothing is left.
    """
    specials = templates.special_tokens(tokenizer)
    order = list(range(len(talks)))
    if limit is not None:
        random.Random(seed).shuffle(order)
    dropped: Counter[str] = Counter()
    chosen: dict[int, tuple[Sample, bool]] = {}
    for start in range(0, len(order), CHUNK):
        for index, result in _tokenise_chunk(talks, order[start : start + CHUNK], tokenizer, specials, cutoff):
            if limit is not None and len(chosen) == limit:
                break
            if isinstance(result, str):
                dropped[result] += 1
            else:
                chosen[index] = result
        if limit is not None and len(chosen) == limit:
            break
    if not chosen:
        account = ", ".join(f"{reason}: {n}" for reason, n in sorted(dropped.items()))
        raise TrainError(
            f"none of the {len(talks)} samples can be trained on ({account})\n"
            "    -> prompt_over_cutoff: raise sft.cutoff_length; other reasons lie in the data"
        )
    samples = [chosen[index][0] for index in sorted(chosen)]
    truncated = sum(cut for _, cut in chosen.values())
    return samples, _statistics(len(talks), samples, truncated, dropped)


def _tokenise_chunk(
    talks: list[list[templates.Message]], order: list[int], tokenizer: Any, specials: list[str], cutoff: int
) -> Iterator[tuple[int, tuple[Sample, bool] | str]]:
    """For each index in `order`: the sample and whether it was cut, or the reason for which it is dropped."""
    pieces: list[list[tuple[str, bool]] | str] = [
        _fault(talks[index], specials) or templates.segments(tokenizer, talks[index], specials) for index in order
    ]
    texts = [text for piece in pieces if not isinstance(piece, str) for text, _ in piece]
    tokens = iter(tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else [])
    for index, piece in zip(order, pieces, strict=True):
        if isinstance(piece, str):
            yield index, piece
            continue
        ids: list[int] = []
        labels: list[int] = []
        for _, trained in piece:
            new = next(tokens)
            ids += new
            labels += new if trained else [IGNORED] * len(new)
        cut = len(ids) > cutoff
        if all(label == IGNORED for label in labels[:cutoff]):
            yield index, "prompt_over_cutoff"
        else:
            yield index, (Sample(ids[:cutoff], labels[:cutoff]), cut)


def _fault(talk: list[templates.Message], specials: list[str]) -> str | None:
    """Why a talk cannot be trained on, as far as its text tells; None if nothing speaks against it."""
    roles = [message.get("role") for message in talk]
    if "user" not in roles or roles[-1] != "assistant" or any(not isinstance(m.get("content"), str) for m in talk):
        return "malformed"
    if any(m["role"] == "assistant" and not m["content"].strip() for m in talk):
        return "empty_response"
    if any(token in m["content"] for m in talk for token in specials):
        return "special_token"
    return None


def _statistics(rows: int, samples: list[Sample], truncated: int, dropped: Counter[str]) -> dict[str, Any]:
    lengths = sorted(len(sample.ids) for sample in samples)
    return {
        "rows": rows,
        "samples": len(samples),
        "dropped": dict(sorted(dropped.items())),
        "truncated": truncated,
        "tokens": sum(lengths),
        "trained_tokens": sum(label != IGNORED for sample in samples for label in sample.labels),
        "length": {
            "min": lengths[0],
            "median": lengths[int(LOW * (len(lengths) - 1))],
            "p95": lengths[int(HIGH * (len(lengths) - 1))],
            "max": lengths[-1],
        },
    }


def as_dataset(samples: list[Sample], packing: bool, cutoff: int) -> Dataset:
    """Columns input_ids, labels; packed best-fit-decreasing into rows of up to `cutoff` tokens also seq_lengths."""
    from datasets import Dataset, Features, Sequence, Value
    from trl import pack_dataset

    features = Features({"input_ids": Sequence(Value("int32")), "labels": Sequence(Value("int32"))})
    columns = {"input_ids": [s.ids for s in samples], "labels": [s.labels for s in samples]}
    dataset = Dataset.from_dict(columns, features=features)
    return pack_dataset(dataset, cutoff, "bfd") if packing else dataset
