"""`gra` itself: fast help, completion, typing errors."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from places import Place

from gra.chain.commands import experiments


def test_help_answers_at_once_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['gra', '--help']; from gra.cli import main; code = main();"
        "heavy = {'torch', 'hydra', 'omegaconf', 'transformers', 'pydantic', 'rich', 'numpy'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    took = []
    for _ in range(3):  # the best of three: the machine may be busy
        start = time.monotonic()
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        took.append(time.monotonic() - start)
        assert run.returncode == 0, run.stderr
        assert "gra run experiment=NAME" in run.stdout
    assert min(took) < 1


def test_a_run_that_is_done_imports_no_torch(place: Place) -> None:
    place.gra("run", "experiment=fake")
    code = (
        "import sys; sys.argv = ['gra', 'run', '--config-dir', 'conf', 'experiment=fake']; from gra.cli import main; code = main();"
        "sys.exit('torch' in sys.modules or code)"
    )
    run = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=place.folder, env=place.environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("command", ["run", "plan", "compare"])
def test_every_command_has_its_own_help(place: Place, command: str) -> None:
    run = place.gra(command, "--help")
    assert run.returncode == 0
    assert f"gra {command} experiment=quickstart" in run.stdout
    assert "my_seeds, quickstart" in run.stdout


def test_typing_errors(place: Place) -> None:
    run = place.gra("rnu", "experiment=fake")
    assert run.returncode == 2
    assert "did you mean `gra run`?" in run.stderr


def test_the_projects_experiments_are_listed() -> None:
    assert {"quickstart", "my_seeds"} <= set(experiments())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gra ", "run"),
        ("gra pl", "plan"),
        ("gra run exp", "experiment"),
        ("gra run experiment=", "experiment=quickstart"),
        ("gra run cluster.max_p", "cluster.max_parallel="),
        ("gra plan track", "tracking"),
    ],
)
def test_tab_completion_in_a_real_shell(place: Place, line: str, expected: str) -> None:
    script = f"""
    shopt -s expand_aliases
    gra() {{ "{sys.executable}" -P -m gra.cli "$@"; }}
    eval "$(gra completion bash)"
    COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=({line.rstrip()}); COMP_CWORD={line.count(" ")}
    [[ "$COMP_LINE" == *' ' ]] && COMP_WORDS+=("")
    _gra_completion; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    run = subprocess.run(
        ["bash", "--norc", "-c", script], env=place.environment, cwd=place.folder, capture_output=True, text=True, check=False
    )
    assert any(word.startswith(expected) for word in run.stdout.split()), (run.stdout, run.stderr)
