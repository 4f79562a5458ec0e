"""A run changes no file that a repository tracks: tables and reports are published by a command of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import Place

from gra.errors import StoreError
from gra.paths import source_root
from gra.publish import FILES, publish


def result(folder: Path, text: str = "a") -> Path:
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text(f"{name} {text}")
    return folder


def git(folder: Path, *words: str) -> str:
    run = subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@y", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


@pytest.mark.skipif(
    source_root() is None or shutil.which("git") is None, reason="needs a checkout's .gitignore, and git"
)
def test_run_and_compare_leave_a_clone_clean_and_only_publish_changes_it(place: Place) -> None:
    root = source_root()
    assert root is not None
    shutil.copy(root / ".gitignore", place.folder)
    result(place.folder / "results" / "fake", "old")
    place.environment["FAKE_CALLS"] = str(place.folder.with_name("calls"))
    git(place.folder, "init", "-q")
    git(place.folder, "add", "-A")
    git(place.folder, "commit", "-qm", "all")
    for command in ("plan", "run", "compare"):
        run = place.gra(command, "experiment=fake")
        assert run.returncode == 0, run.stderr
        assert git(place.folder, "status", "--porcelain") == "", command
    for more, code in (([], 1), (["--replace"], 0)):
        words = [sys.executable, "-m", "gra.cli", "publish", "runs/results/fake", "results/fake", *more]
        published = subprocess.run(words, cwd=place.folder, capture_output=True, text=True, check=False)
        assert published.returncode == code, published.stderr
    assert {line[3:] for line in git(place.folder, "status", "--porcelain").splitlines()} == {
        f"results/fake/{n}" for n in FILES
    }


def test_a_result_is_published_once_and_another_only_in_its_place_when_asked(tmp_path: Path) -> None:
    first, other, target = result(tmp_path / "one"), result(tmp_path / "two", "b"), tmp_path / "results" / "x"
    assert publish(first, target) == list(FILES)
    assert publish(first, target) == []  # the same again: nothing to do, nothing to refuse
    (target / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="--replace"):
        publish(other, target)
    assert (target / "table.md").read_text() == "table.md a"
    assert publish(other, target, replace=True) == list(FILES)
    assert (target / "table.md").read_text() == "table.md b"
    assert (target / "notes.txt").read_text() == "mine"


def test_what_cannot_be_published_is_told(tmp_path: Path) -> None:
    good = result(tmp_path / "quickstart")
    with pytest.raises(StoreError, match=r"did you mean .*quickstart\?"):
        publish(tmp_path / "quikstart", tmp_path / "x")
    (good / "table.csv").unlink()
    with pytest.raises(StoreError, match=r"holds no table\.csv"):
        publish(good, tmp_path / "x")
    (good / "table.csv").write_text("")
    with pytest.raises(StoreError, match="the run's own folder"):
        publish(good, good)
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match=r"give a (writable )?folder"):
            publish(good, target)
    assert not (tmp_path / "x").exists()


def test_publish_has_its_help() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "gra.cli", "publish", "--help"], capture_output=True, text=True, check=True
    )
    assert "--replace" in run.stdout
    assert "runs/results/quickstart results/quickstart" in run.stdout
