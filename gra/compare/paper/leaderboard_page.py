"""Writes results/paper_check/opendataarena.md, which shows the paper's rows beside those of OpenDataArena and says what
follows from the comparison and what does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from gra.compare.paper import opendataarena as oda
from gra.compare.paper.benchmarks import Benchmark
from gra.compare.paper.opendataarena import Entry
from gra.compare.paper.tables import BASES, SEEDS, RowKey, Table
from gra.compare.tables.numbers import MISSING
from gra.compare.tables.sheet import escape_markdown, markdown_table

KINDS = {"vanilla": "seed data", "gra": "GRA", "distilled_32b": "32B distilled", "distilled_72b": "72B distilled"}
SHOWN = {  # OpenDataArena's entries in the table, by name
    "Alpaca": "tuned on Alpaca (52k)",
    "WizardLM_evol_instruct_70k": "tuned on WizardLM (70k)",
    "WizardLM_evol_instruct_V2_196k": "tuned on WizardLM V2 (143k)",
}
OPENING = """\
# The paper's rows beside OpenDataArena's

Written by `gra claims --output results/paper_check`. [OpenDataArena](https://arxiv.org/abs/2512.14051) is a leaderboard of the
lab that the paper's authors belong to. It tuned the paper's two base models on {count} public data sets each and printed their
scores, and those of the untrained models, which the paper does not print. Its data are of 27 July 2025
(`results/paper/opendataarena.csv`). All numbers are percent; a dash means not reported. The paper's rows are its Table 1, as
printed. The paper does not say which release of WizardLM it used; where the two are set side by side, it is the one with 70k
samples.
"""
CLOSING = """\
## What does not follow

- **It is evidence, not proof.** OpenDataArena trained for three epochs with a warm-up of 0.1, used other prompts, and let a
  verifier model judge the answers to some benchmarks. Each of these moves scores, and by how much is not known.
- **Its own numbers show how far the form of answers reaches.** {form}
- **MATH is another test**: OpenDataArena's MATH-500 has 500 of the 5,000 items. IFEval is an average of several numbers there,
  and the paper does not say which of IFEval's numbers it prints. The items of MBPP are not stated.
- **It does not say that GRA data are no better than distilled data.** The paper measured both in one set-up, and a set-up that
  misses answers in another form can favour either of them. Only both arms, with the untrained model beside them, scored
  strictly and tolerantly on the same replies, can tell.
- It has no row for Condor, and no column for HellaSwag and MMLU, where {gap} of the {whole} points lie that separate GRA from
  72B data on {qwen} (mean over ten benchmarks and three seed sets).

## What to run first

The untrained student as an arm of its own, and every arm by both readings of the same replies: the claims about the size of
gains (A1, A3, A5 to A8) cannot be judged without it.
"""


def page(table: Table, benchmarks: Mapping[str, Benchmark], entries: Sequence[Entry]) -> str:
    """Return the page as Markdown. The numbers in its sentences are computed from the tables."""
    shared = {name: one for name, one in benchmarks.items() if one.opendataarena}
    count = len(oda.tuned(entries, BASES[0]))
    parts = [OPENING.format(count=count)]
    parts += [f"## {base}\n\n{_table(base, table, shared, entries)}\n" for base in BASES]
    parts.append("## What follows\n\n" + "\n".join(f"- {line}" for line in _follows(table, shared, entries)) + "\n")
    parts.append(CLOSING.format(form=_form(shared, entries), qwen=BASES[0], **_gap(table, benchmarks)))
    return "\n".join(parts)


def _table(base: str, table: Table, shared: Mapping[str, Benchmark], entries: Sequence[Entry]) -> str:
    lines = [
        ["paper", f"{seed}, {words}", *(str(table[RowKey(base, seed, data)].scores[name]) for name in shared)]
        for data, words in KINDS.items()
        for seed in SEEDS
    ]
    named: list[tuple[str, Entry | None]] = [("untrained", oda.untrained(entries, base))]
    named += [("tuned by its makers (Instruct)", one) for one in entries if one.base == base and one.kind == "instruct"]
    named += [(SHOWN[one.data], one) for one in oda.tuned(entries, base) if one.data in SHOWN]
    lines += [
        ["OpenDataArena", words, *(_two(oda.score(entry, one)) for one in shared.values())] for words, entry in named
    ]
    every = [oda.known(entries, base, one) for one in shared.values()]
    for words, pick in (("lowest", min), ("median", median), ("highest", max)):
        label = f"{words} of {len(oda.tuned(entries, base))} data sets"
        lines.append(["OpenDataArena", label, *(_two(float(pick(values))) for values in every)])
    return markdown_table(["source", "row", *shared], lines, words=2)


def _follows(table: Table, shared: Mapping[str, Benchmark], entries: Sequence[Entry]) -> list[str]:
    lines = []
    for base in BASES:
        plain = oda.untrained(entries, base)
        better, worse = [], []
        for name, one in shared.items():
            rows = [float(table[RowKey(base, seed, "gra")].scores[name]) for seed in SEEDS]
            own = oda.score(plain, one)
            if own is not None and own > max(rows):
                better.append(f"{name} {_two(own)} ({_two(min(rows))} to {_two(max(rows))})")
            elif own is not None and own < min(rows):
                worse.append(f"{name} {_two(own)} ({_two(min(rows))} to {_two(max(rows))})")
        lines.append(
            f"**The untrained {base} of OpenDataArena is above all three GRA rows of the paper** on "
            f"{'; '.join(better)}. It is below all three on {'; '.join(worse)}."
        )
    lines += [*_below_all(table, shared, entries), *_same_data(table, shared, entries)]
    lines.append(
        "So a gain over another tuned row of the paper need not be a gain over no tuning at all. The paper "
        "prints no untrained row. Where its tuned rows are below the untrained model, tuning may have cost "
        "knowledge, or only the form of answers that the benchmark reads; the scores alone do not say which."
    )
    return [escape_markdown(line).replace(r"\*\*", "**") for line in lines]


def _below_all(table: Table, shared: Mapping[str, Benchmark], entries: Sequence[Entry]) -> list[str]:
    """Return a sentence for each base model, kind of rows and benchmark where all of the paper's rows are below every
    data set of the leaderboard."""
    lines = []
    for base in BASES:
        for data, words in KINDS.items():
            for name, one in shared.items():
                rows = [float(table[RowKey(base, seed, data)].scores[name]) for seed in SEEDS]
                values = oda.known(entries, base, one)
                if max(rows) < min(values):
                    span = f"{_two(min(rows))} to {_two(max(rows))}"
                    lines.append(
                        f'The paper\'s three rows "{words}" on {base} have {name} {span}, below every one of the {len(values)} '
                        f"data sets of OpenDataArena (lowest {_two(min(values))})."
                    )
    return lines


def _same_data(table: Table, shared: Mapping[str, Benchmark], entries: Sequence[Entry]) -> list[str]:
    """Return a sentence for each base model and seed set that both sources have: the scores of both. The seed data are
    nearly the same."""
    lines = []
    for base in BASES:
        for seed in oda.has_seeds(entries, base):
            key = RowKey(base, seed, "vanilla")
            entry = oda.counterpart(entries, key)
            both = [
                f"{name} {table[key].scores[name]} / {_two(value)}"
                for name, one in shared.items()
                if (value := oda.score(entry, one)) is not None
            ]
            lines.append(f"{base} tuned on {seed}, the paper / OpenDataArena: {', '.join(both)}.")
    return lines


def _form(shared: Mapping[str, Benchmark], entries: Sequence[Entry]) -> str:
    """Return a sentence with the ARC-C scores of the base models as tuned by their makers."""
    found = {one.base: one for one in entries if one.kind == "instruct"}
    cells = [f"{found[base].data} {_two(oda.score(found[base], shared['arc_c']))}" for base in BASES if base in found]
    return (
        f"On ARC-C it has {' and '.join(cells)}. Guessing among four options gives 25, so the first number "
        "shows how answers were read, not what the model knows."
    )


def _gap(table: Table, benchmarks: Mapping[str, Benchmark]) -> dict[str, str]:
    """Return two differences in points, as texts. `whole`: by how much the first base model scores higher with GRA's
    data than with data from a 72B model; `gap`: how much of this comes from the benchmarks that the leaderboard lacks
    (HellaSwag and MMLU)."""
    gaps = {
        name: sum(
            float(
                table[RowKey(BASES[0], seed, "gra")].scores[name]
                - table[RowKey(BASES[0], seed, "distilled_72b")].scores[name]
            )
            for seed in SEEDS
        )
        / len(SEEDS)
        / len(benchmarks)
        for name in benchmarks
    }
    missing = sum(value for name, value in gaps.items() if not benchmarks[name].opendataarena)
    return {"gap": _two(missing), "whole": _two(sum(gaps.values()))}


def _two(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"
