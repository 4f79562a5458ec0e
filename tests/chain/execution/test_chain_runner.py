"""One step done once: begun, resumed, published, found again; and what is refused."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from gra.chain.execution.runner import Result, identify, run_in_folder, run_in_store
from gra.chain.stage import Stage, load_stage
from gra.chain.store import manifest
from gra.chain.store.fingerprint import fingerprint
from gra.chain.store.store import Store, slug
from gra.errors import ConfigError, GraError, StoreError
from gra.labels import simulated
from gra.locks import holder, locked


@pytest.fixture
def stage(stages: Path) -> Stage:
    assert stages
    return load_stage("fake_make.run")


def calls(folder: Path) -> int:
    path = folder / "calls"
    return len(path.read_text().splitlines()) if path.exists() else 0


def in_store(stage: Stage, config: dict[str, Any], store: Store, name: str = "a/data") -> Result:
    return run_in_store(stage, config, {}, {}, store, name, fingerprint(identify(stage, config, {})))


def test_a_step_is_made_once_and_found_under_any_name(stage: Stage, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first = in_store(stage, {"value": 3, "runtime": {"speed": 1}}, store)
    assert first.folder.name.startswith("fake_make-a-data-")
    assert (first.folder / "value").read_text() == "3"
    assert not first.reused
    second = in_store(stage, {"value": 3, "runtime": {"speed": 99}}, store, "other/step")
    assert second.reused
    assert second.folder == first.folder
    assert calls(tmp_path) == 1
    record = first.manifest
    assert record["metrics"] == {"value": 3.0}
    assert record["config"] == {"value": 3, "runtime": {"speed": 1}}
    assert record["identity"]["config"] == {"value": 3}
    assert record["versions"]["python"] == sys.version.split()[0]
    assert record["simulated"] is False
    assert {"start", "end", "host", "git", "inputs", "hash"} <= set(record)
    assert not list(tmp_path.rglob("*.lock"))
    assert not list(tmp_path.rglob("begun.json"))


def test_a_failed_step_is_gone_on_with_under_its_first_name(stage: Stage, tmp_path: Path) -> None:
    store, config = Store(tmp_path / "store"), {"value": 3, "fail": "error"}
    with pytest.raises(GraError, match="cannot be"):
        in_store(stage, config, store)
    partial = store.find_partial("fake_make", fingerprint(identify(stage, config, {})))
    assert partial is not None
    (partial / "half").write_text("kept")
    with pytest.raises(GraError):
        in_store(stage, config, store, "renamed/data")
    assert [p.name for p in store.root.iterdir() if not p.name.startswith(".")] == [partial.name]


def test_a_page_that_cannot_be_made_costs_no_result(
    stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the folder holds: here something that looks like data, and is none."""
    run = stage.run

    def and_more(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
        (output / "data").mkdir(parents=True, exist_ok=True)
        (output / "data" / "train.parquet").write_text("no table")
        return run(config, inputs, output)

    done = run_in_folder(dataclasses.replace(stage, run=and_more), {"value": 3}, {}, {}, tmp_path / "out")
    assert (done.folder / "value").read_text() == "3"
    assert not (done.folder / "report.html").exists()
    assert f"to make it: gra report {done.folder}" in caplog.text
    assert "train.parquet cannot be read" in caplog.text


def test_killed_between_manifest_and_rename_it_is_only_published(stage: Stage, tmp_path: Path) -> None:
    done = run_in_folder(stage, {"value": 3}, {}, {}, tmp_path / "out").folder
    done.rename(tmp_path / "out.partial")
    (tmp_path / "out.partial" / "begun.json").write_text("{}")
    again = run_in_folder(stage, {"value": 3}, {}, {}, tmp_path / "out")
    assert not (again.folder / "begun.json").exists()
    assert calls(tmp_path) == 1


def test_an_output_folder_says_what_differs(stage: Stage, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()  # an empty folder may be there
    run_in_folder(stage, {"value": 3}, {}, {}, out)
    assert run_in_folder(stage, {"value": 3, "runtime": {"x": 1}}, {}, {}, out).reused
    with pytest.raises(StoreError, match=r"config\.value: 3 there, 4 here"):
        run_in_folder(stage, {"value": 4}, {}, {}, out)


def test_not_hashed_keys_do_not_make_another_result(stage: Stage, tmp_path: Path) -> None:
    run_in_folder(stage, {"pool": {"base_url": "u"}}, {}, {}, tmp_path / "out")
    assert run_in_folder(stage, {"pool": {"base_url": "v"}}, {}, {}, tmp_path / "out").reused


def test_a_working_folder_of_another_config_is_put_out_of_the_way(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stage does not say what its files are worth: so they are kept, named, and found again by their own config."""
    with pytest.raises(GraError, match="cannot be"):
        run_in_folder(stage, {"value": 3, "fail": "error"}, {}, {}, tmp_path / "out")
    (tmp_path / "out.partial" / "half").write_text("mine")
    assert run_in_folder(stage, {"value": 4}, {}, {}, tmp_path / "out").manifest["metrics"] == {"value": 4.0}
    told = capsys.readouterr().err
    (kept,) = tmp_path.glob("out.partial-*")
    for expected in ("value: 3 -> 4", "fail: 'error' -> not set", f"kept as {kept.name}", "1 file"):
        assert expected in told
    assert (kept / "half").read_text() == "mine"
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(GraError, match="cannot be"):
        run_in_folder(stage, {"value": 3, "fail": "error"}, {}, {}, tmp_path / "out")
    assert not kept.exists()
    assert "resumed from" in capsys.readouterr().err


def test_a_working_folder_that_holds_nothing_of_worth_is_replaced_without_a_word(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cheap = dataclasses.replace(stage, kept=lambda _: "")
    for begun in (None, "torn {", "[]", "{}"):
        with pytest.raises(GraError, match="cannot be"):
            run_in_folder(cheap, {"value": 3, "fail": "error"}, {}, {}, tmp_path / "out")
        if begun is not None:
            (tmp_path / "out.partial" / "begun.json").write_text(begun)
        assert not run_in_folder(cheap, {"value": 4}, {}, {}, tmp_path / "out").reused
        assert capsys.readouterr().err == ""
        assert [p.name for p in tmp_path.iterdir() if p.is_dir() and p.name.startswith("out")] == ["out"]
        shutil.rmtree(tmp_path / "out")


def test_a_working_folder_that_no_stage_began_is_left_alone(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "thesis.tex").write_text("mine")
    with pytest.raises(StoreError, match=r"no begun\.json"):
        run_in_folder(stage, {"value": 4}, {}, {}, tmp_path / "out")
    assert (tmp_path / "out.partial" / "thesis.tex").read_text() == "mine"


def test_files_half_written_by_a_killed_process_are_not_published(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(GraError):
        run_in_folder(stage, {"value": 3, "fail": "error"}, {}, {}, tmp_path / "out")
    partial = tmp_path / "out.partial"
    (partial / "data").mkdir()
    for name in (".value.123.tmp", "data/.train.parquet.4567.tmp", ".begun.json.89.tmp", "data/kept.tmp", ".kept"):
        (partial / name).write_text("x")
    goes_on = dataclasses.replace(stage, run=lambda *_: {"value": 3.0})
    result = run_in_folder(goes_on, {"value": 3, "fail": "error"}, {}, {}, tmp_path / "out")
    left = {p.relative_to(result.folder).as_posix() for p in result.folder.rglob("*") if p.is_file()}
    assert left == {"half", "data/kept.tmp", ".kept", "manifest.json"}
    assert set(result.manifest["files"]) == left - {"manifest.json"}


@pytest.mark.parametrize("output", [".", "/", "..", ""])
def test_an_output_must_be_a_folder_of_its_own(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="its own folder"):
        run_in_folder(stage, {"value": 3}, {}, {}, Path(output))


def test_a_file_that_cannot_be_read_is_a_problem_under_its_key(stage: Stage, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", Path("/proc/self/mem")):
        with pytest.raises(ConfigError) as caught:
            identify(stage, {"file": str(path)}, {})
        assert [p.key for p in caught.value.problems] == ["file"]
        assert f"{path}: cannot be read" in str(caught.value)


def test_a_folder_of_somebody_else_is_left_alone(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(StoreError, match="no stage made it"):
        run_in_folder(stage, {}, {}, {}, tmp_path / "out")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="is a file"):
        run_in_folder(stage, {}, {}, {}, tmp_path / "file")
    with pytest.raises(StoreError, match="file"):  # a file where the store should be
        in_store(stage, {}, Store(tmp_path / "file" / "store"))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"hash": "x", "identity": {}, "metrics": {}, "simulated": false}', None]
)
def test_a_finished_folder_without_a_sound_manifest_is_an_error(stage: Stage, tmp_path: Path, text: str | None) -> None:
    store = Store(tmp_path / "store")
    folder = in_store(stage, {}, store).folder
    (folder / "manifest.json").unlink()
    if text is not None:
        (folder / "manifest.json").write_text(text)
    with pytest.raises(StoreError, match=folder.name):
        in_store(stage, {}, store)


def test_the_content_of_named_files_counts_not_their_path(stage: Stage, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("seeds")
    two.write_text("seeds")
    before = fingerprint(identify(stage, {"file": str(one)}, {}))
    assert fingerprint(identify(stage, {"file": str(two)}, {})) == before
    two.write_text("other")
    assert fingerprint(identify(stage, {"file": str(two)}, {})) != before
    with pytest.raises(StoreError, match="was changed after"):
        run_in_store(stage, {"file": str(two)}, {}, {}, Store(tmp_path / "store"), "a", before)


def test_outside_folders_count_by_manifest_or_by_content(stage: Stage, tmp_path: Path) -> None:
    made = run_in_folder(stage, {"mark": True}, {}, {}, tmp_path / "out").folder
    assert manifest.outside_hash(made) == manifest.read(made)["hash"]
    shutil.copytree(made, tmp_path / "copy")
    assert manifest.outside_hash(tmp_path / "copy") == manifest.outside_hash(made)
    (tmp_path / "copy" / "value").write_text("12345")
    assert manifest.outside_hash(tmp_path / "copy") != manifest.outside_hash(made)
    assert simulated([made])


def test_simulated_is_handed_on(stage: Stage, tmp_path: Path) -> None:
    made = run_in_folder(stage, {"mark": True}, {}, {}, tmp_path / "out").folder
    join = load_stage("fake_join.run")
    result = run_in_folder(join, {}, {"data": made}, {"data": manifest.outside_hash(made)}, tmp_path / "sum")
    assert not (result.folder / "SIMULATED").exists()
    assert result.manifest["simulated"] is True
    assert simulated([result.folder])


def test_metrics_must_be_finite(stages: Path, stage: Stage, tmp_path: Path) -> None:
    odd = dataclasses.replace(stage, name="odd", run=lambda *_: {"loss": float("nan")})
    assert stages
    with pytest.raises(GraError, match="loss"):
        run_in_folder(odd, {}, {}, {}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_lock_shows_its_holder_and_is_gone_after(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    assert holder(path) is None
    with locked(path, pytest.fail):
        assert path.exists()
    assert not path.exists()
    path.write_text("left by a process that was killed")
    with locked(path, pytest.fail):
        pass


def test_slugs_are_safe_names() -> None:
    assert slug("A rm/../Data@3") == "a-rm-..-data-3"
    assert slug("../..") == "x"


def test_the_manifest_is_plain_json(stage: Stage, tmp_path: Path) -> None:
    folder = run_in_folder(stage, {"value": 1}, {}, {}, tmp_path / "out").folder
    assert json.loads((folder / "manifest.json").read_text())["files"] == {"half": 4, "value": 1}


def test_a_process_that_its_config_makes_a_follower_locks_and_publishes_nothing(stage: Stage, tmp_path: Path) -> None:
    """As on the second node of a training: it works in the folder that the first node's process has begun."""
    inner: list[Result] = []
    config = {"value": 3}
    second = dataclasses.replace(stage, follower=lambda given: given == config)

    def first(given: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
        inner.append(run_in_folder(second, config, {}, {}, tmp_path / "out"))  # while the first holds the lock
        return stage.run(given, inputs, output)

    result = run_in_folder(dataclasses.replace(stage, run=first), config, {}, {}, tmp_path / "out")
    assert [found.manifest for found in inner] == [{}]
    assert result.manifest["metrics"] == {"value": 3.0}
    assert calls(tmp_path) == 2


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", refused)
    with pytest.raises(
        StoreError, match=r"No locks available; the file system is \w+ at /.*\n    -> .*store=DIR or output=DIR"
    ):
        locked(tmp_path / ".lock", lambda _who: None).__enter__()
