"""Turns each row of a data folder's `data/train.parquet` into a tokenised sample with labels, or into the reason for
dropping it.

Tokenising and masking are done here, not by TRL, so that TRL cannot change the tokens that reach the model
(`tests/train/test_train_labels.py` reads them back from the trainer's batches). Conversations are read in batches,
never all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.errors import TrainError
from gra.train import templates

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # the label that the loss ignores
CHUNK = 1000  # samples read, tokenised and packed together; bounds memory
# Why a row is dropped. `malformed`: no user/assistant text; `empty_response`; `special_token`: the content spells a special token,
# which would end or fake a turn; `prompt_over_cutoff`: no trained token is left below the cutoff; `held_out_copy`: the same tokens
# as a held-out sample.
REASONS = ("malformed", "empty_response", "special_token", "prompt_over_cutoff", "held_out_copy")
Conversation = list[templates.Message]


@dataclass(frozen=True)
class Sample:
    """One tokenised conversation.

    `ids` and `labels` have equal lengths. A label is the token's id, or IGNORED if the token is not trained. `cut`:
    whether the conversation was truncated.
    """

    ids: list[int]
    labels: list[int]
    cut: bool = False


def path_of(folder: Path) -> Path:
    """Return the file with the training samples of the data folder `folder`."""
    return folder / "data" / "train.parquet"


def count_rows(folder: Path) -> int | None:
    """Return the number of rows of a data folder; None if it cannot be read. Only the footer of the folder's parquet
    file is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path_of(folder)).num_rows)
    except (OSError, pa.ArrowException):
        return None


def require_rows(folder: Path) -> int:
    """Return the number of rows of a data folder. Raises TrainError if the folder's parquet file is missing, unreadable
    or empty, or has no column `messages`."""
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
        raise TrainError(
            f"{path}: has no samples\n    -> see stats.json and rejected.parquet in the data folder for the reasons"
        )
    return rows


def read_conversations(folder: Path, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, list[Conversation]]]:
    """Yield (row numbers, conversations) for the rows `wanted` of a data folder, in file order, at most CHUNK rows at a
    time.

    `wanted`: row numbers in ascending order. Row groups of the file that contain none of these rows are not read.
    Raises TrainError if the file is damaged.
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
                        yield wanted[low:high], [list(conversation or []) for conversation in picked.to_pylist()]
                    start += len(batch)
            start = end
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, why: object) -> TrainError:
    return TrainError(
        f"{path}: cannot be read as training data ({why})\n"
        "    -> set a data folder: data/train.parquet with a column `messages` (list of role, content)"
    )


class Tokeniser:
    """Turns conversations into tokenised samples. `tokenizer`: a tokenizer on which the chat template is installed.
    `cutoff`: the maximum number of tokens of a sample."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, cutoff: int):
        self._tokenizer: Any = tokenizer
        self._cutoff = cutoff
        self._specials = tuple(templates.special_tokens(tokenizer))
        self._backend: Any = getattr(tokenizer, "backend_tokenizer", None)  # None: a tokenizer written in Python
        if self._backend is not None:  # set once, because `encode` can run in several threads
            self._backend.no_truncation()
            self._backend.no_padding()
            self._backend.encode_special_tokens = False

    def encode(self, conversations: Sequence[Conversation]) -> list[Sample | str]:
        """Return a sample for each conversation. If a conversation is dropped, return the reason (one of REASONS) in
        its place.

        A sample that is longer than the cutoff is truncated and marked as cut.
        """
        faults = [self._fault(conversation) for conversation in conversations]
        usable = [conversation for conversation, fault in zip(conversations, faults, strict=True) if fault is None]
        rendered = templates.segments_of_all(self._tokenizer, usable, self._specials)
        tokens = iter(self._ids([text for pieces in rendered for text, _ in pieces]))
        samples = iter([self._sample(pieces, tokens) for pieces in rendered])
        return [next(samples) if fault is None else fault for fault in faults]

    def _ids(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of each text, without added tokens."""
        if self._backend is not None:  # like calling the tokenizer, but without offsets and masks: a sixth less time
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

    def _fault(self, conversation: Conversation) -> str | None:
        """Return why a conversation cannot be trained on; None if it can."""
        roles = [message.get("role") for message in conversation]
        if (
            "user" not in roles
            or roles[-1] != "assistant"
            or any(not isinstance(m.get("content"), str) for m in conversation)
        ):
            return "malformed"
        if any(m["role"] == "assistant" and not m["content"].strip() for m in conversation):
            return "empty_response"
        if any(templates.spells_special(m["content"], self._specials) for m in conversation):
            return "special_token"
        return None
