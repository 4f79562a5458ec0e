"""Where the label "simulated" is looked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gra.labels import simulated


@pytest.fixture
def world(tmp_path: Path) -> Path:
    folder = tmp_path / "store" / "world"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "config.json").write_text("{}")
    return folder


def test_without_a_label(world: Path, tmp_path: Path) -> None:
    assert not simulated([])
    assert not simulated([None, world, world / "model", tmp_path / "nowhere", Path("owner/name")])


@pytest.mark.parametrize("file", ["SIMULATED", "manifest.json"])
def test_folder_its_parts_and_their_files(
    world: Path, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world / file).write_text(json.dumps({"simulated": True}))
    for path in (world, world / "model", world / file):
        assert simulated([None, path])
    (world / "model" / "deep").mkdir()
    assert not simulated([world / "model" / "deep", world.parent])
    (tmp_path / "link").symlink_to(world / "model")
    assert simulated([tmp_path / "link"])
    monkeypatch.chdir(world / "model")
    assert simulated([Path()])


@pytest.mark.parametrize("text", ["", "[]", "no json", '{"simulated": false}', '{"simulated": "no"}', '"\\ud800'])
def test_other_manifests_say_nothing(world: Path, text: str) -> None:
    (world / "manifest.json").write_text(text)
    assert not simulated([world])
