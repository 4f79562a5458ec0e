"""Some hundreds of the fault schedules, the harness's own repeatability, and that it finds the faults it is there for.

All 2,000: python tests/synthesis/fault_schedules.py --schedules 2000
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_schedules import Calm, End, Schedule, draw, play, playground
from virtual_servers import Weather

from gra.models.openai.passing_faults import PassingFaults
from gra.models.openai.server_health import ServerHealth
from gra.synthesis.engine import tail

HUNDREDS = 3


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with playground() as folder:
        yield folder


@pytest.fixture(scope="module")
def calm(root: Path) -> Calm:
    return Calm(root)


@pytest.mark.slow
@pytest.mark.parametrize("hundred", range(HUNDREDS))
def test_whatever_fails_the_run_ends_as_the_calm_one(hundred: int, root: Path, calm: Calm) -> None:
    reports = [play(s, calm.of(s.weather), root / "run") for s in map(draw, range(100 * hundred, 100 * hundred + 100))]
    assert {report.schedule.seed: report.faults for report in reports if report.faults} == {}
    assert sum(len(report.book.story) for report in reports) > 130  # lives: some were ended by their schedule


def test_a_schedule_takes_the_same_turns_each_time(root: Path, calm: Calm) -> None:
    chosen = [s for s in map(draw, range(60)) if len(s.lives) > 1 and (s.weather.resets or s.weather.outages)][:3]
    assert len(chosen) == 3
    for schedule in chosen:
        first, second = (play(schedule, calm.of(schedule.weather), root / "run") for _ in range(2))
        assert first.book.story == second.book.story
        assert first.turns == second.turns


def test_a_journal_that_keeps_replies_in_memory_is_found(
    root: Path, calm: Calm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "_write", lambda _, data: len(data))  # as it was: until the group is committed
    kills = [Schedule(0, Weather(latency=0.02), 8, 600.0, (End("kill", turn),)) for turn in range(100, 400, 30)]
    faults = [fault for s in kills for fault in play(s, calm.of(s.weather), root / "run").faults]
    assert any("asked again" in fault for fault in faults)


def test_a_journal_that_loses_its_commits_is_found(root: Path, calm: Calm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "read", lambda _: [])  # what was handed to the kernel is not looked at
    schedule = Schedule(0, Weather(latency=0.02), 8, 600.0, (End("commit", 2),))
    assert any("asked again" in fault for fault in play(schedule, calm.of(schedule.weather), root / "run").faults)


def test_a_server_that_counts_as_down_for_one_bad_request_is_found(
    root: Path, calm: Calm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was: each failure of a poison request sets the server aside, and the request is tried to its last retry."""
    schedules = [Schedule(0, Weather(poison=kind), 8, 30.0, ()) for kind in ("503", "reset")]
    calms = [calm.of(schedule.weather) for schedule in schedules]
    assert not any(play(s, found, root / "run").faults for s, found in zip(schedules, calms, strict=True))
    monkeypatch.setattr(ServerHealth, "failed", lambda self, call, fault: self.set_aside(call.server, str(fault)))
    monkeypatch.setattr(PassingFaults, "attempts", property(lambda _: 10**6))
    for schedule, found in zip(schedules, calms, strict=True):
        faults = play(schedule, found, root / "run").faults
        assert any("the run died" in fault or " took " in fault for fault in faults), faults


def test_after_a_loss_of_power_what_was_synced_is_there(root: Path, calm: Calm) -> None:
    for turn in range(150, 450, 100):
        schedule = Schedule(turn, Weather(latency=0.2), 8, 600.0, (End("power", turn),))
        report = play(schedule, calm.of(schedule.weather), root / "run")
        assert report.faults == []
        assert len(report.book.story) == 2
