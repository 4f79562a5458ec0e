"""The committee's health while a run is under way: in the panel, the line and status.json, loud where it is blind, escaped."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from scripted import Scripted
from test_committee_health import able_committee, account, first_real_committee, outcome
from test_probe_estimate import config
from test_progress import SNAPSHOT, Clock
from test_rounds import synthesize

from gra.simulation import world_stage
from gra.synthesis import stage
from gra.synthesis.committee.health import Health
from gra.synthesis.committee.records import Outcome
from gra.synthesis.engine.engine import Traffic
from gra.synthesis.progress import status_file
from gra.synthesis.progress import terminal as panel_module
from gra.synthesis.progress.state import HEALTH_S, State
from gra.synthesis.progress.terminal import Progress, line, panel

BLIND = replace(SNAPSHOT, committee=account(first_real_committee(60)))
ABLE = replace(SNAPSHOT, committee=account(able_committee(200)))


def drawn(snapshot, width: int = 100) -> str:
    screen = io.StringIO()
    Console(file=screen, width=width, force_terminal=True, color_system=None, legacy_windows=False).print(
        panel(snapshot)
    )
    return screen.getvalue()


def plain(text: str) -> str:
    """The words of a panel without its frame."""
    return " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_blind_committee_is_loud_in_the_panel(width: int) -> None:
    text = drawn(BLIND, width)
    assert all(len(row) <= width for row in text.splitlines())
    shown = plain(text)
    assert "COMMITTEE" in shown
    for words in ("agree beyond chance", "decides more than", "and 2 more: see status.json"):
        assert all(word in shown for word in words.split())
    assert f"alpha {BLIND.committee['alpha']:.2f}" in shown
    assert "of mean scores is who" in shown or width == 60
    assert "COMMITTEE: the reviewers do not agree beyond chance" in line(BLIND)
    assert "\n" not in line(BLIND)


def test_an_able_one_shows_its_figures_alone() -> None:
    shown = plain(drawn(ABLE))
    assert f"alpha {ABLE.committee['alpha']:.2f} [" in shown
    assert "over 200 samples" in shown
    assert "COMMITTEE" not in shown + line(ABLE)
    assert "reviewers" not in plain(drawn(SNAPSHOT))


def test_names_steer_no_terminal_and_are_cut() -> None:
    name = "[bold]\x1b[2J\n" + "x" * 500
    found = account([outcome(n, {name: [5] * 6, "b": [n % 9] * 6}) for n in range(40)])
    text = drawn(replace(SNAPSHOT, committee=found), 200) + line(replace(SNAPSHOT, committee=found))
    assert "\x1b[2J" not in text
    assert "[bold]" in text  # as it is, not as markup
    assert "x" * 300 not in text.replace("\n", "")
    assert "\n" not in line(replace(SNAPSHOT, committee=found))


def test_it_is_looked_at_while_samples_come_in() -> None:
    """No more often than every HEALTH_S seconds, and at each stage's begin."""
    clock, health = Clock(), Health()
    state = State(Traffic(), 1, clock=clock, health=health)
    state.stage("round 1", 60)

    def take(found: Outcome) -> None:
        health.add(found)
        state.advance(found)

    assert state.snapshot().committee is None
    samples = first_real_committee(60)
    take(samples[0])
    assert state.snapshot().committee is not None
    for found in samples[1:30]:
        take(found)
    assert state.snapshot().committee["samples"] == 1
    clock.now += HEALTH_S
    take(samples[30])
    assert state.snapshot().committee == health.account()
    for found in samples[31:]:
        take(found)
    state.stage("round 1: annotate", 3)
    assert state.snapshot().committee["samples"] == 60
    written = status_file.status(state.snapshot(), "", 0.0, 0.0)
    assert written["committee"] == json.loads(json.dumps(health.account()))
    assert written["committee"]["warnings"]


def test_a_real_run_keeps_it_in_status_json_and_tells_it_before_the_round_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The scripted models review by the request's hash, so that a second reviewer never says the same again."""
    written: list[dict] = []
    told: list[int] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "COMMITTEE" in record.getMessage():
                told.append(health.reviewed)

    health, traffic = Health(), Traffic()
    state = State(traffic, 1, health=health)
    monkeypatch.setattr(status_file, "write", lambda _folder, value: written.append(value))
    handler = Kept()
    logging.getLogger("gra.synthesis").addHandler(handler)
    try:
        with Progress(state, tmp_path) as progress:
            synthesize(
                Scripted(),
                tmp_path / "j.sqlite",
                tau=0,
                min_reviews=2,
                samples_per_round=120,
                listener=progress,
                state=health,
            )
            progress._write_status()
    finally:
        logging.getLogger("gra.synthesis").removeHandler(handler)
    assert written[0]["committee"] is None
    assert written[-1]["committee"]["samples"] == health.reviewed
    assert any("do not agree beyond chance" in words for words in written[-1]["committee"]["warnings"])
    assert min(told) == 50 < health.reviewed
    assert len({record.getMessage() for record in caplog.records if "COMMITTEE" in record.getMessage()}) == len(told)


def test_the_stage_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """status.json of a simulated run ends where stats.json does."""
    written: list[dict] = []
    monkeypatch.setattr(status_file, "write", lambda _folder, value: written.append(value))
    monkeypatch.setattr(panel_module, "STATUS_S", 0.0)
    monkeypatch.setattr(panel_module, "PANEL_S", 0.01)
    for name in ("world", "data"):
        (tmp_path / name).mkdir()
    world_stage.run({"seed": 0, "world": {"seeds": 200}}, {}, tmp_path / "world")
    stage.run(config(), {"seeds": tmp_path / "world"}, tmp_path / "data")
    stats = json.loads((tmp_path / "data" / "stats.json").read_text())
    seen = [value["committee"] for value in written if value["committee"] is not None]
    assert seen
    assert 0 < seen[-1]["samples"] <= stats["health"]["samples"]
    assert set(seen[-1]["reviewers"]) <= set(stats["health"]["reviewers"])
