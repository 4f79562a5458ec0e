"""What `gra plan` takes from an earlier run: its figures count only where the same models were called."""

from __future__ import annotations

from pathlib import Path

from gra.models.base import Reply, Request
from gra.synthesis.committee.calls import Call
from gra.synthesis.engine.journal import Journal
from gra.synthesis.output.price import known


def recorded(folder: Path, model: str) -> Path:
    """A folder with the journal of 30 proposals, each of one call."""
    folder.mkdir()
    with Journal(folder / "journal.sqlite") as journal:
        for number in range(30):
            request = Request(model, ({"role": "user", "content": f"{number}"},), 0.0, 1.0, 10, 0)
            journal.record(Call(f"r1-{number:06}", "keywords", "generator", 0, request), Reply("a, b, c", 100, 7), 0.1)
    return folder


def test_figures_of_other_models_do_not_price_a_run(tmp_path: Path) -> None:
    simulated, own = recorded(tmp_path / "simulated", "slm-a"), recorded(tmp_path / "own", "llama")
    found = known([simulated, own], ["llama", "qwen"])
    assert found is not None
    assert found.source == "own"
    assert found.tokens["keywords"] == (100, 7)
    assert known([simulated], ["llama", "qwen"]) is None
