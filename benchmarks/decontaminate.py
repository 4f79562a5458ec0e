"""How long decontamination takes: 50,000 samples of about 200 words against about 25,000 benchmark items. Bar: 60 s, two cores.

    python benchmarks/decontaminate.py [--data-dir DIR] [--samples 50000] [--items 25000]

Samples (and items, where no folder of benchmarks is given) are made up: words of one to four syllables, by Zipf's law, in
sentences with case and punctuation. One sample in 100 is given 13 words of an item: each of these must be found, but for runs
that more items share than `max_items` allows. One core does it all. Prints seconds and peak memory; exit code 1 where the bar
is missed or a planted run is not found.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections.abc import Iterator
from itertools import accumulate, product

from gra.synthesis.decontamination.ngram_index import Index, Item, words
from gra.synthesis.decontamination.settings import DecontaminateSettings
from gra.synthesis.decontamination.sources import read_items, sources

BAR_S = 60.0
GRAMMAR = tuple(
    """
    the of and to a in is it that for on with as are be this by or
""".split()
)
EVERY = 100  # one sample in so many is contaminated on purpose


def vocabulary(count: int, rng: random.Random) -> list[str]:
    """Distinct words of one to four syllables, the short ones first, as frequent words are."""
    syllables = ["".join(pair) for pair in product("bdfgklmnprstvw", ("a", "e", "i", "o", "u", "an", "er", "ist"))]
    found: dict[str, None] = {}
    while len(found) < count:
        length = 1 if len(found) < 80 else 2 if len(found) < 6000 else rng.choice((3, 4))  # of 112 syllables
        found["".join(rng.choices(syllables, k=length))] = None
        if len(found) < 50:  # the grammar words of English make most of a text
            found |= dict.fromkeys(GRAMMAR)
    return list(found)


class Writer:
    """Text-like text: Zipf's law, sentences of 5 to 25 words."""

    def __init__(self, seed: int, size: int = 30_000):
        self.rng = random.Random(seed)
        self._words = vocabulary(size, self.rng)
        self._weights = list(accumulate(1 / (rank + 2.7) for rank in range(len(self._words))))

    def text(self, mean: int) -> str:
        """A text of `mean` words, give or take a half."""
        drawn = self.rng.choices(
            self._words, cum_weights=self._weights, k=max(1, int(mean * self.rng.uniform(0.5, 1.5)))
        )
        sentences = []
        while drawn:
            take = self.rng.randint(5, 25)
            sentences.append(" ".join(drawn[:take]).capitalize() + self.rng.choice(".,?!"))
            drawn = drawn[take:]
        return " ".join(sentences)


def made_up_items(count: int, writer: Writer) -> Iterator[Item]:
    """Questions of 8 to 120 words with an answer of some 40."""
    for number in range(count):
        yield Item("made_up", str(number), writer.text(writer.rng.randint(16, 80)), (writer.text(40),))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data-dir", help="folder of benchmarks as suite.data_dir has them; else the items are made up"
    )
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--items", type=int, default=25_000, help="of the made-up benchmark")
    args = parser.parse_args()
    settings = DecontaminateSettings(data_dir=args.data_dir)
    writer = Writer(0)
    found = sources(settings)
    items = (
        [item for source in found for item in read_items(source)] if found else list(made_up_items(args.items, writer))
    )
    texts = [[" ".join(words(text)) for text in (item.question, *item.answers)] for item in items]
    pieces = [said for said in (question.split() for question, *_ in texts) if len(said) >= settings.ngram]
    before = memory()

    start = time.perf_counter()
    index = Index(items, settings)
    built = time.perf_counter() - start
    total = {
        name: sum(getattr(held, name) for held in index.coverage().values())
        for name in ("items", "ngrams", "not_compared")
    }

    searching, planted, missed, boilerplate, hits, said = 0.0, 0, 0, 0, 0, 0
    run = ""
    for number in range(args.samples):
        instruction, response = writer.text(40), writer.text(160)
        if contaminated := number % EVERY == 0:
            piece = writer.rng.choice(pieces)
            begin = writer.rng.randint(0, len(piece) - settings.ngram)
            run = " ".join(piece[begin : begin + settings.ngram])
            response = f"{response} {run.replace(' ', ', ').upper()}! {writer.text(20)}"
        said += len(instruction.split()) + len(response.split())
        start = time.perf_counter()
        hit = index.find(instruction, response)
        searching += time.perf_counter() - start
        planted += contaminated
        if contaminated and hit is None:
            shared = (
                settings.max_items is not None and sum(any(run in t for t in own) for own in texts) > settings.max_items
            )
            boilerplate, missed = boilerplate + shared, missed + (not shared)
        hits += hit is not None
    seconds = built + searching
    print(f"items {total['items']:,} (not compared {total['not_compared']:,}), n-grams {total['ngrams']:,}")
    print(f"samples {args.samples:,}, {said / args.samples:.0f} words each")
    others = hits - planted + missed + boilerplate
    print(f"planted {planted:,}, of these boilerplate {boilerplate}, missed {missed}; other hits {others}")
    each = 1e6 * searching / args.samples
    print(f"seconds {seconds:.1f} (index {built:.1f}, search {searching:.1f}: {each:.0f} us a sample); bar {BAR_S:.0f}")
    print(f"peak memory {memory():.0f} MiB ({before:.0f} MiB before the index: Python, numpy and the items' texts)")
    return int(seconds > BAR_S or missed > 0)


def memory() -> float:
    """Peak resident memory of this process so far, MiB (Linux: ru_maxrss is in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
