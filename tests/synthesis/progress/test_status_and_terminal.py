"""The status file at every moment, and a terminal that is left clean."""

from __future__ import annotations

import errno
import json
import logging
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_progress import SNAPSHOT, START

from gra.synthesis.engine.engine import Traffic
from gra.synthesis.progress import status_file
from gra.synthesis.progress import terminal as shown
from gra.synthesis.progress.state import State
from gra.synthesis.progress.terminal import Progress, line


def test_status_says_what_its_schema_says(tmp_path: Path) -> None:
    value = status_file.status(SNAPSHOT, line(SNAPSHOT), 100.0, 110.0)
    status_file.write(tmp_path, value)
    assert json.loads((tmp_path / "status.json").read_text()) == json.loads(json.dumps(value))
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]
    doc = status_file.__doc__ or ""
    flat = [*value, *value["counters"], *value["rates"]]
    assert all(key in doc for key in flat)
    assert (value["schema"], value["state"], value["pid"], value["round"], value["eta_s"]) == (
        1,
        "running",
        os.getpid(),
        2,
        185.0,
    )
    empty = status_file.status(START, line(START), 0.0, 0.0)
    assert (empty["rates"], empty["servers_out"], empty["eta_s"]) == (None, None, None)
    assert set(empty) == set(value)


def test_status_is_whole_at_every_moment_and_gone_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "PANEL_S", 0.001)
    monkeypatch.setattr(shown, "STATUS_S", 0.001)
    (tmp_path / ".status.json.tmp").write_text("left by a kill")
    with Progress(State(Traffic(), 1), tmp_path) as progress:
        progress.stage("round 1", 5)
        seen = set()
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            read = json.loads((tmp_path / "status.json").read_text())
            assert set(read["counters"]) >= {"proposed", "accepted", "asked"}
            seen.add(read["updated_at"])
    assert len(seen) > 2
    assert list(tmp_path.iterdir()) == []


def test_status_is_gone_after_a_fault_too(tmp_path: Path) -> None:
    def fail() -> None:
        with Progress(State(Traffic(), 1), tmp_path):
            assert (tmp_path / "status.json").is_file()
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_status_that_cannot_be_written_does_not_end_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone = tmp_path / "gone"
    with caplog.at_level(logging.WARNING), Progress(State(Traffic(), 1), gone) as progress:
        progress.stage("round 1", 5)
    assert [record for record in caplog.records if "status.json cannot be written" in record.message]


# -- a real terminal --------------------------------------------------------------------------------------------------

CHILD = """
import logging, sys, time
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
from gra.synthesis.engine.engine import Traffic
from gra.synthesis.progress.terminal import Progress
from gra.synthesis.progress.state import State
import gra.synthesis.progress.terminal as p
p.PANEL_S = 0.05
handler = logging.getLogger().handlers[0]
before = handler.stream
try:
    with Progress(State(Traffic(), 2)) as progress:
        progress.stage("round 1", 10)
        for i in range(8):
            logging.info("log line %d of the run", i)
            time.sleep(0.1)
        time.sleep(float(sys.argv[1]))
except KeyboardInterrupt:
    pass
assert handler.stream is before and sys.stderr is before
print("after", file=sys.stderr)
"""


def read_all(handle: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(handle, 65536)
        except OSError as error:
            if error.errno == errno.EIO:  # Linux: the other side is closed
                return
            raise
        if not chunk:
            return
        yield chunk


@pytest.mark.parametrize("interrupt", [False, True])
def test_a_terminal_is_left_clean_and_log_lines_stay_whole(interrupt: bool) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    words = [sys.executable, "-c", CHILD, "30" if interrupt else "0"]
    with subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as child:
        os.close(theirs)
        seen = b""
        for chunk in read_all(ours):
            seen += chunk
            if interrupt and b"log line 7" in seen:
                child.send_signal(signal.SIGINT)
                interrupt = False
    os.close(ours)
    assert child.returncode == 0
    text = seen.decode()
    assert "round 1 of 2" in text
    for i in range(8):
        assert f"INFO log line {i} of the run\r\n" in text.replace("\x1b[0m", "").replace("\x1b[2K", "")
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")  # the cursor can be seen
    assert "\x1b[?1049h" not in text  # what was on the screen stays
    assert text.rstrip().endswith("after")
    hidden = text.find("\x1b[?25l")
    # and could be all along, should the process be killed
    assert hidden == -1 or 0 < text.find("\x1b[?25h") - hidden < 1000
