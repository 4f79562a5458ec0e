"""`gra submit` and `gra status` beside stand-ins of Slurm's commands that count their calls: how often Slurm is asked, what happens
when it refuses or the command is killed. tests/cluster/test_slurm_jobs.py runs the jobs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import working_folder
from places import Place

from gra.cluster.status import cancel, status

SHARDS = "+cluster.stages.fake_shards.shards"
WAVES = ["a/data round-0", "a/data merge-0", "a/data round-1", "a/data", "a/scores"]
STAND_IN = """\
#!/bin/sh
cd "$STAND_IN" && echo "${0##*/} $*" >>calls
case ${0##*/} in
  scontrol) echo "MaxArraySize = $MAX_ARRAY" ;;
  squeue) cat queue 2>/dev/null || true ;;
  sbatch)
    for word; do case $word in --comment=*) comment=${word#*=} ;; esac; done
    n=1
    until mkdir "job-$n" 2>/dev/null; do n=$((n + 1)); done
    if [ "$n" = "$REFUSED" ]; then echo "sbatch: error: too many jobs" >&2; exit 1; fi
    echo "$n|PENDING|Resources|$comment" >>queue
    if [ "$n" = "$HANGS" ]; then exec sleep 60; fi
    echo "$n" ;;
esac
"""


class Login(Place):
    """A login node: `asked(command)`: the words of each call of one of Slurm's commands."""

    @property
    def state(self) -> Path:
        return Path(self.environment["STAND_IN"])

    def asked(self, command: str) -> list[str]:
        path = self.state / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{command} ")]

    def submit(self, *words: str, code: int = 0, **own: str) -> subprocess.CompletedProcess[str]:
        place = Place(self.folder, {**self.environment, **own})
        done = place.gra("submit", "experiment=divided", "cluster=slurm", *words)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def jobs(self) -> list[str]:
        """The names of the jobs that were submitted, in order."""
        return [re.search(r"--comment=gra:\w+:(\S+)", call)[1] for call in self.asked("sbatch")]  # type: ignore[index]


@pytest.fixture
def login(tmp_path: Path) -> Login:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sbatch", "squeue", "scancel", "scontrol"):
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)
    (tmp_path / "slurm").mkdir()
    own = {"STAND_IN": str(tmp_path / "slurm"), "MAX_ARRAY": "128", "REFUSED": "", "HANGS": ""}
    place = working_folder(tmp_path, {**os.environ, **own, "PATH": f"{programs}:{os.environ['PATH']}"})
    return Login(place.folder, place.environment)


def called(login: Login, command: object, words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`gra status` or `gra cancel` in this process."""
    monkeypatch.chdir(login.folder)
    for name in ("PATH", "STAND_IN"):
        monkeypatch.setenv(name, login.environment[name])
    assert command(words) == 0  # type: ignore[operator]


def test_two_hundred_shards_cost_one_sbatch_an_array_and_one_squeue(
    login: Login, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dry = login.submit(f"{SHARDS}=200", "--dry-run").stdout
    assert dry.count("    sbatch ") == 7
    assert not login.asked("sbatch")
    assert not login.store.exists()
    login.submit(f"{SHARDS}=200")
    assert [len(login.asked(name)) for name in ("sbatch", "squeue", "scontrol")] == [7, 2, 2]  # the dry run's too
    arrays = [re.search(r"--array=(\S+)", call) for call in login.asked("sbatch")]
    assert [found[1] for found in arrays if found] == ["0-127", "0-71"] * 2  # below MaxArraySize, with an offset
    called(login, status, ["--json"], monkeypatch)
    lines = json.loads(capsys.readouterr().out)["jobs"]
    assert [f"{line['step']} {line['wave'] or ''}".strip() for line in lines] == WAVES
    assert {line["state"] for line in lines} == {"waiting"}
    assert [line["total"] for line in lines] == [200, 1, 200, 1, 1]
    assert len(login.asked("squeue")) == 3
    called(login, cancel, [], monkeypatch)
    assert login.asked("scancel") == [f"--quiet {' '.join(map(str, range(1, 8)))}"]
    assert len(login.asked("squeue")) == 4


def test_other_resources_than_queued_jobs_have_are_named(login: Login) -> None:
    login.submit(f"{SHARDS}=3", "cluster.resources.mem=4G")
    same = login.submit(f"{SHARDS}=3", "cluster.resources.mem=4G").stdout
    assert "nothing to submit" in same
    assert "keep the options" not in same
    said = login.submit(f"{SHARDS}=3", "cluster.resources.mem=8G", "cluster.resources.time=60").stdout
    assert "nothing to submit" in said
    assert "a/data round-0: has --time=12:00:00 --mem=4G, asked for now: --time=60 --mem=8G" in said
    assert said.endswith("for other options: gra cancel, then gra submit\n")
    assert len(login.asked("sbatch")) == 5


def test_a_job_of_another_name_is_no_change(login: Login) -> None:
    """Without replicates a step has no `@SEED` in its name, and the same work."""
    login.submit("experiment=fake")
    same = login.submit("experiment=fake", "experiment.replicates=[0,1]").stdout
    assert "keep the options" not in same
    names = [word for call in login.asked("sbatch") for word in call.split() if word.startswith("--job-name=")]
    assert "--job-name=gra-a-make" in names


def test_where_jobs_are_queued_the_missing_table_names_status_and_submit(login: Login) -> None:
    words = ("compare", "experiment=divided")
    again = "no arm of divided is finished with these settings\n    -> "
    given = "give the arguments that the run had (gra run, gra submit), or "
    status = "gra status store=runs/store shows the jobs; "
    own = "--config-dir conf experiment=divided"
    asked = login.gra(*words, "cluster=slurm").stderr
    assert f"{again}{status}{given}queue it: gra submit {own} cluster=slurm" in asked
    assert f"{again}{given}run it: gra run {own}\n" in login.gra(*words).stderr
    login.submit(f"{SHARDS}=3")
    assert f"{again}{status}{given}run it: gra run {own}\n" in login.gra(*words).stderr


def test_a_dry_run_needs_no_slurm(login: Login) -> None:
    for program in Path(login.environment["PATH"].partition(":")[0]).iterdir():
        program.write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2; exit 1\n")
    dry = login.submit(f"{SHARDS}=3", "--dry-run")
    assert dry.stdout.count("    sbatch ") == 5
    assert "note: squeue refused: Unable to contact slurm controller" in dry.stderr
    assert "Unable to contact" in login.submit(f"{SHARDS}=3", code=1).stderr
    assert not login.store.exists() or not list(login.store.glob(".jobs/*"))


def test_a_dry_run_needs_neither_servers_nor_hub(login: Login) -> None:
    urls = [f"{pool}.base_url=http://127.0.0.1:9/v1" for pool in ("pool", "large_pool", "medium_pool")]
    words = ("experiment=paper/main_table", "seeds.path=hf:tatsu-lab/alpaca", *urls)
    dry = login.submit(*words, "--dry-run")
    assert dry.stdout.count("    sbatch ") == 14
    assert "dry run, nothing is queued; servers, the hub and folders are checked by gra submit" in dry.stderr


def test_two_at_once_queue_everything_once(login: Login) -> None:
    words = ("submit", "cluster=slurm", "experiment=divided", f"{SHARDS}=3")
    both = [login.start(*words) for _ in range(2)]
    said = sorted(process.communicate(timeout=200)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert len(login.jobs()) == len(set(login.jobs())) == 5
    assert "nothing to submit" in said[0]


def test_what_was_queued_is_cancelled_when_slurm_refuses_and_kept_when_the_command_is_killed(
    login: Login, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = login.submit(f"{SHARDS}=3", code=1, REFUSED="3").stderr
    assert "a/data round-1: sbatch refused: sbatch: error: too many jobs" in said
    assert "\n    -> cancelled again: 1 (a/data round-0), 2 (a/data merge-0)" in said
    assert "cluster.stages.STAGE.KEY" in said
    assert login.asked("scancel") == ["--quiet 1 2"]
    (login.state / "queue").unlink()
    called(login, status, ["--json"], monkeypatch)
    assert [line["wave"] for line in json.loads(capsys.readouterr().out)["jobs"]] == ["round-0", "merge-0"]

    killed = Place(login.folder, {**login.environment, "HANGS": "6"})
    process = subprocess.Popen(
        killed.command("submit", "cluster=slurm", "experiment=divided", f"{SHARDS}=3"),
        cwd=login.folder,
        env=killed.environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    end = time.monotonic() + 100
    while not (login.state / "job-6").exists() or (login.state / "queue").read_text().count("\n") < 3:
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)  # job 6 is queued, and its number was not told
    process.wait()
    before = login.jobs()
    login.submit(f"{SHARDS}=3")
    assert len(login.jobs()) == len(before) + 2  # the last two of five
    assert [re.search(r"--dependency=(\S+)", call)[1] for call in login.asked("sbatch")[-2:]] == [  # type: ignore[index]
        *("afterany:6", "afterok:7")
    ]
    called(login, status, ["--json"], monkeypatch)
    assert {line["state"] for line in json.loads(capsys.readouterr().out)["jobs"]} == {"waiting"}


def test_gpus_are_compared_with_those_requested_where_none_is_visible(login: Login) -> None:
    words = ("experiment=quickstart", "runtime.launch=torchrun", "runtime.nproc=2")
    refused = login.submit(*words, "cluster.stages.train.gpus=1", code=2).stderr
    assert "each process needs a GPU of its own: 2 GPUs are needed, 1 are requested" in refused
    assert "-> set nproc=1, or request more: cluster.stages.train.gpus\n" in refused
    assert not login.asked("sbatch")


def test_status_groups_jobs_by_experiment_and_names_a_store_that_is_missing_or_empty(
    login: Login, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(login.folder)
    assert status(["store=nowhere"]) == 2
    assert "there is no store nowhere\n    -> store=DIR" in capsys.readouterr().err
    Path("nothing").mkdir()
    called(login, status, ["store=nothing"], monkeypatch)
    assert "no job was submitted to the store nothing" in capsys.readouterr().out

    login.submit(f"{SHARDS}=3")
    called(login, status, [], monkeypatch)
    assert "divided:" not in capsys.readouterr().out
    login.submit("experiment=fake")
    called(login, status, [], monkeypatch)
    first, second = capsys.readouterr().out.partition("\nfake:\n")[::2]
    assert first.startswith("divided:\n")
    assert first.count("\n") == len(WAVES)
    assert second.splitlines()[-1].startswith("0 of ")
