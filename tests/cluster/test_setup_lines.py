"""Lines of `cluster.setup` in a job's shell: one that fails ends the task with a message; options that users set do no harm.

The template is run by bash, without Slurm; `scontrol` is one that does nothing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from gra.chain.execution.cluster_settings import SlurmSettings
from gra.cluster.records import Submission, Submitted
from gra.cluster.status import lines_of
from gra.cluster.submit import job_file
from gra.paths import slurm_dir

SOURCED = "[ -n $NOT_SET ]; false; yes | head -1 >/dev/null; declare -A KEPT; KEPT[a]=kept\n"  # as conda's files do


def start(folder: Path, setup: Sequence[str]) -> subprocess.Popen[str]:
    """The only attempt of a job in `folder`, which writes what it sees of the setup to the file `ran`."""
    logs, bin_ = folder / "logs", folder / "bin"
    for made in (logs, bin_):
        made.mkdir()
    (bin_ / "scontrol").symlink_to("/bin/true")
    (folder / "tool.sh").write_text(SOURCED)
    settings = SlurmSettings(setup=[*setup], max_attempts=1)
    (logs / "job.sh").write_text(job_file(settings, logs, folder / "code", 2))
    own = {"GRA_JOB": str(logs / "job.sh"), "GRA_SLURM": str(slurm_dir()), "SLURM_JOB_ID": "7"}
    words = ["bash", str(slurm_dir() / "task.sbatch"), "sh", "-c", 'echo "$SEEN $OMP_NUM_THREADS $PYTHONPATH" >ran']
    return subprocess.Popen(
        words,
        cwd=folder,
        env={"PATH": f"{bin_}:{os.environ['PATH']}", **own},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def shown(folder: Path) -> tuple[str, str | None]:
    """State and error, as `gra status` says them."""
    job = Submitted("x-1", "a", "a", "x", "1", None, 1, [], [], {"0": [str(folder / "no")]}, str(folder / "logs"))
    Submission(folder / ".jobs" / "then", "x", "", None, [], [job]).write()
    (line,) = lines_of(folder, [])
    return line.state, line.error


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("no-such-module load cuda", 127),
        ("false", 1),
        ("exit 0", 0),
        ("set -eu; false; true", 1),
        ("source no-such-file", 1),
        ("if true; then", 2),
    ],
)
def test_a_line_that_fails_ends_the_task_and_is_named(tmp_path: Path, line: str, code: int) -> None:
    job = start(tmp_path, ["true", line, "touch later"])
    said = job.communicate(timeout=30)[0]
    assert job.returncode == 1, said
    assert not {"ran", "later"} & {path.name for path in tmp_path.iterdir()}
    state, error = shown(tmp_path)
    printed = f"what it printed: {tmp_path}/logs/slurm-7.log"
    assert (state, error) == (
        "failed",
        f"cluster.setup: the line `{line}` ended with exit code {code}; {printed}"[:300],
    )
    assert (tmp_path / "logs" / "job.failures").read_text() == "1\n"


def test_files_that_users_source_run_without_the_options_of_the_template(tmp_path: Path) -> None:
    setup = ["source tool.sh", "set -eu -o pipefail", 'export SEEN=${KEPT[a]} PYTHONPATH="mine"', "false || true"]
    job = start(tmp_path, setup)
    said = job.communicate(timeout=30)[0]
    assert job.returncode == 0, said
    assert (tmp_path / "ran").read_text() == f"kept 2 {tmp_path}/code:mine\n"


def test_a_job_that_is_cancelled_in_its_setup_did_not_fail(tmp_path: Path) -> None:
    job = start(tmp_path, ["touch begun", "sleep 30 & wait $!"])
    while not (tmp_path / "begun").exists():
        time.sleep(0.05)
    time.sleep(0.3)
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=30) == 143
    assert shown(tmp_path)[0] == "stopped"
