"""GRA from Python: scripts without a `__main__` guard, notebooks' running loops, own backends, and faults all at once."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import pydoc
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

import gra
from gra.errors import ConfigError, StoreError
from gra.models.base import Reply, Request

SEEDS = [{"instruction": f"Say the number {n}.", "response": f"The number is {n}."} for n in range(20)]
QUICK = {"synthesis.dedup.model": "hash", "runtime.concurrency": 8}
NAMES = [f"slm-{m}" for m in "abcde"]
SCRIPT = """
import gra
seeds = [{"instruction": f"Say the number {n}.", "response": f"The number is {n}."} for n in range(20)]
data = gra.synthesize(seeds, pool="simulated", samples=4, output="data/mine", config={"synthesis.dedup.model": "hash"})
print("kept", len(data.dataset), "of", len(data.dataset) + len(data.rejected), data.dataset.column_names[:2])
"""


class Counting:
    """The simulated committee behind one async method."""

    simulated = True

    def __init__(self) -> None:
        from gra.simulation.backend import connect

        self.calls, self._behind = 0, connect({"models": NAMES, "_target_": "x"}, {"latency": 0})

    async def chat(self, request: Request) -> Reply:
        self.calls += 1
        return await self._behind.chat(request)


def made(output: Path, **more: Any) -> gra.Data:
    given: dict[str, Any] = {"pool": "simulated", "samples": 4, "config": QUICK} | more
    return gra.synthesize(SEEDS, output=output, **given)


@pytest.mark.slow
def test_a_script_without_a_guard_runs_once(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path(gra.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "mine.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("kept 4 of") == 1


class NotAsync:
    def chat(self, request: Any) -> str:
        return f"no coroutine: {request}"


def test_own_backend_a_running_loop_and_the_same_data(tmp_path: Path) -> None:
    plain, backend = made(tmp_path / "plain"), Counting()

    async def notebook() -> gra.Data:
        return made(tmp_path / "own", pool=None, models=NAMES, backend=backend)

    own = asyncio.run(notebook())
    assert backend.calls > 0
    assert len(own.dataset) == 4 == own.stats["kept"]
    assert own.dataset["instruction"][:] == plain.dataset["instruction"][:]
    assert own.simulated
    assert set(own.rejected.column_names) >= {"id", "reason"}
    page = own.folder / "report.html"
    assert "The committee kept 4 of" in page.read_text(), "the stage wrote it when it ended"
    assert "report.html" not in own.manifest["files"]
    page.unlink()
    report = own.report()
    assert "4 kept" in report
    assert report.path == page
    assert "&lt;!doctype html&gt;" in report._repr_html_()
    assert own.card.startswith("---")
    before = backend.calls
    again = made(tmp_path / "own", pool=None, models=NAMES, backend=backend)
    assert backend.calls == before
    assert again.folder == own.folder
    assert isinstance(gra.load(own.folder), gra.Data)


def test_seeds_are_a_file_or_a_dataset_as_well(tmp_path: Path) -> None:
    from datasets import Dataset

    written = made(tmp_path / "records")
    (tmp_path / "file.jsonl").write_text((tmp_path / "records.seeds.jsonl").read_text())
    for name, seeds in (("file", tmp_path / "file.jsonl"), ("dataset", Dataset.from_list(SEEDS))):
        found = gra.synthesize(seeds, pool="simulated", samples=4, output=tmp_path / f"of-{name}", config=QUICK)
        assert found.dataset["instruction"][:] == written.dataset["instruction"][:]


def test_existing_data_is_reviewed(tmp_path: Path) -> None:
    kept = gra.review(SEEDS, pool="simulated", output=tmp_path / "kept")
    assert len(kept.dataset) + len(kept.rejected) == len(SEEDS)
    assert set(kept.dataset["response"]) <= {str(seed["response"]) for seed in SEEDS}


def test_models_are_probed(tmp_path: Path) -> None:
    found = gra.probe(SEEDS, pool="simulated", output=tmp_path / "probe", config={"probe.calls": 20})
    assert set(found.json("probe.json")["models"]) == set(NAMES)
    assert "slm-a" in found.text("probe.md")
    assert found.simulated
    assert isinstance(gra.load(found), gra.Probe)
    told = found.report()
    assert told == found.text("probe.txt"), "what the command prints"
    assert all(f"WARNING: {fault}" in told for fault in found.faults)
    assert len(found.faults) == found.metrics["faults"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"config": {"synthesis.tua": 7, "runtime.concurency": 8}},
            ["did you mean 'synthesis.tau'", "runtime.concurrency"],
        ),
        ({"config": {"synthesis": "gar"}}, ["there is no 'gar'", "did you mean 'gra'"]),
        ({"pool": None}, ["none of base_url, pool and backend is given"]),
        ({"backend": object(), "models": NAMES}, ["pool and backend"]),
        ({"pool": None, "backend": object(), "models": NAMES}, ["object has no method `chat`"]),
        ({"pool": None, "backend": NotAsync(), "models": NAMES}, ["`chat` of NotAsync is not `async def`"]),
        ({"models": NAMES[:3]}, ["set synthesis.reviewers=1 synthesis.min_reviews=1"]),
        ({"pool": None, "base_url": "http://127.0.0.1:9/v1"}, ["give the models"]),
        (
            {"models": ["llama"]},
            ["no simulated model `llama`", "leave `pool.models` out (in Python: `models`)", "slm-a"],
        ),
        (
            {"config": {"synthesis": {"tau": 70}, "runtime.concurrency": "many"}},
            ["synthesis.tau (Python): ", "runtime.concurrency (Python): "],
        ),
        ({"config": {"synthesis.tau": 70, "runtime.concurrency": 0}}, ["synthesis.tau", "runtime.concurrency"]),
        (
            {"config": {"synthesis.tua": 7, "runtime.concurency": 8, "seeds.limit": "many"}},
            ["synthesis.tua", "runtime.concurency", "seeds.limit", "must be a whole number (got 'many')"],
        ),
    ],
)
def test_faults_are_told_all_at_once_before_anything_is_made(
    tmp_path: Path, given: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as told:
        made(tmp_path / "new" / "data", **given)
    for word in words:
        assert word in str(told.value)
    assert told.value.__context__ is None  # a traceback shows this error alone
    assert len(traceback.extract_tb(told.value.__traceback__)) <= 8  # and little of this package
    assert not list(tmp_path.iterdir()), "neither the output, nor the records, nor their folder"


@pytest.mark.parametrize(
    ("function", "given", "words"),
    [
        (
            "review",
            {"samples": 4},
            "review() has no argument 'samples': a setting is given in `config`, e.g. config={'refine.samples': 4}",
        ),
        ("refine", {"modles": NAMES}, "refine() has no argument 'modles': did you mean 'models'?"),
        ("review", {"how": "keep"}, "review() has no argument 'how': it has data, models, output, base_url"),
        ("synthesize", {"tau": 7}, "config={'synthesis.tau': 7}"),
        ("probe", {"concurrency": 7}, "config={'runtime.concurrency': 7}"),
        (
            "train",
            {"max_steps": 7},
            "train() has no argument 'max_steps': a setting is given in `config`, e.g. config={'sft.max_steps': 7}",
        ),
        ("evaluate", {"limit": 7}, "config={'suite.limit': 7}"),
    ],
)
def test_an_unknown_argument_is_answered_with_what_to_write(
    tmp_path: Path, function: str, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(TypeError) as told:
        getattr(gra, function)(SEEDS, output=tmp_path / "data", **given)
    assert words in str(told.value)


def test_a_refused_call_leaves_the_records_of_an_earlier_one(tmp_path: Path) -> None:
    first = made(tmp_path / "data")
    records = (tmp_path / "data.seeds.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=r"synthesis\.tau"):
        gra.synthesize(SEEDS[:9], pool="simulated", output=first, config={"synthesis.tau": 70})
    assert (tmp_path / "data.seeds.jsonl").read_bytes() == records


def test_a_remedy_in_words_of_the_command_line_is_translated(tmp_path: Path) -> None:
    made(tmp_path / "data")
    with pytest.raises(StoreError, match=r"output=DIR 'runtime\.reuse=\[") as told:
        made(tmp_path / "data", seed=1)
    printed = "".join(traceback.format_exception_only(told.value))
    assert "In Python: `output=DIR` is the argument output='DIR'; any other `KEY=VALUE` is config=" in printed


def test_what_is_no_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="record 1 is a str"):
        gra.synthesize([SEEDS[0], "x"], pool="simulated", output=tmp_path / "data")  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="record 0 is not JSON"):
        gra.synthesize([{"instruction": object()}], pool="simulated", output=tmp_path / "data")


def test_a_folder_that_is_not_finished_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not the folder of a finished stage"):
        gra.load(tmp_path)
    with pytest.raises(StoreError, match="mine: no such folder"):
        gra.load(tmp_path / "mine")
    (tmp_path / "mine.partial" / "data").mkdir(parents=True)
    for name in ("mine", "mine.partial"):
        with pytest.raises(
            StoreError, match=r"mine\.partial: unfinished.*\n.*the same call .*: it resumes.* is .*/mine$"
        ):
            gra.load(tmp_path / name)


def test_callable_packages_show_their_function() -> None:
    from gra.api import exporting, students

    for package, function in (
        (gra.train, students.train),
        (gra.compare, students.compare),
        (gra.export, exporting.export),
    ):
        assert inspect.signature(package) == inspect.signature(function, eval_str=True)
        shown = pydoc.render_doc(package, renderer=pydoc.plaintext)
        assert f"{function.__name__}({next(iter(inspect.signature(function).parameters))}: " in shown
        assert " ".join((function.__doc__ or "").split()) in " ".join(shown.split())
    shown = pydoc.render_doc(gra, renderer=pydoc.plaintext)
    for name in ("synthesize", "refine", "review", "probe", "evaluate", "load"):
        assert f"\n    {name}(" in shown
    assert set(gra.__all__) <= set(dir(gra))


def test_data_are_exported(tmp_path: Path) -> None:
    kept = gra.review(SEEDS, pool="simulated", output=tmp_path / "kept")
    for data in (kept, str(tmp_path / "kept")):
        (file,) = gra.export(data, to="alpaca", output=tmp_path / "out")
        assert [row["output"] for row in json.loads(file.read_text())] == kept.dataset["response"][:]
    assert [path.name for path in gra.export(kept, "axolotl", output=tmp_path / "out", name="x")] == [
        "x.jsonl",
        "axolotl.yaml",
    ]
    for given, words in (
        ({"to": "alpacca"}, r"unknown format 'alpacca'\n.*did you mean `alpaca`"),
        ({"to": "alpaca", "preferences": True}, r"preferences \(Python\): the format alpaca has no preference pairs"),
        ({"to": "alpaca", "name": "a/b"}, "is not a file name"),
    ):
        with pytest.raises(ConfigError, match=words):
            gra.export(kept, output=tmp_path / "no", **given)
    with pytest.raises(StoreError, match="not the folder of a finished stage"):
        gra.export(tmp_path, "alpaca", output=tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_importing_gra_imports_nothing_heavy() -> None:
    code = "import sys, gra; dir(gra); print([m for m in ('torch', 'datasets', 'hydra', 'numpy', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
