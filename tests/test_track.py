"""`gra track sync`: which offline runs are uploaded, in which order, and what it says; what W&B's config never shows."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gra import cli, track
from gra.tracking import cut, limited_tags, public

FAKE = """
import os, pathlib, sys
assert os.environ["WANDB_DIR"] == os.getcwd()
folder = pathlib.Path(sys.argv[-1])
print(folder.name, *sys.argv[1:-1], file=open(sys.argv[0] + ".log", "a"))
if "refused" in folder.name:
    sys.exit(1)
if "stuck" in folder.name:
    import time
    time.sleep(60)
if "ignored" not in folder.name:
    (folder / "run-x.wandb.synced").touch()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """It answers every request with an error, as W&B's does without a key."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


@pytest.fixture
def sync(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script in the place of `wandb sync`; what it was asked for is in `<script>.log`."""
    monkeypatch.setenv("WANDB_BASE_URL", server)
    script = tmp_path / "sync.py"
    script.write_text(FAKE)
    monkeypatch.setattr(track, "SYNC", (sys.executable, str(script)))
    return script


def offline(step: Path, name: str) -> Path:
    folder = step / "wandb" / f"offline-run-{name}"
    folder.mkdir(parents=True)
    (folder / "run-x.wandb").write_bytes(b"records")
    return folder


def gra(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gra", *words])
    return cli.main()


def test_new_runs_are_uploaded_oldest_first_and_once(
    sync: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    offline(store / "eval-a", "20260102_000000-b")
    offline(store / "train-a", "20260101_000000-a")
    offline(store / "train-b.partial", "20260101_000000-c")
    (store / "train-c" / "wandb" / "offline-run-20260101_000000-d").mkdir(parents=True)
    before = sorted(store.rglob("*"))
    assert gra(monkeypatch, "track", "sync", str(store), "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "4 offline runs, 2 to upload" in shown
    assert [line.split()[0] for line in shown.splitlines()[:4]] == ["new", "unfinished", "empty", "new"]
    assert sorted(store.rglob("*")) == before
    assert not sync.with_name("sync.py.log").exists()
    assert gra(monkeypatch, "track", "sync", str(store), "--project", "other") == 0
    assert gra(monkeypatch, "track", "sync", str(store)) == 0  # nothing is left to upload
    asked = sync.with_name("sync.py.log").read_text().splitlines()
    assert asked == [f"offline-run-2026010{day}_000000-{run} --project=other" for day, run in ((1, "a"), (2, "b"))]


def test_a_run_that_was_refused_or_left_costs_no_other(
    sync: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sync.exists()
    for name in ("1-refused", "2-ignored", "3-sent"):
        offline(tmp_path / "store", name)
    assert gra(monkeypatch, "track", "sync", str(tmp_path / "store")) == 1
    told = capsys.readouterr().err
    assert "2 of 3 runs were not uploaded" in told
    assert "1-refused" in told
    assert "2-ignored" in told
    assert "3-sent" not in told
    assert len(list((tmp_path / "store").rglob("*.synced"))) == 1


def test_a_server_that_does_not_answer_ends_the_command(
    sync: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offline(tmp_path / "store", "1-stuck")
    assert gra(monkeypatch, "track", "sync", str(tmp_path / "store"), "--timeout", "0.5") != 0
    assert "not uploaded after 0.5 s" in capsys.readouterr().err
    sync.with_name("sync.py.log").unlink()
    monkeypatch.setenv("WANDB_BASE_URL", "http://user:secret@127.0.0.1:9")
    assert gra(monkeypatch, "track", "sync", str(tmp_path / "store")) != 0
    told = capsys.readouterr().err
    assert "http://127.0.0.1:9: W&B's server cannot be reached" in told
    assert "secret" not in told
    assert not sync.with_name("sync.py.log").exists()


def test_a_folder_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert gra(monkeypatch, "track", "sync") != 0
    assert "runs: no such folder" in capsys.readouterr().err


def test_long_names_stay_different() -> None:
    first, second = cut("x" * 200 + "a"), cut("x" * 200 + "b")
    assert len(first) == len(second) == 128
    assert first != second
    assert cut("short") == "short"
    assert limited_tags(["eval", None, "", "eval", "y" * 65]) == ["eval", cut("y" * 65, 64)]


def test_secrets_and_addresses_are_not_shown() -> None:
    config = {
        "api_key": "abc",
        "model": {"base_url": "http://user:pw@host/v1", "path": "/home/someone/models/mine", "max_tokens": 3},
        "list": ["hf_abcdefghijklmno", "https://host/?q=1", "~/data", "hf:owner/name"],
    }
    assert public(config) == {
        "model": {"base_url": "(left out)", "path": "mine", "max_tokens": 3},
        "list": ["(left out)", "(left out)", "data", "hf:owner/name"],
    }
