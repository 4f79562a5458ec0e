"""Progress: rates and times left by properties, what is printed where, the panel at several widths, and status.json."""

from __future__ import annotations

import io
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gra.reasons import REASONS
from gra.synthesis.committee.records import CallRecord, Outcome, Roles
from gra.synthesis.engine.engine import Traffic
from gra.synthesis.progress import terminal as shown
from gra.synthesis.progress.state import GROUPS, Funnel, Rates, Snapshot, State, Window, calls_expected, seconds_left
from gra.synthesis.progress.terminal import Progress, line, panel
from gra.terminal import short, span

SNAPSHOT = Snapshot(
    stage="round 2",
    round=2,
    rounds=5,
    elapsed_s=4000.4,
    stage_s=70.0,
    done=1234,
    total=1000,
    need=1040,
    funnel=Funnel(1234, {"check": 101, "gate": 340, "instruction": 12, "other": 3}, 778, 610, 40),
    requested=15_064,
    answered=15_000,
    replayed=1200,
    tokens_in=3_000_000,
    tokens_out=700_000,
    rates=Rates(312.4, 30_100.0, 11_100.0),
    in_flight={f"model-{i}": i for i in range(6)},
    servers_out=(),
    eta_s=185.0,
    eta_run_s=7300.0,
)
START = replace(
    SNAPSHOT,
    stage="",
    round=None,
    rounds=None,
    total=None,
    need=None,
    funnel=Funnel(),
    rates=None,
    in_flight={},
    servers_out=None,
    eta_s=None,
    eta_run_s=None,
    done=0,
    requested=0,
    answered=0,
    replayed=0,
)
LOST = replace(SNAPSHOT, servers_out=("http://host-a.example:8000/v1", "http://host-b.example:8000/v1"))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def outcome(index: int, accepted: bool, calls: int, reason: str = "below_tau") -> Outcome:
    return Outcome(
        f"r1-{index}",
        1,
        index,
        "coding",
        Roles("a", ("b",), None, "a"),
        (),
        "accepted" if accepted else "rejected",
        "" if accepted else reason,
        calls=tuple(CallRecord("k", "s", "r", "a") for _ in range(calls)),
    )


# -- numbers ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0.01, 20), st.integers(0, 1000), st.integers(0, 10**6)), min_size=2, max_size=200))
def test_rates_are_those_of_the_window(steps: list[tuple[float, int, int]]) -> None:
    window = Window(30.0)
    now, calls, tokens = 0.0, 0, 0
    looks = [(now, calls, tokens)]
    window.look(now, calls, tokens, 2 * tokens)
    for seconds, more, said in steps:
        now, calls, tokens = now + seconds, calls + more, tokens + said
        looks.append((now, calls, tokens))
        window.look(now, calls, tokens, 2 * tokens)
    rates = window.rates
    assert rates is not None
    inside = [look for look in looks if now - look[0] <= 30.0]
    first = looks[max(len(looks) - len(inside) - 1, 0)] if len(inside) < 2 or now - inside[0][0] < 30.0 else inside[0]
    assert rates.calls_s == pytest.approx((calls - first[1]) / (now - first[0]))
    assert rates.tokens_out_s == pytest.approx(2 * rates.tokens_in_s)
    assert rates.calls_s >= 0


def test_a_window_forgets_and_stays_small() -> None:
    window = Window(30.0)
    assert window.rates is None
    window.look(0.0, 5, 0, 0)
    assert window.rates is None
    for second in range(1, 10_000):
        window.look(float(second), 5 + 1000 * min(second, 100), 0, 0)
    assert window.rates == Rates(0.0, 0.0, 0.0)
    assert len(window._looks) <= 32


@given(st.none() | st.floats(0, 1e9), st.integers(0, 10**9), st.none() | st.floats(-1, 1e5), st.floats(1.001, 10))
def test_time_left_is_never_negative_and_halves_with_the_rate(
    wanted: float | None, made: int, rate: float | None, faster: float
) -> None:
    left = seconds_left(wanted, made, rate)
    if wanted is None or rate is None or rate <= 0:
        assert left is None
        return
    assert left is not None
    assert left >= 0
    assert (seconds_left(wanted, made, rate * faster) or 0.0) <= left
    assert (seconds_left(wanted, made + 1, rate) or 0.0) <= left


@given(st.integers(0, 10**6), st.integers(0, 10**4), st.none() | st.integers(0, 10**6))
def test_calls_expected(calls: int, finished: int, wanted: int | None) -> None:
    found = calls_expected(calls, finished, wanted)
    assert (found is None) == (finished == 0 or wanted is None)


@given(st.integers(1, 12), st.integers(1, 20), st.integers(20, 400), st.integers(1, 5))
def test_a_steady_round_is_foretold_exactly(calls: int, share: int, wanted: int, rounds: int) -> None:
    """One proposal in `share` is accepted, each takes `calls` calls, ten calls a second."""
    clock, traffic = Clock(), Traffic()
    state = State(traffic, rounds, clock=clock)
    state.look()
    state.stage("round 1", wanted)
    for index in range(share * (wanted // 2)):
        clock.now += calls / 10
        traffic.answered += calls
        state.advance(outcome(index, index % share == share - 1, calls))
    state.look()
    seen = state.snapshot()
    left = (wanted - wanted // 2) * share * calls / 10
    assert seen.eta_s == pytest.approx(left)
    later = (rounds - 1) * (wanted * share * calls + wanted) / 10
    assert seen.eta_run_s == pytest.approx(left + wanted / 10 + later)
    assert seen.funnel.accepted == wanted // 2
    assert seen.funnel.proposed == sum(seen.funnel.lost.values()) + seen.funnel.accepted


def test_duplicates_raise_what_is_needed_and_a_new_round_starts_from_nothing() -> None:
    state = State(Traffic(), 3)
    state.stage("round 1", 10)
    for index in range(12):
        state.advance(outcome(index, index < 10, 3))
    assert state.snapshot().funnel.distinct is None
    state.deduplicated(8, 2)
    seen = state.snapshot()
    assert (seen.total, seen.need, seen.funnel.distinct, seen.funnel.duplicates) == (10, 12, 8, 2)
    state.stage("round 1: annotate", 10)
    state.advance(None)
    seen = state.snapshot()
    assert (seen.done, seen.need, seen.funnel.accepted) == (1, 10, 10)  # the round's funnel stays
    state.stage("round 2", 10)
    assert state.snapshot().funnel == Funnel()


def test_no_time_is_told_while_the_journal_replays() -> None:
    clock, traffic = Clock(), Traffic()
    state = State(traffic, 1, clock=clock)
    state.look()
    state.stage("round 1", 10)
    for index in range(5):
        traffic.replayed += 3
        state.advance(outcome(index, True, 3))
    clock.now = 5.0
    state.look()
    assert state.snapshot().eta_s is None


def test_every_reason_of_the_protocol_has_its_group() -> None:
    assert set(REASONS) - set(GROUPS) == {
        "duplicate",
        "surplus",
        "not_chosen",
    }  # given after the round, or after all answers
    assert set(GROUPS.values()) <= set(shown.WORDS)


# -- what is shown ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("snapshot", [SNAPSHOT, START, LOST, replace(SNAPSHOT, stage="round 2: annotate")])
@pytest.mark.parametrize("ended", [False, True])
def test_the_panel_fits_and_says_it_all(width: int, snapshot: Snapshot, ended: bool) -> None:
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(panel(snapshot, ended))
    text = console.export_text()
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= (17 if width == 60 else 14)
    if snapshot.round is not None:
        for words in ("round 2 of 5", "1,234", "778", "610", "40 duplicates", "312/s", "15,000"):
            assert words in text
    if not ended and snapshot.round is not None:
        assert "3:05 min" in text
        assert "model-5 5" in " ".join(text.replace("│", " ").split())
    if snapshot is LOST:
        assert "2 out" in text
    if not ended:
        assert lines[-1].strip() == ""  # where the cursor stands


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.booleans())
def test_no_100_percent_while_work_is_left(done: int, total: int, ended: bool) -> None:
    found = shown.percent(done, total, ended)
    assert 0 <= found <= min(100, 100 * done / total)  # rounded down
    assert (found == 100) == (ended and done >= total)


def test_the_panel_of_a_round_that_still_looks_for_duplicates_is_below_100_percent() -> None:
    full = replace(SNAPSHOT, funnel=replace(SNAPSHOT.funnel, accepted=SNAPSHOT.need or 0))
    for ended, expected in ((False, "99%"), (True, "100%")):
        console = Console(record=True, width=100, file=io.StringIO())
        console.print(panel(full, ended))
        assert f"{expected} " in console.export_text()


def test_names_are_never_markup() -> None:
    hostile = replace(SNAPSHOT, in_flight={"[bold]x[/nonsense]": 3}, servers_out=("http://[::1]:8000/v1",))
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(panel(hostile))
    text = console.export_text()
    assert "[bold]x[/nonsense] 3" in text
    assert "http://[::1]:8000/v1" in text


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert line(SNAPSHOT) == (
        "round 2 of 5: 778 of 1,040 accepted, 1,234 proposed, 40 duplicates; 312 calls/s, 41.2k tokens/s; 15 in flight; "
        "left: 3:05 min (2:01 h in total)"
    )
    assert "unhealthy servers: http://host-a.example:8000/v1" in line(LOST)
    assert line(START) == "starting: 0 of -; 0 in flight; left: -"
    assert [span(s) for s in (None, 0.2, 59.6, 3599, 3600, 200_000)] == [
        "-",
        "0 s",
        "1:00 min",
        "59:59 min",
        "1:00 h",
        "2 days",
    ]
    assert [short(v) for v in (0.0, 7.55, 950, 12_345, 4_560_000)] == ["0.0", "7.5", "950", "12.3k", "4.56M"]

    with Progress(State(Traffic(), 1)) as progress:
        assert progress._live is None  # standard error is not a terminal here
        progress.stage("annotate seeds", 2)
        progress.advance(None)
        progress.stage("probe: answers to known questions", 0)
        progress.stage("round 1", 5)
        progress.advance(outcome(0, True, 3))
    found = capsys.readouterr().err.splitlines()
    assert [text.partition(";")[0] for text in found] == [
        "annotate seeds: 1 of 2",
        "round 1 of 1: 1 of 5 accepted, 1 proposed",
    ]
    assert not any("\x1b" in text for text in found)


def test_a_line_now_and_then_between_stages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shown, "PANEL_S", 0.01)
    with Progress(State(Traffic(), 1), line_s=0.05) as progress:
        progress.stage("round 1", 5)
        time.sleep(0.4)
    assert 3 <= len(capsys.readouterr().err.splitlines()) <= 9


# -- status.json ------------------------------------------------------------------------------------------------------
