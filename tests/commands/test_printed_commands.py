"""No command that README or a config file prints fails as printed: each is tried with tiny stand-ins (standins.py says which)."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from place import furnish
from printed_commands import ROOT, Printed, everything, keys_named, of_markdown
from standins import rule_for, spelt

from gra import cli, hub
from gra.paths import conf_dir
from gra.train.distributed import hardware

sys.path.append(str(ROOT / "tests" / "eval"))
from completions_site import serving

COMMANDS = everything()
ONCE = {one.text: one for one in reversed(COMMANDS)}.values()
RULED = [(one, *rule) for one in sorted(ONCE, key=str) if (rule := rule_for(one.text)) is not None]
H100S = hardware.Machine((hardware.Gpu("NVIDIA H100", (9, 0)),) * 8, frozenset(hardware.PACKAGES))


def test_every_command_has_a_stand_in() -> None:
    uncovered = [str(one) for one in COMMANDS if rule_for(one.text) is None]
    assert uncovered == [], "add a line for each to RULES in tests/commands/standins.py"
    by_file = {one.file for one in COMMANDS}
    silent = {path.relative_to(ROOT).as_posix() for path in conf_dir().rglob("*.yaml")} - by_file
    assert silent == set(), "opens with no command, or with one that stands elsewhere, too"
    assert {"README.md", "slurm/task.sbatch"} <= by_file


def test_commands_are_found_and_mentions_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "Say `gra plan` or `gra eval`.\n\n    gra eval suite=a \\\n        output=b   # a comment\n    conf/ things\n"
        "\n```\ngra run experiment=x\n```\nand `gra train data=D\noutput=E`, ``gra run experiment=y`` or `'a.b=[c]'`.\n"
    )
    (tmp_path / "T.md").write_text(text, encoding="utf-8")
    monkeypatch.setattr("printed_commands.ROOT", tmp_path)
    assert [(one.line, one.text) for one in of_markdown(tmp_path / "T.md")] == [
        (3, "gra eval suite=a output=b"),
        (10, "gra train data=D output=E"),
        (11, "gra run experiment=y"),
    ]
    assert list(keys_named(tmp_path / "T.md")) == ["a.b=[c]"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of the simulated committee, over HTTP."""
    import socket
    import time

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gra.simulation.server", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_chat_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("place")
    furnish(folder, tiny_chat_model)
    return folder


def called(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run `python -m MODULE ...` or `gra ...` in this process; returns the exit code."""
    GlobalHydra.instance().clear()
    try:
        try:
            if words[0] == "gra":
                monkeypatch.setattr(sys, "argv", words)
                return cli.main()
            module, arguments = words[2], words[3:]
            monkeypatch.setattr(sys, "argv", [module, *arguments])
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            return int(end.code or 0)
        return 0
    finally:
        GlobalHydra.instance().clear()


@pytest.mark.slow
@pytest.mark.parametrize(("command", "how", "more"), RULED, ids=[f"{one.file}:{one.line}" for one, _, _ in RULED])
def test_a_command_works_as_printed(
    command: Printed,
    how: str,
    more: tuple[str, ...],
    place: Path,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(place / "hub"))
    hub._fault.cache_clear()
    monkeypatch.setenv("PATH", str(place / "bin"), prepend=os.pathsep)
    values = {"URL": url, "OUT": str(tmp_path / "out"), "PYTHON": sys.executable}
    words = spelt(command.words, more, values)
    if how == "shell":
        assert shell(words, place, tmp_path) == 0, capfd.readouterr().err[-3000:]
        return
    words = words[next((i for i, word in enumerate(words) if word in ("python", "gra")), 0) :]
    if how == "plan":
        given = words[2:] if words[1] == "plan" else [word for word in words if "=" in word or word in ("-m",)]
        words = ["gra", "plan", *given]
    elif how == "check":
        started: list[Any] = []

        def instead(*arguments: Any, **_: Any) -> Any:
            started.append(arguments)
            return SimpleNamespace(reused=False, manifest={})

        monkeypatch.setattr("gra.chain.execution.single.run_in_folder", instead)
        monkeypatch.setattr(hardware, "here", lambda: H100S)
    if how != "plan" and not any(word == "output=data/benchmarks" for word in words):
        words = [f"output={tmp_path / 'out'}" if word.startswith("output=") else word for word in words]
    if words[:2] == ["gra", "rescore"]:
        named = {"FOLDER": str(scores(place, "mine")), "DIR": str(tmp_path / "out")}
        words = [named.get(word, word) for word in words]
    if words[:2] == ["gra", "compare"]:
        scores(place, "mine"), scores(place, "other"), scores(place, "base")
    words = [
        found
        for word in words
        for found in (map(str, sorted(place.glob(word))[:1]) if "*" in word and "=" not in word else [word])
    ]
    assert called(words, monkeypatch) == 0, f"{command}\ntried as: {words}\n{capfd.readouterr().err[-3000:]}"
    if how == "check":
        assert len(started) == 1, "the stage was not reached"
    elif how == "run" and any(word == f"output={tmp_path / 'out'}" for word in words):
        assert any((tmp_path / "out").iterdir())


def shell(words: list[str], place: Path, scratch: Path) -> int:
    """In bash, from the repository for what lies there; `sbatch` is one that prints a number for what it got."""
    tools = scratch / "bin"
    tools.mkdir()
    (tools / "sbatch").write_text('#!/bin/sh\necho "$@" >> "$GOT"\necho 17\n', encoding="utf-8")
    (tools / "sbatch").chmod(0o755)
    path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "GOT": str(scratch / "got")}
    if words[0] == "eval":
        line, folder = f'eval "{words[1]}" && complete -p gra', place
    else:
        line, folder = " ".join(f"'{word}'" for word in words), ROOT if words[0] == "make" else place
    if words[0].startswith("slurm/") and not (place / "slurm").exists():
        shutil.copytree(ROOT / "slurm", place / "slurm")
    code = subprocess.run(["bash", "-c", line], cwd=folder, env=environment, check=False).returncode
    assert not words[0].startswith("slurm/") or "output=data/mine" in (scratch / "got").read_text(encoding="utf-8")
    return code


def scores(place: Path, name: str) -> Path:
    """A scores folder of the tiny model on one benchmark, answered by a server; made once."""
    from gra.eval import stage

    folder = place / "scores" / name
    if not folder.exists():
        folder.mkdir(parents=True)
        suite = {"name": "s", "tasks": ["gsm8k"], "data_dir": str(place / "data" / "benchmarks"), "num_fewshot": 0}
        with serving() as site:
            model = {"path": str(place / "MODEL"), "backend": "server", "base_url": site.url, "name": "m"}
            stage.run({"seed": 0, "suite": suite, "model": model}, {}, folder)
    return folder


def test_every_key_that_the_docs_name_is_set_without_a_plus() -> None:
    """`suite.sandbox=none` and its like, in the app or experiment that has the key; the value as it is named."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    keys = list(dict.fromkeys(key for page in pages for key in keys_named(page)))
    assert len(keys) > 15
    apps = {
        "eval_app": [],
        "fetch_app": [],
        "synthesis_app": ["pool=servers"],
        "train_app": [],
        "chain": ["experiment=quickstart"],
    }
    faults: dict[str, str] = {}
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        for key in keys:
            words = [
                re.sub(r"\.\.\.", "x", re.sub(r",\s*\.\.\.", "", word))
                for word in (shlex.split(key) if key.startswith("+") else [key])
            ]
            told = []
            for app, more in apps.items():
                try:
                    compose(app, overrides=[*more, *words])
                    break
                except Exception as error:  # noqa: BLE001 whatever Hydra raises, the key cannot be set there
                    told.append(str(error).splitlines()[0])
            else:
                faults[key] = told[0]
    assert faults == {}
