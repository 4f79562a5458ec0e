"""Selects the samples to train on and the samples to hold out from the rows of data folders, and counts what becomes of
every row.

Only rows that the selection needs are tokenised. Their tokens go to flat files in the working folder (`Scratch`), so
memory grows by some tens of bytes per row, however long the texts are.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gra.errors import TrainError
from gra.train.data import mixture
from gra.train.data import rows as data
from gra.train.settings import SftSettings

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)
UNSEEN, USABLE, FIRST_REASON = 0, 1, 2  # the state of a row; FIRST_REASON + i: dropped for data.REASONS[i]
COPY = FIRST_REASON + data.REASONS.index("held_out_copy")
SAY_EVERY = 15.0  # seconds between two progress lines
LOW, HIGH = 0.5, 0.95  # the quantiles of lengths that are reported
Picks = list[tuple["Source", np.ndarray]]  # the selected rows of each folder, ascending


class Scratch:
    """Two files with the tokens of all samples, one sample after the other. One file holds the token ids (int32). The
    other holds for each token whether it is trained (bool)."""

    def __init__(self, folder: Path):
        self._paths = folder / "ids.int32", folder / "trained.bool"
        self._files = [path.open("wb") for path in self._paths]
        self.size = 0  # tokens so far

    def add(self, samples: Sequence[data.Sample]) -> None:
        """Append the tokens of `samples`."""
        ids, labels = _flat([sample.ids for sample in samples]), _flat([sample.labels for sample in samples])
        for file, values in zip(self._files, (ids, labels != data.IGNORED), strict=True):
            values.tofile(file)
        self.size += len(ids)

    def table(self, starts: np.ndarray, lengths: np.ndarray) -> pa.Table:
        """Return some samples as a table with the columns input_ids and labels (lists of int32).

        Sample i of the table begins at token `starts[i]` of the two scratch files and has `lengths[i]` tokens.
        """
        import pyarrow as pa

        for file in self._files:
            file.flush()
        kinds = np.int32, np.bool_
        # "c" makes a private map; "r" would make a shared map, which some file systems refuse
        every, marks = (
            np.memmap(path, kind, "c").view(np.ndarray) for path, kind in zip(self._paths, kinds, strict=True)
        )
        parts = [slice(a, a + n) for a, n in zip(starts.tolist(), lengths.tolist(), strict=True)]
        ids = np.concatenate([every[part] for part in parts])
        labels = np.where(np.concatenate([marks[part] for part in parts]), ids, np.int32(data.IGNORED))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        return pa.table(
            {"input_ids": pa.ListArray.from_arrays(offsets, ids), "labels": pa.ListArray.from_arrays(offsets, labels)}
        )

    def remove(self) -> None:
        """Close and delete the files."""
        for file, path in zip(self._files, self._paths, strict=True):
            file.close()
            path.unlink()


class Source:
    """One data folder. For each of its rows it records whether the row can be used, how long it is, and where its
    tokens are in the scratch files."""

    def __init__(self, name: str, folder: Path):
        self.name, self.folder = name, folder
        self.rows = data.require_rows(folder)
        self.fate = np.zeros(self.rows, np.uint8)
        self.cut = np.zeros(self.rows, np.bool_)
        self.length, self.trained = np.zeros(self.rows, np.int32), np.zeros(self.rows, np.int32)
        self.start, self.digest = np.zeros(self.rows, np.int64), np.zeros(self.rows, np.uint64)
        self._said = time.monotonic()

    def tokenise(self, rows: np.ndarray, tokeniser: data.Tokeniser, scratch: Scratch) -> None:
        """Tokenise the rows whose indices are in `rows`, and add their tokens to the files of `scratch`. Rows that are
        already tokenised are skipped."""
        wanted = np.sort(rows[self.fate[rows] == UNSEEN])
        done = 0
        for numbers, results in _encode_ahead(tokeniser, data.read_conversations(self.folder, wanted)):
            samples = [sample for sample in results if not isinstance(sample, str)]
            start = scratch.size
            for row, result in zip(numbers.tolist(), results, strict=True):
                if isinstance(result, str):
                    self.fate[row] = FIRST_REASON + data.REASONS.index(result)
                    continue
                self.fate[row], self.cut[row] = USABLE, result.cut
                self.start[row], self.length[row] = start, len(result.ids)
                self.trained[row] = len(result.ids) - result.labels.count(data.IGNORED)
                self.digest[row] = _digest(result.ids)
                start += len(result.ids)
            scratch.add(samples)
            done += len(numbers)
            if time.monotonic() - self._said > SAY_EVERY:
                self._said = time.monotonic()
                log.info("%s: %d of %d rows tokenised", self.name, done, len(wanted))

    def dropped(self) -> dict[str, int]:
        """Return how many of the tokenised rows were dropped, by reason."""
        counts = np.bincount(self.fate, minlength=FIRST_REASON + len(data.REASONS))[FIRST_REASON:]
        return {reason: int(n) for reason, n in zip(data.REASONS, counts, strict=True) if n}


class Selection:
    """The selection of the samples of one training set. Call the method `held_out` first, which selects the held-out
    samples. Then call the method `training`, which selects the samples to train on from the remaining rows."""

    def __init__(
        self, sft: SftSettings, seed: int, folders: Mapping[str, Path], tokeniser: data.Tokeniser, scratch: Scratch
    ):
        self.sft, self.seed = sft, seed
        self.sources = {name: Source(name, folder) for name, folder in folders.items()}
        self._tokeniser, self._scratch = tokeniser, scratch
        self._held: Picks = []
        self._held_digests = np.zeros(0, np.uint64)

    def held_out(self) -> Picks:
        """Return the samples for the validation loss. The seed decides which samples these are.

        Call this method before the method `training`. Raises TrainError if there are too few usable samples.
        """
        count = mixture.held_out_count(self.sft, {name: source.rows for name, source in self.sources.items()})
        for name, share in mixture.shares(count, mixture.weights(self.sft)).items() if count else ():
            source = self.sources[name]
            rows = self._take(source, mixture.held_out_order(name, source.rows, self.seed), share)
            if len(rows) < share:
                raise TrainError(
                    f"sft.held_out={self.sft.held_out} needs {share} samples of {source.folder}, but only {len(rows)} can be used\n"
                    "    -> set it lower, or null"
                )
            self._held.append((source, np.sort(rows)))
        if self._held:
            self._held_digests = np.unique(np.concatenate([source.digest[rows] for source, rows in self._held]))
        return self._held

    def training(self) -> Picks:
        """Return the samples to train on. Raises TrainError if there are none or if, in a mixture, there are fewer than
        `sft.limit`."""
        mixed, limit = self.sft.mix is not None, self.sft.limit
        weights = mixture.weights(self.sft)
        counts: Mapping[str, int | None] = (
            mixture.shares(limit, weights) if mixed and limit else dict.fromkeys(weights, limit)
        )
        picks = [
            (source, self._take(source, self._order(source), counts[name])) for name, source in self.sources.items()
        ]
        if mixed and any(len(rows) != counts[source.name] for source, rows in picks):
            picks = self._as_many_as_weights_allow(weights)
        if not any(len(rows) for _, rows in picks):
            raise self._nothing()
        return [(source, np.sort(rows)) for source, rows in picks]

    def _as_many_as_weights_allow(self, weights: Mapping[str, float]) -> Picks:
        """Return the largest mixture of usable rows. Raises TrainError if `sft.limit` is larger."""
        usable = {name: self._take(source, self._order(source), None) for name, source in self.sources.items()}
        most = mixture.largest(weights, {name: len(rows) for name, rows in usable.items()}, self.sft.limit)
        if self.sft.limit is not None and most < self.sft.limit:
            found = ", ".join(f"{name}: {len(rows)}" for name, rows in usable.items())
            raise TrainError(
                f"sft.limit={self.sft.limit} samples with the weights of sft.mix are more than the folders have (usable: {found})\n"
                f"    -> set sft.limit={most} or less, other weights, or null (as many as possible)"
            )
        return [(self.sources[name], usable[name][:count]) for name, count in mixture.shares(most, weights).items()]

    def _order(self, source: Source) -> list[int]:
        """Return the rows available for training, in the order in which they are taken."""
        if self.sft.limit is None and self.sft.mix is None:
            rows: Sequence[int] = range(source.rows)
        else:
            rows = mixture.order(source.name, source.rows, self.seed, self.sft.mix is not None)
        held = {row for other, taken in self._held if other is source for row in taken.tolist()}
        return [row for row in rows if row not in held]

    def _take(self, source: Source, order: Sequence[int], count: int | None) -> np.ndarray:
        """Return the first `count` usable rows of `order`, in that order. If `count` is None or larger than the number
        of usable rows, return all usable rows.

        Whether a row is usable is known only after it is tokenised. Rows are tokenised in waves; each wave is one pass
        over the file. The first wave has `count` rows. The number of rows in a later wave is the largest of these: the
        number of rows still missing, data.CHUNK, and a quarter of the rows tried so far.
        """
        rows, at = np.asarray(order, np.int64), 0
        taken: list[np.ndarray] = []
        missing = len(rows) if count is None else count
        while missing > 0 and at < len(rows):
            wave = rows[at : at + max(missing, data.CHUNK, at // 4)] if at else rows[:missing]
            source.tokenise(wave, self._tokeniser, self._scratch)
            if len(self._held_digests):
                copies = wave[(source.fate[wave] == USABLE) & np.isin(source.digest[wave], self._held_digests)]
                source.fate[copies] = COPY
            usable = wave[source.fate[wave] == USABLE][:missing]
            taken.append(usable)
            missing -= len(usable)
            at += len(wave)
        return np.concatenate(taken) if taken else np.zeros(0, np.int64)

    def _nothing(self) -> TrainError:
        rows = sum(source.rows for source in self.sources.values())
        reasons = ", ".join(f"{reason}: {n}" for reason, n in sorted(_sum(self.sources.values()).items()))
        return TrainError(
            f"none of the {rows} samples can be trained on ({reasons or 'all are held out'})\n"
            "    -> prompt_over_cutoff: raise sft.cutoff_length; for other reasons correct the data"
        )


def _encode_ahead(
    tokeniser: data.Tokeniser, batches: Iterator[tuple[np.ndarray, list[data.Conversation]]]
) -> Iterator[tuple[np.ndarray, list[data.Sample | str]]]:
    """Tokenise `batches` in two threads, and yield the row numbers and results of each batch, in order.

    The tokenizer releases the GIL: while it works on one batch, Python renders the text of the other.
    """
    waiting: deque[tuple[np.ndarray, Future[list[data.Sample | str]]]] = deque()
    with ThreadPoolExecutor(2) as pool:
        for numbers, conversations in batches:
            waiting.append((numbers, pool.submit(tokeniser.encode, conversations)))
            if len(waiting) > 2:
                rows, future = waiting.popleft()
                yield rows, future.result()
        for rows, future in waiting:
            yield rows, future.result()


def account(selection: Selection, training: Picks, held: Picks) -> dict[str, Any]:
    """Return what became of the rows, and statistics of the samples' lengths. `training`, `held`: the selected rows.

    A row becomes a sample to train on, is held out, is dropped, or is not drawn. The numbers of these four kinds of
    rows add up to the number of rows.
    """
    rows = sum(source.rows for source in selection.sources.values())
    dropped = _sum(selection.sources.values())
    kept, aside = _statistics(training, selection.sft.cutoff_length), _statistics(held, selection.sft.cutoff_length)
    left = rows - kept["samples"] - aside["samples"] - sum(dropped.values())
    found = {"rows": rows, "dropped": dropped, "not_drawn": left, **kept, "held_out": aside if held else None}
    if selection.sft.mix is not None:
        found["folders"] = {
            source.name: {"rows": source.rows, "dropped": source.dropped(), **_statistics([(source, rows)])}
            for source, rows in training
        }
    return found


def _sum(sources: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for source in sources:
        for reason, n in source.dropped().items():
            total[reason] = total.get(reason, 0) + n
    return dict(sorted(total.items()))


def _statistics(picks: Picks, cutoff: int | None = None) -> dict[str, Any]:
    """Return samples, truncated, tokens and trained_tokens.

    With `cutoff` the lengths and their histogram (doubling buckets) are added.
    """
    lengths = np.sort(np.concatenate([np.zeros(0, np.int32), *(source.length[rows] for source, rows in picks)]))
    found: dict[str, Any] = {
        "samples": len(lengths),
        "truncated": sum(int(source.cut[rows].sum()) for source, rows in picks),
        "tokens": int(lengths.sum(dtype=np.int64)),
        "trained_tokens": sum(int(source.trained[rows].sum(dtype=np.int64)) for source, rows in picks),
    }
    if cutoff is not None and len(lengths):
        quantile = {name: int(lengths[int(q * (len(lengths) - 1))]) for name, q in (("median", LOW), ("p95", HIGH))}
        ends = {"min": int(lengths[0]), "max": int(lengths[-1]), "mean": found["tokens"] / len(lengths)}
        found |= {"length": {**quantile, **ends}, "histogram": list(_histogram(lengths, cutoff))}
    return found


def _histogram(lengths: np.ndarray, cutoff: int) -> Iterator[dict[str, int]]:
    """Yield the number of samples by length in tokens: up to 16, 32, 64 and so on, and up to the cutoff. `lengths` are sorted."""
    below, bound = 0, 16
    while below < len(lengths):
        bound = min(bound, cutoff)
        upto = int(np.searchsorted(lengths, bound, side="right"))
        yield {"up_to": bound, "samples": upto - below}
        below, bound = upto, bound * 2


def _flat(lists: Sequence[list[int]]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int32), *(np.array(values, np.int32) for values in lists)])


def _digest(ids: list[int]) -> int:
    """Return a 64-bit hash of the tokens. The probability that two of n different samples have the same hash is about
    n^2 / 2^65."""
    return int.from_bytes(hashlib.blake2b(np.asarray(ids, np.int32).tobytes(), digest_size=8).digest(), "big")
