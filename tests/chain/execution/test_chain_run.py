"""`gra run`, `plan` and `compare` as a user meets them: real processes, killed, started twice, misconfigured."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from places import Place

from gra.cli_help import PAGES

RUN = ("run", "experiment=fake")


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def partials(place: Place) -> list[Path]:
    return sorted(place.store.glob("*.partial")) if place.store.exists() else []


def test_run_then_run_again_then_change_what_matters(place: Place) -> None:
    first = place.gra(*RUN)
    assert first.returncode == 0, first.stderr
    assert "Arm B" in first.stdout
    assert "report: runs/results/fake/report.html" in first.stdout
    assert (place.folder / "runs" / "results" / "fake" / "table.md").exists()
    assert sorted(place.calls) == ["fake_join", "fake_join", "fake_make 1", "fake_make 10", "fake_make 5"]
    assert len(place.finished()) == 5  # the twin shares arm a's
    record = json.loads(next(place.store.glob("fake_join-a-scores-*/manifest.json")).read_text())
    assert record["experiment"] == "fake"
    assert record["simulated"] is True  # the shared step's mark, handed on
    assert set(record["inputs"]) == {"data", "base"}

    again = place.gra(*RUN)
    assert again.returncode == 0
    assert again.stdout == first.stdout
    assert len(place.calls) == 5
    plan = place.gra("plan", "experiment=fake")
    assert plan.stdout.count("done") == 7
    assert "would run" not in plan.stdout

    made = next(place.store.glob("fake_make-a-make-*[0-9a-f]")).name
    changed = place.gra("plan", "experiment=fake", "made.value=2")
    assert changed.stdout.count("would run") == 4  # a and its twin; b has another, base is shared
    assert f"a/make: changed since the last run ({made}): value: 1 -> 2" in changed.stdout
    elsewhere = place.gra("plan", "experiment=fake", "made.value=2", "experiment.name=other")
    assert (elsewhere.returncode, "changed since" in elsewhere.stdout) == (0, False)  # a step of that name elsewhere
    table = place.gra("compare", "experiment=fake")
    assert table.stdout == first.stdout
    assert sorted(p.name for p in place.folder.iterdir()) == ["calls", "conf", "runs"]


def test_a_table_says_which_arms_are_not_finished_and_there_is_none_of_nothing(place: Place) -> None:
    assert place.gra(*RUN).returncode == 0
    page = place.folder / "runs" / "results" / "fake" / "report.html"
    before = page.read_bytes()
    none = place.gra("compare", "experiment=fake", "made.value=2", "other.value=3")
    assert (none.returncode, none.stdout) == (1, "")
    assert "no arm of fake is finished with these settings" in none.stderr
    assert "give the arguments that the run had" in none.stderr
    assert page.read_bytes() == before
    some = place.gra("compare", "experiment=fake", "made.value=2")
    assert some.returncode == 0
    assert some.stdout.endswith("not finished with these settings, so shown as -: a, twin\n")
    half = place.gra("compare", "experiment=fake", "experiment.replicates=[0,1]")  # b is finished for seed 0 alone
    assert half.stdout.endswith("for all seeds, so shown for those that are: a (1 of 2), b (1 of 2), twin (1 of 2)\n")
    assert "so shown as -" not in half.stdout


def test_the_plan_with_power_that_help_prints_works_in_an_empty_store(place: Place) -> None:
    (example,) = (words for _, words in PAGES["plan"].examples if "--power" in words)
    for more, items in (("", "1,050"), ("world.test_per_task=20", "140")):
        told = place.gra(*shlex.split(f"{example} {more}"))
        assert told.returncode == 0, told.stderr
        assert f"7 benchmarks ({items} items)" in told.stdout


def test_samples_that_the_synthesis_does_not_make_are_named(place: Place) -> None:
    told = place.gra("plan", "experiment=quickstart", "samples=40")
    assert told.returncode == 0, told.stderr
    assert "samples is 40, but the synthesis makes 5 x 300 = 1,500" in told.stderr
    assert "samples=1500" in told.stderr
    equal = place.gra("plan", "experiment=quickstart", "samples=40", "synthesis.samples_per_round=8")
    assert "unequal" not in equal.stderr


def test_replicates_are_runs_of_their_own_and_share_what_they_can(place: Place) -> None:
    run = place.gra(*RUN, "experiment.replicates=[0,1]")
    assert run.returncode == 0, run.stderr
    assert place.calls.count("fake_make 10") == 1
    assert place.calls.count("fake_make 1") == 2


def test_one_failing_step_stops_only_what_needs_it(place: Place) -> None:
    run = place.gra(*RUN, "made.fail=error", "seed=1")
    assert run.returncode == 1
    assert "this cannot be" in run.stderr  # the log's end is shown
    assert "a/make failed (exit code 1)" in run.stderr
    assert "not done (waiting for failed steps): twin/make, a/scores, twin/scores" in run.stderr
    assert "gra run" in run.stderr.splitlines()[-1]
    assert any(name.startswith("fake_join-b-scores") for name in place.finished())
    assert "Arm B" in run.stdout  # the table shows the arms that are scored
    assert (place.folder / "runs" / "results" / "fake" / "table.md").exists()


def test_without_any_scores_a_failure_prints_no_table(place: Place) -> None:
    run = place.gra(*RUN, "made.fail=error", "seed=1", "~experiment.arms.b")
    assert run.returncode == 1
    assert run.stdout == ""


def test_an_arm_that_may_keep_nothing_has_no_scores_and_the_others_have(place: Place) -> None:
    words = (*RUN, "made.fail=nothing", "seed=1")
    strict = place.gra(*words)
    assert strict.returncode == 1
    assert "a/make failed (exit code 4)" in strict.stderr
    one = "+experiment.arms.a.may_keep_nothing=true"
    half = place.gra(*words, one)  # the twin, which needs the same data, may not
    assert half.returncode == 1
    assert "not done (waiting for failed steps): twin/make, twin/scores" in half.stderr
    both = place.gra(*words, one, "+experiment.arms.twin.may_keep_nothing=true")
    assert both.returncode == 0, both.stderr
    assert "a/make: kept no sample" in both.stderr
    assert "Arm B" in both.stdout
    ends = both.stdout.splitlines()[-2:]
    assert [line.partition(":")[0] for line in ends] == ["a", "twin"]
    assert all("its committee kept no sample, so it has no scores" in line for line in ends)
    again = place.gra(*words, one, "+experiment.arms.twin.may_keep_nothing=true")
    assert (again.returncode, again.stdout) == (0, both.stdout)


ODD = "runs/a b=(1),日本's #~"


def test_the_command_printed_after_a_failure_can_be_typed_as_it_stands(place: Place) -> None:
    first = place.gra(*RUN, f"store={ODD}", "made.fail=error", "seed=1")
    printed = first.stderr.splitlines()[-1].partition("again: ")[2]
    script = f'gra() {{ "{sys.executable}" -P -m gra.cli "$@"; }}\n{printed}'
    again = subprocess.run(
        ["bash", "--norc", "-c", script],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.stderr.splitlines()[-1] == first.stderr.splitlines()[-1]
    assert place.calls.count("fake_make 10") == 1  # the second run found the first one's store
    assert (place.folder / ODD).is_dir()


def test_an_output_with_an_odd_name_is_taken_as_typed(place: Place) -> None:
    for name in ("日本=(1)#", "a,b c"):
        run = place.app(f"output=out/{name}")
        assert run.returncode == 0, run.stderr
        assert (place.folder / "out" / name / "manifest.json").is_file()


def test_a_crash_of_a_step_is_told_from_an_error(place: Place) -> None:
    run = place.gra(*RUN, "made.fail=crash")
    assert run.returncode == 1
    assert f"killed by signal {signal.SIGABRT.value}" in run.stderr
    assert "Traceback" not in run.stderr


def last_word(process: psutil.Process) -> str:
    """Of its command line; nothing for a process that has just ended."""
    try:
        return process.cmdline()[-1]
    except (psutil.Error, IndexError):
        return ""


@pytest.mark.parametrize("whom", ["gra", "step"])
def test_killed_in_the_middle_the_same_command_finishes(place: Place, whom: str) -> None:
    arguments = (*RUN, "made.slow=30")
    first = place.start(*arguments)
    wait_for(lambda: any((p / "half").exists() and "a-make" in p.name for p in partials(place)))
    children = psutil.Process(first.pid).children()
    if whom == "gra":
        first.kill()
    else:
        digest = next(p.name for p in partials(place) if "a-make" in p.name).removesuffix(".partial").rpartition("-")[2]
        os.kill(next(c.pid for c in children if digest in last_word(c)), signal.SIGKILL)
        wait_for(lambda: sum("make" in call for call in place.calls) >= 3)
    first.communicate()
    # they die with it
    wait_for(lambda: not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children))
    second = place.gra(*arguments)  # resumed, the step is not slow any more
    assert second.returncode == 0, second.stderr
    assert not partials(place)
    assert len(place.finished()) == 5
    assert place.calls.count("fake_make 1") == 2


def test_two_commands_at_once_do_the_work_once(place: Place) -> None:
    both = [place.start(*RUN, "made.slow=1.5", f"results=results/{i}") for i in range(2)]
    ends = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert len(place.calls) == len(set(place.calls)) + 1  # two different fake_joins
    assert any("waiting for its result" in log.read_text() for log in place.store.glob("*.log"))


@pytest.mark.parametrize(
    ("number", "whom", "code"),
    [(signal.SIGINT, "gra", 130), (signal.SIGUSR1, "gra", 85), (signal.SIGTERM, "step", 85)],
)
def test_a_signal_brings_the_steps_to_rest(place: Place, number: int, whom: str, code: int) -> None:
    """Ctrl-C ends in 130; what batch systems send, to the command or to a step, in 85, which they are to requeue."""
    first = place.start(*RUN, "made.slow=30")
    wait_for(lambda: any((p / "half").exists() and "a-make" in p.name for p in partials(place)))
    if whom == "gra":
        first.send_signal(number)
        if number == signal.SIGUSR1:
            first.send_signal(signal.SIGTERM)  # what follows SIGUSR1 in a batch system does not kill
    else:
        os.kill(psutil.Process(first.pid).children()[0].pid, number)
    _, err = first.communicate(timeout=20)
    assert first.returncode == code, err
    assert "FAILED" not in err
    assert "stopping" in err
    assert "not done (interrupted)" in err
    if whom == "gra":
        return
    plan = place.gra("plan", "experiment=fake", "made.slow=30").stdout
    assert "partly done" in plan


def test_all_faults_of_a_config_are_told_at_once_before_any_work(place: Place) -> None:
    run = place.gra(
        *RUN,
        "made.value=-1",
        "file=nowhere.txt",
        "cluster.max_paralel=3",
        "mad.slow=1",
        "experiment.reference=c",
        "seed=[1",
    )
    assert run.returncode == 2
    for expected in [
        "6 problems",
        "did you mean `cluster.max_parallel`?",
        "did you mean `made.slow`?",
        "seed=[1 (command line)",
        "experiment.reference (command line: experiment.reference=c): `c` is not an arm",
        "must not be negative [steps a/make, twin/make]",
        "file (command line: file=nowhere.txt): nowhere.txt: no such file",
    ]:
        assert expected in run.stderr
    assert "Traceback" not in run.stderr
    assert not place.store.exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("experiment=fak",), "did you mean experiment=fake?"),
        ((), "experiment: required, but not set"),
        (("experiment=fake", "tracking=onlin"), "did you mean tracking=online?"),
        (("experiment=fake", "experiment.arms.b.override.made=${nowhere}"), "nowhere"),
        (("experiment=fake", "experiment.template.make._target_=nowhere.run"), "`nowhere.run` cannot be imported"),
        (
            ("experiment=fake", "+made.api_key=abc", "+experiment.template.make.config.api_key=abc"),
            "environment variable",
        ),
    ],
)
def test_a_config_error_says_what_to_do(place: Place, arguments: tuple[str, ...], expected: str) -> None:
    run = place.gra("run", *arguments)
    assert run.returncode == 2, run.stderr
    assert expected in run.stderr
    assert "Traceback" not in run.stderr


def test_folders_that_cannot_be_written_are_told_before_any_work(place: Place) -> None:
    (place.folder / "store").write_text("a file")
    run = place.gra(*RUN, "store=store/below", "results=store/other")
    assert run.returncode == 2  # told before anything is run, with all else
    for expected in ("2 problems", "store=DIR", "results=DIR"):
        assert expected in run.stderr
    assert not place.calls
    assert "Traceback" not in run.stderr


def test_hydras_conveniences(place: Place) -> None:
    shown = place.gra("run", "experiment=fake", "--cfg", "job")
    assert shown.returncode == 0
    assert "max_parallel: 2" in shown.stdout
    sweep = place.gra("run", "-m", "experiment=fake", "seed=0,1")
    assert sweep.returncode == 0, sweep.stderr
    assert sorted(p.name for p in (place.folder / "runs" / "results" / "fake").iterdir()) == ["seed=0", "seed=1"]
    assert "fake" in place.gra("run", "--info", "defaults", "experiment=fake").stdout


def test_a_stage_by_itself(place: Place) -> None:
    first = place.app("output=out", "value=4")
    assert first.returncode == 0, first.stderr
    assert "out: done" in first.stdout
    again = place.app("output=out", "value=4")
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)
    other = place.app("output=out", "value=5")
    assert other.returncode == 1
    assert "config.value: 4 there, 5 here" in other.stderr
    wrong = place.app("value=-1", "slwo=2", "inputs.data=nowhere")
    assert wrong.returncode == 2
    assert "4 problems" in wrong.stderr
    assert "output (conf/fake_app.yaml): required" in wrong.stderr
    sweep = place.app("-m", "value=1,-2,3", "output=out-${value}")
    assert sweep.returncode == 2  # one job's fault does not stop the others
    assert (place.folder / "out-3" / "value").read_text() == "3"
    assert "value: 4" in place.app("--cfg", "job", "value=4").stdout
    assert place.app("--help").returncode == 0


def test_processes_started_together_share_one_output(place: Place) -> None:
    code = (
        "import sys; from gra.chain.execution.app import main; sys.argv = ['fake', '--config-dir', 'conf', 'output=out', 'slow=1'];"
        "main('fake_make.run', 'fake_app')"
    )
    group = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            cwd=place.folder,
            env={**place.environment, "RANK": str(rank)},
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]  # as torchrun does
    ends = [process.communicate(timeout=30) for process in group]
    assert [process.returncode for process in group] == [0, 0], ends
    assert len(place.calls) == 2
    assert (place.folder / "out" / "manifest.json").exists()
