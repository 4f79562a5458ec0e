"""PURE: finds texts that share several consecutive words (a run of words) with a benchmark item. An index makes the
search fast.

A text hits an item if it contains

- one of the item's 13-grams (`ngram`), if the question has at least 13 words;
- one of its 8-grams (`short_ngram`), if the question has 8 to 12 words;
- the whole question, if it has 5 (`min_words`) to 7 words. Shorter questions are not compared: "What is it?" is not
  evidence.

Answers are compared by their 13-grams only, because a shared "yes" or "18" is not evidence. A run of words that more
than 10 (`max_items`) items share is boilerplate of the benchmark ("Which of the following statements is true of ...")
and is not compared. If all runs of an item are boilerplate, the item is compared whole. Items that cannot be compared
at all are counted (`Coverage`).

Sources. Brown et al. 2020 (GPT-3, arXiv 2005.14165), section 4 and appendix C: 13-gram overlap; n is 8 to 13, depending
on the items' length (below 8, matches become spurious); an item shorter than its n is compared whole; 13-grams with
more than 10 matches are ignored as common phrases. GPT-3 counts matches over training documents; here they are counted
over benchmark items, because samples are streamed. 8-grams are also used by Chowdhery et al. 2022 (PaLM, arXiv
2204.02311) and Lambert et al. 2024 (Tulu 3, arXiv 2411.15124). Both require that a certain proportion of the item
matches; here one n-gram is enough, which is stricter. `min_words` has no source.

Words: Unicode NFKC, case folded, apostrophes removed (Janet's = Janets); any other character except letters, digits and
inner underscores separates words. In a script without spaces, a whole piece of text is one word, so such texts are not
usefully compared. Paraphrases and translations are not found (Yang et al. 2023, arXiv 2311.04850): this is a check for
copies.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gra.synthesis.decontamination.settings import DecontaminateSettings

_WORD = re.compile(r"[^\W_]+(?:_+[^\W_]+)*")
_APOSTROPHES = {ord(mark): None for mark in "'\u2019\u2018\u02bc\u0060\u00b4"}
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so multiplication by it is a bijection of the 64-bit numbers
_BLOCK = 1 << 16  # positions hashed at a time
_UNKNOWN = 0  # the number of every word that is in no benchmark


@dataclass(frozen=True)
class Item:
    """One item of a benchmark: a question and its right answer. `answers`: the right answer in one or several forms.
    Empty if there is none."""

    benchmark: str
    id: str
    question: str
    answers: tuple[str, ...] = ()


WITHHELD = "(not quoted: GPQA's authors ask that no item be shown in plain text)"


@dataclass(frozen=True)
class Hit:
    """A match: `n` consecutive words that a text shares with a benchmark item. `ngram`: these words, normalised. If the
    benchmark's items must not be quoted, `ngram` is the text `WITHHELD`."""

    benchmark: str
    item: str
    n: int
    ngram: str

    def __str__(self) -> str:
        return f"{self.benchmark}/{self.item}: {self.ngram}"


@dataclass(frozen=True)
class Coverage:
    """How much of one benchmark the index can compare.

    `items`: the number of items. `ngrams`: the number of different n-grams in the index. An n-gram that several
    benchmarks share counts only for the first of them. `whole`: the number of items whose question is compared as a
    whole instead of by its n-grams. `not_compared`: the number of items that cannot be compared. These items are too
    short, or their n-grams occur in too many items.
    """

    items: int
    ngrams: int
    whole: int
    not_compared: int


def words(text: str) -> list[str]:
    """Return the words of `text`, normalised as the module docstring says."""
    folded = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(folded.translate(_APOSTROPHES))


class Index:
    """An index of the n-grams of benchmark items. An n-gram is found by its hash and then compared word by word, so
    there are no false matches. The index takes 20 to 28 bytes of memory per n-gram, and the memory of the words
    themselves."""

    def __init__(self, items: Iterable[Item], settings: DecontaminateSettings):
        self._numbers: dict[str, int] = {}
        self._items: list[tuple[str, str]] = []
        self._settings = settings
        spans = _Spans()
        for item in items:
            self._items.append((item.benchmark, item.id))
            for text, is_answer in ((item.question, False), *((a, True) for a in item.answers)):
                numbers = (self._numbers.setdefault(word, len(self._numbers) + 1) for word in words(text))
                spans.add(len(self._items) - 1, numbers, is_answer)
        spans.close()
        self._spans = spans
        self._weights = _mix(len(self._numbers) + 1)
        self._runs, self._whole = self._build()

    def find(self, *texts: str) -> Hit | None:
        """Return the first run of consecutive words that one of the texts shares with a benchmark item. None if there
        is none. The search is first for runs of 13 words (`ngram`), then of 8 words (`short_ngram`), then for whole
        questions."""
        found = [words(text) for text in texts]
        said = [word for part in found for word in (*part, "")]  # "" is in no benchmark: no run spans two texts
        number_of = self._numbers.get
        numbers = np.array([number_of(word, _UNKNOWN) for word in said], np.int32)
        for table in self._runs:
            for place, position in table.candidates(_hashes(numbers, table.n, self._weights)):
                if self._same(numbers, place, position, table.n):
                    return self._hit(position, said[place : place + table.n])
        for place, position in self._whole.candidates(_hashes(numbers, self._whole.n, self._weights)):
            length = self._spans.length_at(position)
            if self._same(numbers, place, position, length):
                return self._hit(position, said[place : place + length])
        return None

    def coverage(self) -> dict[str, Coverage]:
        """Return how much of each benchmark the index can compare."""
        total = Counter(benchmark for benchmark, _ in self._items)
        ngrams: Counter[str] = Counter()
        for table in self._runs:
            owners, counts = np.unique(self._spans.owners(table.positions), return_counts=True)
            for owner, count in zip(owners.tolist(), counts.tolist(), strict=True):
                ngrams[self._items[owner][0]] += count
        whole_items = set(self._spans.owners(self._whole.positions).tolist())
        whole = Counter(self._items[owner][0] for owner in whole_items)
        compared = self._by_runs | whole_items
        left = Counter(benchmark for i, (benchmark, _) in enumerate(self._items) if i not in compared)
        return {name: Coverage(total[name], ngrams[name], whole[name], left[name]) for name in sorted(total)}

    def _build(self) -> tuple[list[_Table], _Table]:
        settings, spans = self._settings, self._spans
        sizes = [settings.ngram] + ([settings.short_ngram] if settings.short_ngram is not None else [])
        tables = []
        # One flag per text, not per item: an answer with runs does not make up for a question without.
        covered = np.zeros(len(spans.items), bool)
        longer: int | None = None
        for n in sizes:
            positions = spans.starts(n, longer, answers=n == settings.ngram)
            keys = _hashes_at(spans.text, positions, n, self._weights)
            table, texts = _distinct(n, keys, positions, spans, settings.max_items)
            covered[texts] = True
            tables.append(table)
            longer = n
        self._by_runs = set(spans.items[covered].tolist())
        return tables, self._build_whole(covered)

    def _build_whole(self, covered: np.ndarray) -> _Table:
        """Return the table of the questions that are compared whole. They are found by the hash of their first
        `min_words` words."""
        settings, spans = self._settings, self._spans
        n = settings.min_words
        rows = np.flatnonzero(spans.is_question & (spans.lengths >= n) & ~covered)
        texts = [spans.text[spans.begins[i] : spans.begins[i] + spans.lengths[i]].tobytes() for i in rows]
        often, limit = Counter(texts), settings.max_items
        kept = [spans.begins[i] for i, text in zip(rows, texts, strict=True) if limit is None or often[text] <= limit]
        positions = np.array(kept, np.uint32)
        keys = _hashes_at(spans.text, positions, n, self._weights)
        order = np.argsort(keys, kind="stable")
        return _Table(n, keys[order], positions[order])

    def _same(self, numbers: np.ndarray, place: int, position: int, n: int) -> bool:
        return np.array_equal(numbers[place : place + n], self._spans.text[position : position + n])

    def _hit(self, position: int, run: Sequence[str]) -> Hit:
        benchmark, item = self._items[self._spans.owner(position)]
        shown = WITHHELD if benchmark.startswith("gpqa") else " ".join(run)
        return Hit(benchmark, item, len(run), shown)


class _Table:
    """A table of runs of `n` words: their hashes in ascending order, and the position in the items' texts at which each
    run begins. A second table (8 to 16 bytes per run) marks which first bits of hashes occur. For most runs of a new
    text, it shows without a search that the hash does not occur."""

    def __init__(self, n: int, keys: np.ndarray, positions: np.ndarray):
        self.n, self.keys, self.positions = n, keys, positions
        bits = max(8, (8 * len(keys)).bit_length())
        self._shift = np.uint64(64 - bits)
        self._taken = np.zeros(1 << bits, bool)
        self._taken[keys >> self._shift] = True

    def candidates(self, hashes: np.ndarray) -> Iterator[tuple[int, int]]:
        """Find the n-grams of a text whose hashes also occur in the index. For each match, yield the position of the
        n-gram in the text and its position in the benchmark items' texts. `hashes`: the hashes of all n-grams of the
        text, in order."""
        if not len(self.keys) or not len(hashes):
            return
        places = np.flatnonzero(self._taken[hashes >> self._shift])
        left = self.keys.searchsorted(hashes[places])
        found = self.keys[np.minimum(left, len(self.keys) - 1)] == hashes[places]
        for place, first in zip(places[found].tolist(), left[found].tolist(), strict=True):
            entry = first
            while entry < len(self.keys) and self.keys[entry] == hashes[place]:
                yield place, int(self.positions[entry])
                entry += 1


class _Spans:
    """All texts of all items as one array of word numbers, with the beginning, length and item of each text."""

    def __init__(self) -> None:
        self._text, self._begins, self._lengths, self._items = array("i"), array("q"), array("q"), array("i")
        self._is_question = array("b")

    def add(self, item: int, numbers: Iterable[int], is_answer: bool) -> None:
        self._begins.append(len(self._text))
        self._text.extend(numbers)
        self._lengths.append(len(self._text) - self._begins[-1])
        self._text.append(_UNKNOWN)  # a separator: each text begins at a different position, even an empty one
        self._items.append(item)
        self._is_question.append(not is_answer)

    def close(self) -> None:
        self.text = np.frombuffer(self._text, np.int32) if self._text else np.empty(0, np.int32)
        self.begins, self.lengths = np.array(self._begins, np.int64), np.array(self._lengths, np.int64)
        self.items, self.is_question = np.array(self._items, np.int32), np.array(self._is_question, bool)

    def starts(self, n: int, longer: int | None, *, answers: bool) -> np.ndarray:
        """Return the positions at which n-grams of `n` words begin, in ascending order, as uint32. Only texts with at
        least `n` words are used. If `longer` is not None, it is an upper limit: a text must have fewer words than this
        number. Questions are always used, answers only if `answers` is true."""
        chosen = (self.lengths >= n) & (self.is_question | answers)
        if longer is not None:
            chosen &= self.lengths < longer
        begins, counts = self.begins[chosen].astype(np.uint32), self.lengths[chosen] - n + 1
        before = np.cumsum(counts) - counts
        return np.repeat(begins - before.astype(np.uint32), counts) + np.arange(counts.sum(), dtype=np.uint32)

    def which(self, positions: np.ndarray) -> np.ndarray:
        """Return the number of the text in which each position lies, as int32."""
        per_position = np.repeat(np.arange(len(self.items), dtype=np.int32), self.lengths + 1)  # with the separator
        return per_position[positions]

    def owners(self, positions: np.ndarray) -> np.ndarray:
        """Return the number of the item in whose texts each position lies, as int32."""
        return self.items[self.which(positions)]

    def owner(self, position: int) -> int:
        """Return the number of the item in whose texts the position lies."""
        return int(self.items[np.searchsorted(self.begins, position, side="right") - 1])

    def length_at(self, position: int) -> int:
        """Return the number of words of the text that begins at `position`."""
        return int(self.lengths[np.searchsorted(self.begins, position)])


def _distinct(
    n: int, keys: np.ndarray, positions: np.ndarray, spans: _Spans, limit: int | None
) -> tuple[_Table, np.ndarray]:
    """Return a table of runs of `n` words, and the numbers of all texts that contain a run of the table. `keys` and
    `positions`: the hash and the position of each run. The table has each run only once, with its first position. It
    leaves out runs that more than `limit` items share, unless `limit` is None."""
    order = np.argsort(keys, kind="stable")
    keys, positions = keys[order], positions[order]
    if not len(keys):
        return _Table(n, keys, positions), np.empty(0, np.int64)
    texts = spans.which(positions)
    owners = spans.items[texts]
    first = np.r_[True, keys[1:] != keys[:-1]]
    groups = np.flatnonzero(first)
    holders = np.add.reduceat((first | np.r_[True, owners[1:] != owners[:-1]]).astype(np.int64), groups)
    keep = np.ones(len(groups), bool) if limit is None else holders <= limit
    sizes = np.diff(np.r_[groups, len(keys)])
    return _Table(n, keys[groups[keep]], positions[groups[keep]]), np.unique(texts[np.repeat(keep, sizes)])


def _mix(count: int) -> np.ndarray:
    """Return a well-spread 64-bit number for each of 0..count-1 (splitmix64's finaliser), the same in every process."""
    x = (np.arange(count, dtype=np.uint64) + np.uint64(1)) * _MULTIPLIER
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _hashes(numbers: np.ndarray, n: int, weights: np.ndarray) -> np.ndarray:
    """Return the hash of every run of `n` words as uint64 [max(len - n + 1, 0)]. It is a polynomial in the words' weights modulo
    2^64."""
    count = len(numbers) - n + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    spread = weights[numbers]
    total = spread[:count].copy()
    for k in range(1, n):
        total *= _MULTIPLIER
        total += spread[k : k + count]
    return total


def _hashes_at(numbers: np.ndarray, positions: np.ndarray, n: int, weights: np.ndarray) -> np.ndarray:
    """Return the hashes of the runs that begin at `positions` as uint64 [len(positions)]. It works in blocks, so memory does not
    grow with n."""
    total = np.zeros(len(positions), np.uint64)
    for begin in range(0, len(positions), _BLOCK):
        block = positions[begin : begin + _BLOCK].astype(np.int64)
        here = total[begin : begin + _BLOCK]
        for k in range(n):
            here *= _MULTIPLIER
            here += weights[numbers[block + k]]
    return total
