"""`gra track sync [DIR ...]`: uploads the offline W&B runs of finished steps with `wandb sync`, oldest first.
`gra track report EXPERIMENT`: makes a W&B report of an experiment's runs (gra track report --help).

  gra track sync --dry-run              # list the runs below runs/ and whether they were uploaded
  gra track sync                        # upload those that were not
  gra track sync runs/store --entity my-team --project gra

Nothing is deleted or changed: `wandb sync` adds a marker beside each run that it uploaded, and such runs are skipped.
Runs of unfinished steps are listed but not uploaded, because a resumed step writes its run anew. The command needs a
W&B key (WANDB_API_KEY, or `wandb login`). `wandb sync` alone would wait forever for a server that does not answer. This
command first checks that the server answers, and it ends if the upload of a run takes more than --timeout seconds. Run
the command again to resume.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gra import secret_patterns, track_report
from gra.errors import EXIT_FAILED, StoreError
from gra.flags import Parser
from gra.labels import PARTIAL

RUNS = Path("runs")
CONNECT_S = 10.0  # seconds to wait for an answer of the server
SYNC = (sys.executable, "-m", "wandb", "sync")


@dataclass(frozen=True)
class OfflineRun:
    """An offline W&B run. `folder`: its folder, which lies in `<step>/wandb/`."""

    folder: Path

    @property
    def state(self) -> str:
        """The state of the run in one word. `new`: not uploaded yet. `uploaded`: already uploaded. `unfinished`: the
        run's step is not finished. `empty`: the step was killed before W&B wrote anything."""
        if any(part.endswith(PARTIAL) for part in self.folder.parts):
            return "unfinished"
        if any(self.folder.glob("*.wandb.synced")):
            return "uploaded"
        return "new" if any(self.folder.glob("*.wandb")) else "empty"


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code, which is 1 if a run could not be uploaded. Raises StoreError if a
    folder in `arguments` does not exist."""
    if arguments[:1] == ["report"]:
        return track_report.main(arguments[1:])
    parser = Parser("gra track", __doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "action", choices=["sync", "report"], help="sync: upload offline runs; report: make a W&B report"
    )
    parser.add_argument(
        "folders", type=Path, nargs="*", metavar="DIR", help="folders to search recursively; default: runs"
    )
    parser.add_argument("--entity", help="upload to this team or user instead of the runs' own")
    parser.add_argument("--project", help="upload to this project instead of the runs' own")
    parser.add_argument(
        "--timeout", type=float, default=3600.0, metavar="S", help="longest upload of one run in seconds; default: 3600"
    )
    parser.add_argument("--dry-run", action="store_true", help="list the runs and send nothing")
    given = parser.parse_intermixed_args(arguments)
    found = offline_runs(given.folders or [RUNS])
    for run in found:
        print(f"{run.state:<10} {run.folder}")
    new = [run for run in found if run.state == "new"]
    print(f"{len(found)} offline runs, {len(new)} to upload", flush=True)
    if given.dry_run:
        print("nothing was sent (--dry-run)")
        return 0
    options = [f"--{name}={value}" for name in ("entity", "project") if (value := getattr(given, name))]
    if new:
        reach(_server())
    failed = [run for run in new if not upload(run, options, given.timeout)]
    if failed:
        listed = "\n".join(f"  {run.folder}" for run in failed)
        remedy = "see W&B's message above, then run the same command again; uploaded runs are skipped"
        print(f"{len(failed)} of {len(new)} runs were not uploaded:\n{listed}\n    -> {remedy}", file=sys.stderr)
    return EXIT_FAILED if failed else 0


def offline_runs(folders: Sequence[Path]) -> list[OfflineRun]:
    """Return the offline runs below `folders`, the oldest first. They are uploaded in this order, because a run that
    makes an artifact must come before the runs that use it. Raises StoreError if one of `folders` does not exist."""
    if missing := [folder for folder in folders if not folder.is_dir()]:
        raise StoreError(f"{missing[0]}: no such folder\n    -> give a store, or the output folder of a stage")
    found = {
        path.resolve(): path for folder in folders for path in folder.rglob("wandb/offline-run-*") if path.is_dir()
    }
    return [OfflineRun(path) for path in sorted(found.values(), key=lambda path: (path.name, str(path)))]


def reach(address: str) -> None:
    """Check that a server answers at `address`. Raises StoreError if none does."""
    try:
        with urllib.request.urlopen(address, timeout=CONNECT_S):
            pass
    except urllib.error.HTTPError:
        return  # it answers
    except (OSError, ValueError) as error:
        shown = secret_patterns.without_user(address)
        remedy = "check the network and WANDB_BASE_URL, then run the same command again"
        raise StoreError(
            f"{shown}: W&B's server cannot be reached ({error}); nothing was sent\n    -> {remedy}"
        ) from error


def _server() -> str:
    """Return the address of W&B's server, from the environment or W&B's own settings."""
    if given := os.environ.get("WANDB_BASE_URL"):
        return given
    import wandb

    address = str(wandb.setup().settings.base_url)
    wandb.teardown()
    return address


def upload(run: OfflineRun, options: Sequence[str], timeout: float) -> bool:
    """Upload one run with `wandb sync`. Return True if the command succeeded and W&B left the marker file that says
    that the run was uploaded. Otherwise return False.

    The logs of `wandb sync` go to a temporary folder. The step's folder therefore keeps exactly the files that its
    manifest lists. Raises StoreError if the upload takes more than `timeout` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="gra-track-") as scratch:
        environment = {**os.environ, "WANDB_DIR": scratch, "WANDB_MODE": "online"}
        command = [*SYNC, *options, str(run.folder.resolve())]
        try:
            done = subprocess.run(
                command, env=environment, cwd=scratch, check=False, stdin=subprocess.DEVNULL, timeout=timeout
            )
        except subprocess.TimeoutExpired as error:
            remedy = "run the same command again to resume, with a larger --timeout if the run is large"
            raise StoreError(f"{run.folder}: not uploaded after {timeout:g} s\n    -> {remedy}") from error
    return done.returncode == 0 and run.state == "uploaded"
