"""Whole runs with models by turns: the bytes of the data are those of a run with all models up, loads stay within the estimate."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.chain.execution.runner import identify
from gra.chain.stage import load_stage
from gra.chain.store.fingerprint import fingerprint
from gra.synthesis.model_loads import estimate_loads, loads_by_level
from gra.synthesis.settings import SynthesisSettings
from gra.synthesis.stage import outlook

MODELS = ("slm-a", "slm-b", "slm-c")
SERVE = " ".join([sys.executable, "-m", "gra.simulation.server", "--port", "{port}", "--models", "{model}"])
DATA = ("data/train.parquet", "rejected.parquet")


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from gra.simulation.world_stage import run

    folder = tmp_path_factory.mktemp("world")
    run({"seed": 0, "world": {"seeds": 60, "test_per_task": 5}}, {}, folder)
    return folder / "seeds" / "seeds.jsonl"


def command_line(seeds: Path, output: Path, *words: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "gra.synthesis",
        "seeds=world",
        f"seeds.path={seeds}",
        "synthesis.rounds=1",
        "synthesis.dedup.model=hash",
        *words,
        f"output={output}",
    ]


def synthesize(seeds: Path, output: Path, *words: str) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = command_line(seeds, output, *words)
    done = subprocess.run(command, capture_output=True, text=True, cwd=output.parent, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def servers(mark: str) -> list[int]:
    """Living processes started for this test: their environment says so."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("GRA_TEST_MARK") == mark:
                found.append(process.pid)
    return found


def same(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in DATA)


@pytest.mark.slow
def test_servers_by_turns_give_the_same_data(tmp_path: Path, seeds: Path) -> None:
    """Real servers, one at a time; whatever is killed in between, the run goes on and ends with the same data."""
    common = [
        "seeds.limit=8",
        "synthesis.samples_per_round=3",
        "synthesis.reviewers=1",
        "synthesis.min_reviews=1",
        f"pool.models=[{','.join(MODELS)}]",
        "pool.simulated=true",
    ]
    synthesize(seeds, tmp_path / "stream", *common, "pool=simulated")
    serve = f"pool.serve={{command:{json.dumps(SERVE)},gpus_per_model:0}}"
    turns = [*common, "pool=phased_servers", serve, "runtime.concurrency=500"]
    synthesize(seeds, tmp_path / "turns", *turns)
    assert same(tmp_path / "stream", tmp_path / "turns")
    assert (tmp_path / "stream/stats.json").read_bytes() == (tmp_path / "turns/stats.json").read_bytes()
    account = json.loads((tmp_path / "turns" / "run.json").read_text())
    assert set(account["loads"]) == set(MODELS)
    assert len(MODELS) <= sum(account["loads"].values()) <= account["loads_expected"]
    assert (tmp_path / "turns" / "servers" / "slm-c.log").read_text().count("simulated models on") == account["loads"][
        "slm-c"
    ]

    mark = str(tmp_path)
    for number, code in ((signal.SIGTERM, 85), (signal.SIGKILL, -9)):
        words = command_line(seeds, tmp_path / "broken", *turns)
        with subprocess.Popen(
            words, cwd=tmp_path, stderr=subprocess.DEVNULL, env=os.environ | {"GRA_TEST_MARK": mark}
        ) as run:
            logs = tmp_path / "broken.partial" / "servers"
            begun = sum(path.stat().st_size for path in logs.glob("*.log"))
            while sum(path.stat().st_size for path in logs.glob("*.log")) < begun + 400:  # a few servers later
                time.sleep(0.05)
                assert run.poll() is None
            run.send_signal(number)
            assert run.wait(30) == code
        deadline = time.monotonic() + 15
        while servers(mark) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not servers(mark)
    synthesize(seeds, tmp_path / "broken", *turns)
    assert same(tmp_path / "stream", tmp_path / "broken")


@pytest.mark.slow
def test_transformers_by_turns_give_the_same_data(tmp_path: Path, seeds: Path) -> None:
    """Tiny models that really are loaded and unloaded, structured replies and free text alike."""
    pytest.importorskip("llguidance")
    from tiny_models import make_brief, save_tiny_chat_model

    folders = [str(save_tiny_chat_model(tmp_path / name, seed=i)) for i, name in enumerate("ab")]
    for folder in folders:
        make_brief(Path(folder))
    models = ",".join(f"{{name: {Path(folder).name}, model: {folder}}}" for folder in folders)
    common = [
        f"pool.models=[{models}]",
        "seeds.limit=2",
        "synthesis.samples_per_round=2",
        "synthesis.max_proposals=3",
        "synthesis.review=false",
        "synthesis.shots=1",
        "synthesis.parse_retries=1",
        "synthesis.decoding.respond.max_tokens=200",
    ]
    synthesize(seeds, tmp_path / "stream", *common, "pool=transformers", "pool.max_loaded=2", "runtime.concurrency=1")
    synthesize(seeds, tmp_path / "turns", *common, "pool=phased_transformers", "runtime.concurrency=100")
    assert same(tmp_path / "stream", tmp_path / "turns")
    account = json.loads((tmp_path / "turns" / "run.json").read_text())
    assert 2 <= sum(account["loads"].values()) <= account["loads_expected"]


@given(
    st.integers(5, 9),
    st.integers(1, 100_000),
    st.fixed_dictionaries(
        {
            "roles": st.sampled_from(["random", "fixed"]),
            "review": st.booleans(),
            "adjudicate": st.booleans(),
            "checkers": st.sampled_from([None, ["0"]]),
        }
    ),
)
def test_estimate(models: int, concurrency: int, chosen: dict[str, Any]) -> None:
    settings = SynthesisSettings(rounds=3, samples_per_round=500, **chosen)
    expected = estimate_loads(settings, models, concurrency)
    assert expected >= estimate_loads(settings, models, concurrency + 1) >= estimate_loads(settings, models, 10**9)
    assert expected <= estimate_loads(settings, models + 1, concurrency)
    assert expected < estimate_loads(settings.model_copy(update={"rounds": 4}), models, concurrency)
    assert all(count <= models for count in loads_by_level(settings, models))
    single = settings.model_copy(update={"roles": "single", "checkers": None})
    assert estimate_loads(single, models, concurrency) == 1
    if not settings.review:  # write, check and its retries, respond; or all of it in one turn
        assert len(loads_by_level(settings, models)) == (1 if settings.checkers is None else 4)


def test_how_models_are_served_is_no_part_of_the_result(seeds: Path) -> None:
    stage = load_stage("gra.synthesis.stage.run")

    def digest(**pool: Any) -> str:
        fixed = {"_target_": "gra.models.openai.backend.connect", "models": ["a", "b"]}
        config = {"seed": 0, "seeds": {"path": str(seeds)}, "pool": {**fixed, **pool}, "synthesis": {}, "runtime": {}}
        return fingerprint(identify(stage, config, {}))

    here = digest(serve={"command": "vllm serve {model} --port {port}"}, base_url=None)
    assert (
        here
        == digest(serve={"command": "other {port}", "env": {"A": "1"}}, base_url=None)
        == digest(base_url="http://h:1/v1")
    )
    assert here != digest(models=["a", "c"])


def test_loads_are_foretold_for_models_by_turns_alone(seeds: Path) -> None:
    pool = {"_target_": "gra.models.time_sharing.servers.connect", "models": list(MODELS)}
    config = {"pool": pool, "synthesis": {}, "runtime": {"concurrency": 2000}, "seeds": {"path": str(seeds)}, "seed": 0}

    def loads(config: dict[str, Any]) -> list[str]:
        return [
            line for line in outlook(config, {}, None, (), {}).lines if line.startswith("models are loaded in turn")
        ]

    (line,) = loads(config)
    assert str(estimate_loads(SynthesisSettings(), 3, 2000)) in line
    assert loads({**config, "pool": {**pool, "_target_": "gra.models.openai.backend.connect"}}) == []
