"""The claims sheet: each rule's verdict, and the paper's own numbers fed as if they were a run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.compare.paper import claims
from gra.compare.paper.claims import FAILS, HOLDS, NOT_RUN, OPEN, decide, judge, verdicts, weights
from gra.compare.paper.claims_sheet import record, sheets
from gra.compare.paper.command import files, paper_evidence
from gra.compare.paper.evidence import Fact, PaperEvidence, Weights
from gra.compare.paper.tables import RowKey
from gra.compare.statistics.bootstrap import Range
from gra.errors import StoreError
from gra.paths import paper_dir

PAPER = paper_evidence()
PARTS = claims.load(paper_dir() / "claims.csv", tuple(PAPER.benchmarks))
JUDGED = judge(PARTS, PAPER, PAPER)


def test_fed_with_the_papers_numbers_every_delta_is_0() -> None:
    seen = [record(one) for one in JUDGED]
    changes = [str(line["delta"]) for line in seen if line["delta"] is not None]
    assert len(changes) > 100
    assert {float(value) for text in changes for value in text.split(";")} == {0.0}
    assert all(one.verdict == HOLDS for one in JUDGED if one.part.rule == "reproduced")


def test_what_the_numbers_say_including_claims_that_fail() -> None:
    alone = verdicts(JUDGED, numbers=True)
    steps = {f"C{n}.steps" for n in (1, 2, 4, 5, 6)}  # one round in five falls below the round before
    failing = {"A9.all", "A10.llama", "D3", "D1.cells", "D2.cells", "D3.cells"} | steps
    assert {claim for claim, verdict in alone.items() if verdict == FAILS} == failing
    unknown = {"E1", "E2", "E3", *(f"F{n}" for n in range(1, 7))}
    assert {claim for claim, verdict in alone.items() if verdict == NOT_RUN} == unknown
    for claim in ("A7", "A8", "A9", "A10", *(f"C{n}" for n in range(1, 9)), "C3.steps"):
        assert alone[claim] == HOLDS, claim


def test_with_the_sampling_error_of_single_scores_fewer_claims_are_decided() -> None:
    found = verdicts(JUDGED)
    for claim in ("A1", "A3", "A5", "A6", "A7", *(f"C{n}" for n in range(1, 7)), "C8"):
        assert found[claim] == HOLDS, claim
    for claim in ("A2", "A7.size", "A8", "A9", "A10", "C1.steps", "C3.steps", "C7"):
        assert found[claim] == OPEN, claim
    assert found["A9.all"] == FAILS
    assert found["D1.cells"] == FAILS  # Qwen2.5-7B, Condor: 5.11 points down


def test_counts_and_misprints_are_those_of_the_tables() -> None:
    lines = {one.part.says: one for one in JUDGED}
    wins = [
        sum(v is not None and v.value > 0 for v in one.ours)
        for one in JUDGED
        if one.part.claim in ("A9", "A10") and one.part.rule == "wins"
    ]
    assert wins == [10, 9, 9, 8, 8, 8, 7, 6, 7]
    llama = [
        sum(v is not None and v.value > 0 for v in one.ours)
        for one in JUDGED
        if one.part.claim == "A10.llama" and one.part.rule == "wins"
    ]
    assert llama == [2, 1, 3]  # the paper marks a second one with WizardLM: GPQA, where GRA and 72B data are equal
    first = lines["GRA beats the 72B model on Qwen2.5-7B, mean over the seed sets"]
    assert first.misprints == tuple(f"Qwen2.5-7B/{seed}/distilled_72b" for seed in ("Alpaca", "WizardLM", "Condor"))
    assert [round(100 * value.value, 2) for found in (first.printed, first.paper) for value in found if value] == [
        8.83,
        8.91,
    ]
    assert lines["GRA is level with the 72B model on Llama-3.1-8B, Condor"].misprints == ("Llama-3.1-8B/Condor/gra",)
    assert lines["GRA beats the seed data on Qwen2.5-7B, Alpaca"].misprints == ()


def test_the_printed_numbers_of_the_sheet_are_the_tables() -> None:
    """`stated` is typed by hand: where it is one number, it must be what the printed averages give, to the last digit or two."""
    for one in JUDGED:
        if (
            one.part.rule in ("beats", "level", "reproduced", "little")
            and len(one.printed) == 1
            and one.printed[0] is not None
        ):
            try:
                stated = float(one.part.stated)
            except ValueError:
                continue
            off = abs(100 * one.printed[0].value - stated)
            assert off < 0.021 or (one.part.claim in ("A5", "A6") and "mean over" in one.part.says), (
                one.part,
                off,
            )  # see claims A5, A6


@dataclass(frozen=True)
class Made:
    """Evidence that gives one interval for every contrast."""

    found: Range | None
    benchmarks = PAPER.benchmarks

    def contrast(self, _weights: Weights, _benchmarks: Sequence[str]) -> Range | None:
        return self.found

    def fact(self, _row: RowKey, _name: str) -> Fact | None:
        return None


@pytest.mark.parametrize(
    ("rule", "low", "high", "expected"),
    [
        ("beats", 0.001, 0.05, HOLDS), ("beats", -0.001, 0.05, OPEN), ("beats", -0.05, -0.001, FAILS),
        ("level", -0.019, 0.019, HOLDS), ("level", -0.03, 0.01, OPEN), ("level", 0.021, 0.05, FAILS),
        ("level", -0.05, -0.021, FAILS),
        ("little", -0.5, 0.019, HOLDS), ("little", 0.01, 0.03, OPEN), ("little", 0.021, 0.03, FAILS),
        ("about", 0.071, 0.109, HOLDS), ("about", 0.0, 0.1, OPEN), ("about", 0.0, 0.06, FAILS),
    ],
)  # fmt: skip
def test_rules(rule: str, low: float, high: float, expected: str) -> None:
    assert decide(rule, 9, [Range((low + high) / 2, low, high)], []) == expected
    assert decide(rule, 9, [Range((low + high) / 2, low, high), None], []) == NOT_RUN


def test_rules_of_counts() -> None:
    win, lose, tie = Range(0.1, 0.05, 0.2), Range(-0.1, -0.2, -0.05), Range(0.0, -0.1, 0.1)
    assert decide("wins", 2, [win, win, lose], []) == HOLDS
    assert decide("wins", 2, [win, tie, lose], []) == OPEN
    assert decide("wins", 2, [win, lose, lose], []) == FAILS
    assert decide("wins", 2, [win, Range(0, 0, 0), lose], []) == FAILS  # by the numbers a tie is not a win
    assert decide("sizes", 10_000, [Fact(10_000), Fact(9_600)], []) == HOLDS
    assert decide("sizes", 10_000, [Fact(10_000), Fact(9_400)], []) == FAILS
    assert [decide("share", 87.3, [Fact(share, 1000)], []) for share in (0.95, 0.873, 0.8)] == [HOLDS, OPEN, FAILS]
    assert [decide("seen", None, [Fact(n)], []) for n in (3, 0)] == [HOLDS, FAILS]


@given(st.lists(st.sampled_from([HOLDS, FAILS, OPEN, NOT_RUN]), min_size=1, max_size=5))
def test_a_claim_is_as_good_as_its_worst_part(parts: list[str]) -> None:
    one = JUDGED[0]
    made = [claims.Judged(one.part, (), (), (), verdict, verdict, ()) for verdict in parts]
    (found,) = verdicts(made).values()
    assert found == (FAILS if FAILS in parts else NOT_RUN if NOT_RUN in parts else OPEN if OPEN in parts else HOLDS)


def test_without_runs_nothing_is_judged() -> None:
    found = judge(PARTS, Made(None), PAPER)
    assert set(verdicts(found).values()) == {NOT_RUN}
    assert all(line["delta"] is None for one in found if (line := record(one)))
    sheets(found, "t", "s")


def test_a_reproduction_that_is_off_fails() -> None:
    found = judge(PARTS, Made(Range(0.9, 0.89, 0.91)), PAPER)
    assert {v for claim, v in verdicts(found).items() if claim.startswith("B")} == {FAILS}


def test_contrasts_are_read_as_written() -> None:
    found = weights("2 Qwen2.5-7B/*/gra_30k - Qwen2.5-7B/Alpaca/gra_10k")
    assert found[RowKey("Qwen2.5-7B", "Condor", "gra_30k")] == pytest.approx(2 / 3)
    assert found[RowKey("Qwen2.5-7B", "Alpaca", "gra_10k")] == -1
    with pytest.raises(ValueError, match="is not a sum of rows"):
        weights("something else")


def test_the_papers_error_is_that_of_its_scores() -> None:
    """One benchmark of one row: p (1 - p) / n; and no more than half a score's worth for a row with an average only."""
    key = RowKey("Qwen2.5-7B", "Alpaca", "gra")
    found = PAPER.contrast({key: 1.0}, ["humaneval"])
    assert found is not None
    assert (found.high - found.value) / 1.959964 == pytest.approx((0.7683 * 0.2317 / 164) ** 0.5, rel=1e-6)
    whole = tuple(PAPER.benchmarks)
    only = PAPER.contrast({RowKey("Qwen2.5-7B", "Alpaca", "refined"): 1.0}, whole)
    known = PAPER.contrast({key: 1.0}, whole)
    assert only is not None
    assert known is not None
    assert only.high - only.value > known.high - known.value
    assert PAPER.contrast({RowKey("Qwen2.5-7B", "Alpaca", "refined"): 1.0}, ["gsm8k"]) is None


@pytest.mark.parametrize(
    "line", ["A,s,yes,unknown,,,,,", "A,s,yes,beats,,none,,,", "A,s,yes,beats,,,a/b/c,,", "A,s,yes,beats,x,,,,"]
)
def test_a_broken_claim_names_its_line(tmp_path, line: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "claims.csv"
    path.write_text(f"claim,says,decides,rule,number,of,contrast,stated,needs\n{line}\n")
    with pytest.raises(StoreError, match="line 2"):
        claims.load(path, tuple(PAPER.benchmarks))


def test_the_committed_files_are_what_the_command_writes() -> None:
    folder = paper_dir().parent / "paper_check"
    made = files()
    assert sorted(path.name for path in folder.iterdir()) == sorted(made)
    for name, text in made.items():
        assert (folder / name).read_text(encoding="utf-8") == text, (
            f"{name}: run gra claims --output results/paper_check"
        )


def test_sentences_of_the_leaderboards_page_that_the_numbers_bear_out() -> None:
    text = files()["opendataarena.md"].replace("\n", " ")
    for words in (
        "gsm8k 79.98 (58.98 to 70.28)",
        "humaneval 77.44 (76.22 to 76.83)",
        "mbpp 71.60 (64.60 to 65.60)",
        "bbh 69.46 (60.57 to 63.99)",
        "humaneval 32.32 / 71.54",
        "bbh 32.18 to 38.75, below every one of the 89 data sets",
        "evidence, not proof",
        "three epochs",
    ):
        assert words in text


def test_printed_averages_are_used_only_on_request() -> None:
    key = RowKey("Llama-3.1-8B", "Condor", "gra")
    whole = tuple(PAPER.benchmarks)
    one = PAPER.contrast({key: 1.0}, whole)
    other = PaperEvidence(PAPER.table, PAPER.benchmarks, printed=True).contrast({key: 1.0}, whole)
    assert one is not None
    assert other is not None
    assert (round(one.value, 5), round(other.value, 4)) == (0.51158, 0.516)
