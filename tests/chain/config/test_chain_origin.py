"""Where a key comes from, and keys that nothing reads: pure parts, and the commands as a user meets them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import Place

from gra.chain.config.origin import from_root, origin, referenced
from gra.chain.config.unknown import unknown_keys
from gra.errors import Problem

ROOT = {
    "sft": {"lr": 1},
    "tracking": {"mode": "foo"},
    "runtime": {"tracking": "${tracking}", "speed": 1},
    "pool": "${large}",
    "large": {"models": ["a"]},
    "step": {
        "config": {
            "seed": "${n}",
            "runtime": {"tracking": "${tracking}"},
            "pool": "${pool}",
            "title": "a ${n}",
            "own": 1,
        }
    },
    "experiment": {"template": {"made": "${step}"}},
    "n": 3,
    "round": "${around}",
    "around": "${round}",
}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("runtime.tracking.mode", "tracking.mode"),
        ("pool.models.0", "large.models.0"),
        ("pool.missing", "large.missing"),
        ("seed", "n"),
        ("title", "step.config.title"),
        ("own", "step.config.own"),
        ("inputs.data", "inputs.data"),  # not of the config at all
    ],
)
def test_a_stages_key_is_traced_through_interpolations(key: str, expected: str) -> None:
    problem = Problem(key, "wrong", f"set {key}=1, not x.{key}=1")
    found = from_root(problem, ROOT, ["experiment.arms.a.steps.made.config", "experiment.template.made.config"])
    assert found.key == expected
    assert found.remedy == f"set {expected}=1, not x.{key}=1"


def test_a_circle_of_interpolations_ends() -> None:
    assert origin(ROOT, "round.x") in ("round.x", "around.x")


def test_references_are_found_wherever_they_stand() -> None:
    found = referenced({"a": ["x ${one.two} ${three[0]}", {"b": "${oc.select:four,${five}}"}], "c": 1})
    assert {"one.two", "three", "four", "five"} <= found


def test_unknown_keys_of_root_and_runtime_are_told() -> None:
    root = {
        "seed": 0,
        "resultz": 1,
        "mine": {"x": 1},
        "used": 2,
        "pool": {},
        "step": {"config": {"a": "${used}", "b": "${runtime.own}"}},
        "runtime": {"concurency": 8, "retries": 1, "timeout_per_token_s": 0.2, "own": 1},
        "experiment": {"template": {"s": "${step}"}, "arms": {"a": {"override": {"runtime": {"retrys": 1}}}}},
    }
    found = {p.key: p.remedy for p in unknown_keys(root, ["pool"], "chain")}
    assert list(found) == ["resultz", "mine", "runtime.concurency", "experiment.arms.a.override.runtime.retrys"]
    assert found["resultz"] == "did you mean `results`?"
    assert found["runtime.concurency"] == "did you mean `concurrency`?"


def test_problems_name_the_file_that_holds_the_key(place: Place) -> None:
    experiments = place.folder / "own" / "experiment"
    experiments.mkdir(parents=True)
    (experiments / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [my_seeds, _self_]\nnonsense: 5\n"
        "runtime: {concurency: 8}\nsynthesis: {roundz: 2}\nsft: {lr: -1}\n"
    )
    (place.folder / "s.json").write_text('[{"instruction": "What is 2 + 2?", "output": "4"}]')
    run = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "gra.cli",
            "plan",
            "--config-dir",
            "own",
            "experiment=mine",
            "seeds.path=s.json",
            "pool.base_url=http://127.0.0.1:1/v1",
            "pool.models=[a,b,c,d,e]",
            "student.model=o/n",
            "tracking.mode=foo",
        ],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 2
    for key in ("nonsense", "runtime.concurency", "synthesis.roundz"):
        assert f"{key} (own/experiment/mine.yaml): unknown key" in run.stderr
    assert "tracking.mode (command line: tracking.mode=foo): " in run.stderr
    assert "runtime.tracking" not in run.stderr


def test_an_unreadable_file_is_a_problem_for_plan_and_app(place: Place) -> None:
    (place.folder / "f").symlink_to("/proc/self/mem")
    plan = place.gra("plan", "experiment=fake", "file=f")  # the fake stage's own check sees no fault: is_file() is true
    assert plan.returncode == 2, plan.stderr
    assert "file (command line: file=f): f: cannot be read: " in plan.stderr
    assert "1 problem in" in plan.stderr
    app = place.app("+config.file=f", "output=out")
    assert app.returncode == 2, app.stderr
    assert "config.file (command line: +config.file=f): f: cannot be read: " in app.stderr


def test_an_app_refuses_an_output_that_is_no_folder_of_its_own(place: Place) -> None:
    for output in (".", "/", ".."):
        run = place.app(f"output={output}")
        assert run.returncode == 2
        assert f"output (command line: output={output}): {output} is the " in run.stderr
        assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("gra.cli", "--help"),
        ("gra.cli", "run", "experiment=quickstart", "--info"),
        ("gra.cli", "plan", "experiment=quickstart"),
        ("gra.synthesis", "--help"),
        ("train", "--cfg", "job"),
    ],
)
def test_a_reader_that_goes_away_is_no_error(words: tuple[str, ...], tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(
        [sys.executable, "-P", "-m", *words],
        cwd=tmp_path,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    os.close(writer)
    assert (run.returncode, run.stderr) == (0, "")
