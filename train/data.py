"""`data/train.parquet` of a data folder -> tokenised samples with labels, or the reason for which one cannot be trained on.

Tokenising and masking are done here and not by TRL: what leaves this room is, to the token, what the model is fed
(`tests/train/test_train_labels.py` reads it back from the trainer's batches). Talks are read in batches and never all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.errors import TrainError
from train import templates

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # a label that the loss leaves out
CHUNK = 1000  # samples read, tokenised and packed at once: bounds memory
# Why a row is left out. `malformed`: no user/assistant text; `empty_response`; `special_token`: content that spells a special
# token would end or fake a turn; `prompt_over_cutoff`: nothing that is trained is left below the cutoff; `held_out_copy`: token
# by token the same as a held-out sample.
REASONS = ("malformed", "empty_response", "special_token", "prompt_over_cutoff", "held_out_copy")
Talk = list[templates.Message]


@dataclass(frozen=True)
class Sample:
    """One tokenised talk: `ids` and `labels` are equally long; a label is the token's id, or IGNORED. `cut`: lost its end."""

    ids: list[int]
    labels: list[int]
    cut: bool = False


def path_of(folder: Path) -> Path:
    """The file with the training samples in a data folder."""
    return folder / "data" / "train.parquet"


def count_rows(folder: Path) -> int | None:
    """How many rows a data folder has, from the file's footer; None where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path_of(folder)).num_rows)
    except (OSError, pa.ArrowException):
        return None


def require_rows(folder: Path) -> int:
    """The same; raises TrainError where the file is missing, unreadable, empty or without a column `messages`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = path_of(folder)
    try:
        names, rows = pq.read_schema(path).names, int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    if "messages" not in names:
        raise _unreadable(path, f"its columns are {', '.join(names)}")
    if not rows:
        raise TrainError(f"{path}: holds no samples\n    -> see stats.json and rejected.parquet beside it for where they went")
    return rows


def read_talks(folder: Path, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, list[Talk]]]:
    """The talks of the rows `wanted` (ascending row numbers), in file order, at most CHUNK at once, with their row numbers.

    Row groups without a wanted row are not read. Raises TrainError where the file is damaged.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = path_of(folder)
    try:
        file = pq.ParquetFile(path, pre_buffer=False)
        start = 0
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            if np.searchsorted(wanted, start) < np.searchsorted(wanted, end):
                for batch in file.iter_batches(CHUNK, row_groups=[group], columns=["messages"]):
                    low, high = np.searchsorted(wanted, [start, start + len(batch)])
                    if low < high:
                        picked = batch.column(0).take(pa.array(wanted[low:high] - start))
                        yield wanted[low:high], [list(talk or []) for talk in picked.to_pylist()]
                    start += len(batch)
            start = end
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, why: object) -> TrainError:
    return TrainError(
        f"{path}: cannot be read as training data ({why})\n"
        "    -> give a data folder: data/train.parquet with a column `messages` (list of role, content)"
    )


class Tokeniser:
    """Talks -> samples, for a tokenizer with its template installed and a cutoff in tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, cutoff: int):
        self._tokenizer: Any = tokenizer
        self._cutoff = cutoff
        self._specials = tuple(templates.special_tokens(tokenizer))
        self._backend: Any = getattr(tokenizer, "backend_tokenizer", None)  # None: written in Python
        if self._backend is not None:  # set once: `encode` may run in several threads
            self._backend.no_truncation()
            self._backend.no_padding()
            self._backend.encode_special_tokens = False

    def encode(self, talks: Sequence[Talk]) -> list[Sample | str]:
        """For each talk its sample, or the reason (of REASONS) for which it is dropped. A sample longer than the cutoff loses its
        end and is marked as cut."""
        faults = [self._fault(talk) for talk in talks]
        usable = [talk for talk, fault in zip(talks, faults, strict=True) if fault is None]
        rendered = templates.segments_of_all(self._tokenizer, usable, self._specials)
        tokens = iter(self._ids([text for pieces in rendered for text, _ in pieces]))
        samples = iter([self._sample(pieces, tokens) for pieces in rendered])
        return [next(samples) if fault is None else fault for fault in faults]

    def _ids(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, with no token added."""
        if self._backend is not None:  # what calling the tokenizer does, without offsets and masks: a sixth less time
            return [encoding.ids for encoding in self._backend.encode_batch_fast(texts, add_special_tokens=False)]
        return list(self._tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]) if texts else []

    def _sample(self, pieces: list[tuple[str, bool]], tokens: Iterator[list[int]]) -> Sample | str:
        ids: list[int] = []
        labels: list[int] = []
        for _, trained in pieces:
            new = next(tokens)
            ids += new
            labels += new if trained else [IGNORED] * len(new)
        cut = len(ids) > self._cutoff
        if cut:
            del ids[self._cutoff :], labels[self._cutoff :]
        return "prompt_over_cutoff" if all(label == IGNORED for label in labels) else Sample(ids, labels, cut)

    def _fault(self, talk: Talk) -> str | None:
        """Why a talk cannot be trained on, as far as its text tells; None if nothing speaks against it."""
        roles = [message.get("role") for message in talk]
        if "user" not in roles or roles[-1] != "assistant" or any(not isinstance(m.get("content"), str) for m in talk):
            return "malformed"
        if any(m["role"] == "assistant" and not m["content"].strip() for m in talk):
            return "empty_response"
        if any(templates.spells_special(m["content"], self._specials) for m in talk):
            return "special_token"
        return None
