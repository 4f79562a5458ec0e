"""Each example runs and prints what its first lines say; the notebook, in a running event loop, what its cells show."""

from __future__ import annotations

import ast
import asyncio
import json
import runpy
import textwrap
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_it_says(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.splitlines() == textwrap.dedent(told.partition("It prints:\n\n")[2]).splitlines()


@pytest.mark.slow
def test_the_notebook_prints_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((EXAMPLES[0].parent / "first_steps.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    space: dict[str, object] = {}

    async def kernel() -> None:
        for cell in cells:
            exec("".join(cell["source"]), space)
            assert capsys.readouterr().out == "".join(cell["outputs"][0]["text"])

    asyncio.run(kernel())
