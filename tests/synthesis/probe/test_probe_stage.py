"""The probe as a stage and command, on simulated models: what it finds, what a kill costs, what refuse and off do."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gra.errors import ConfigError, StoreError, SynthesisError
from gra.simulation import world_stage
from gra.simulation.profiles import PROFILES
from gra.synthesis.engine.journal_read import calls_recorded, read_calls, read_samples
from gra.synthesis.probe import stage
from gra.synthesis.scoring.probability import QUESTIONS

COLUMNS = {"instruction": "instruction", "input": "input", "response": "output", "domain": "domain"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    world_stage.run({"seed": 0, "world": {"seeds": 600}}, {}, folder)
    return folder


def config(models: str = "abcde", **changes: Any) -> dict[str, Any]:
    return {
        "seed": 0,
        "seeds": {"path": "seeds/seeds.jsonl", "format": "jsonl", "limit": 400, "columns": COLUMNS},
        "pool": {
            "_target_": "gra.simulation.backend.connect",
            "models": [f"slm-{m}" for m in models],
            "simulated": True,
            "world_seed": changes.pop("world_seed", 0),
        },
        "synthesis": {"probe": "warn", **changes.pop("synthesis", {})},
        "probe": {"sources": [{"_target_": "gra.simulation.known.source"}], **changes},
        "runtime": {"concurrency": 16},
    }


def found(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "probe.json").read_text(encoding="utf-8"))


def paid_calls(journal: Path) -> int:
    if not journal.exists():
        return 0
    try:
        return sum(role["calls"] or 0 for roles in calls_recorded(journal).values() for role in roles.values())
    except StoreError:  # begun, without a table yet
        return 0


@pytest.mark.slow
def test_it_ranks_reviewers_as_their_profiles_have_them(world: Path, tmp_path: Path) -> None:
    """A reviewer tells right from wrong as far as it knows the answers and does not take the response's word (`lazy`)."""
    seen: dict[str, list[float]] = {}
    severity: dict[str, list[float]] = {}
    for world_seed in range(3):
        folder = tmp_path / str(world_seed)
        folder.mkdir()
        stage.run(config(calls=400, world_seed=world_seed), {"seeds": world}, folder)
        assert found(folder)["faults"] == []
        assert 1 < found(folder)["independent_reviewers"] <= 5
        for name, model in found(folder)["models"].items():
            assert model["auc"]["low"] > 0.5
            seen.setdefault(name, []).extend(model["auc_by"][basis]["value"] for basis in ("on-policy", "rule-made"))
            severity.setdefault(name, []).append(model["severity"]["value"])
    sees = {name: (1 - p.lazy) * (1 - sum(p.errors) / len(p.errors)) for name, p in PROFILES.items() if name in seen}
    order = sorted(sees, key=lambda name: sum(seen[name]), reverse=True)
    wrongly = [(one, two) for i, one in enumerate(order) for two in order[i + 1 :] if sees[one] < sees[two] - 0.05]
    assert wrongly == [], (order, sees)
    assert order[-1] == "slm-d"
    mildest, *_, harshest = sorted(severity, key=lambda name: sum(severity[name]))
    assert (harshest, mildest) == ("slm-e", "slm-d")


def test_the_same_config_gives_the_same_bytes_whatever_the_concurrency(world: Path, tmp_path: Path) -> None:
    for name, concurrency in (("one", 1), ("two", 33)):
        given = config(calls=60)
        given["runtime"] = {"concurrency": concurrency}
        (tmp_path / name).mkdir()
        stage.run(given, {"seeds": world}, tmp_path / name)
    for file in ("probe.json", "probe.md", "probe.txt"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_it_costs_what_it_says_and_both_kinds_of_items_are_there(world: Path, tmp_path: Path) -> None:
    stage.run(config("abc", calls=120), {"seeds": world}, tmp_path)
    models = found(tmp_path)["models"]
    for model in models.values():
        assert 110 <= model["calls"] <= 145  # some replies are unusable and asked for again
        assert model["tokens_out"] > 0
    items = found(tmp_path)["items"]
    assert items["on-policy"] == 3 * 18
    assert items["right"] == 24


@pytest.mark.slow
def test_calls_of_a_killed_probe_are_not_paid_again(world: Path, tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "gra.cli",
        "probe",
        "pool=simulated",
        "seeds=world",
        f"inputs.seeds={world}",
        "probe.calls=40",
        "probe.sources=[{_target_: gra.simulation.known.source}]",
        f"output={tmp_path / 'out'}",
        "runtime.concurrency=4",
    ]
    process = subprocess.Popen([*words, "runtime.latency=0.2"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    journal = tmp_path / "out.partial" / "journal.sqlite"
    deadline = time.monotonic() + 60
    while paid_calls(journal) < 20 and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    paid = paid_calls(journal)
    assert paid >= 20
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "SIMULATED" in done.stdout
    assert "slm-d" in done.stdout
    spent = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert spent["replayed"] >= paid
    assert spent["asked"] + spent["replayed"] == found(tmp_path / "out")["calls"]
    again = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert "nothing to do" in again.stdout
    assert "slm-d" in again.stdout


def test_by_probabilities_it_judges_as_a_run_does_with_examples_that_it_does_not_ask_about(
    world: Path, tmp_path: Path
) -> None:
    stage.run(config("abcd", calls=100, synthesis={"scoring": "probability"}), {"seeds": world}, tmp_path)
    journal = tmp_path / "journal.sqlite"
    asked, shown, questions = set(), set(), set()
    for name, _ in read_samples(journal):
        for call in read_calls(journal, name):
            *before, last = call["request"]["messages"]
            if call["step"] == "respond":
                asked.add(last["content"])
            if call["step"] != "review":
                continue
            assert call["request"]["max_tokens"] == 1
            tagged = re.fullmatch(
                r"<instruction>(.*)</instruction>\n<response>(.*)</response>\n\n(.*)", last["content"], re.DOTALL
            )
            assert tagged
            asked.add(tagged[1])
            questions.add(tagged[3])
            examples = [message["content"] for message in before if message["role"] == "user"]
            shown |= {text.partition("</instruction>")[0].removeprefix("<instruction>") for text in examples}
            assert len(before) == 12
    assert questions == {QUESTIONS["overall"]}
    assert len(shown) >= 12  # two domains or more
    assert not shown & asked
    models = found(tmp_path)["models"]
    assert {model["usable"]["value"] > 0.8 for model in models.values()} == {True}
    assert sum(model["auc"]["value"] for model in models.values()) / 4 > 0.7
    assert all(model["calibration"] for model in models.values())
    assert models["slm-a"]["scale"]["equal"] is None  # one question has no six scores that could be alike


def test_a_blind_committee_is_refused_or_warned_of(
    world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Seeds that no simulated model understands: it says "unsure" of everything, right or wrong."""
    lines = [
        {
            "instruction": f"Say word number {i} of the list.",
            "output": f"It is the colour number {i}.",
            "domain": "language",
        }
        for i in range(80)
    ]
    shutil.copytree(world, tmp_path / "seeds")
    (tmp_path / "seeds" / "seeds" / "seeds.jsonl").write_text(
        "".join(json.dumps({"input": "", **s}) + "\n" for s in lines)
    )
    given = config("abc", calls=160, sources=[])
    (tmp_path / "warn").mkdir()
    stage.run(given, {"seeds": tmp_path / "seeds"}, tmp_path / "warn")
    assert any("no model of the pool tells right from wrong" in text for text in found(tmp_path / "warn")["faults"])
    assert any("noise" in record.message for record in caplog.records)
    given["synthesis"]["probe"] = "refuse"
    (tmp_path / "refuse").mkdir()
    with pytest.raises(SynthesisError, match=r"fails its probe .*\n.*better than chance"):
        stage.run(given, {"seeds": tmp_path / "seeds"}, tmp_path / "refuse")
    assert (tmp_path / "refuse" / "probe.json").is_file()


def test_of_simulated_pools_it_is_off_and_asks_nothing(world: Path, tmp_path: Path) -> None:
    given = config()
    del given["synthesis"]["probe"]
    assert stage.run(given, {"seeds": world}, tmp_path) == {"calls": 0.0}
    assert found(tmp_path)["off"] is True
    assert not (tmp_path / "journal.sqlite").exists()


def test_all_faults_of_its_config_are_told_at_once(world: Path, tmp_path: Path) -> None:
    given = config(kinds=["negated", "odd"], calls=1, sources=[{"_target_": "gra.nowhere.source"}])
    with pytest.raises(ConfigError) as error:
        stage.run(given, {"seeds": world}, tmp_path)
    told = str(error.value)
    assert "odd" in told
    assert "probe.calls" in told
    with pytest.raises(ConfigError, match=r"probe\.sources\.0\._target_"):
        stage.run(config(sources=[{"_target_": "gra.nowhere.source"}]), {"seeds": world}, tmp_path)
    with pytest.raises(ConfigError, match="unknown keys: typo"):
        stage.run(config(sources=[{"_target_": "gra.simulation.known.source", "typo": 1}]), {"seeds": world}, tmp_path)
