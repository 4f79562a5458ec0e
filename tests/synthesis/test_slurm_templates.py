"""The Slurm templates on a real Slurm, where one can be started here; and their shell, everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_synthesis_app import MODELS, ROOT, SHARED, data_bytes, finish, free_port, serving

TESTBED = SHARED / "slurm-testbed"


@pytest.mark.parametrize("script", sorted((ROOT / "slurm").glob("*.s*")), ids=lambda path: path.name)
def test_the_scripts_are_bash(script: Path) -> None:
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    assert script.read_text().startswith("#!/usr/bin/env bash\n# ")


@pytest.fixture
def slurm() -> Iterator[dict[str, str]]:
    """The environment of a Slurm of our own; skips where none can be started."""
    if not (TESTBED / "start-slurm.sh").is_file():
        pytest.skip(f"needs {TESTBED}")
    install = ["--install"] if os.geteuid() == 0 else []
    started = subprocess.run([str(TESTBED / "start-slurm.sh"), *install], capture_output=True, text=True, timeout=300, check=False)
    if started.returncode != 0:
        pytest.skip(f"no Slurm can be started here: {started.stderr[-300:]}")
    pairs = [word.split("=", 1) for line in started.stdout.splitlines() for word in [line.removeprefix("export ")] if "=" in word]
    environment = {**os.environ, **{key: value.strip().strip(";").strip("'\"") for key, value in pairs}}
    try:
        yield environment
    finally:
        subprocess.run([str(TESTBED / "stop-slurm.sh"), "--purge"], env=environment, capture_output=True, timeout=60, check=False)


@pytest.mark.slow
def test_rounds_as_job_arrays_give_the_bytes_of_one_run(tmp_path: Path, slurm: dict[str, str]) -> None:
    from gra.simulation.world_stage import run

    (tmp_path / "world").mkdir()
    run({"seed": 0, "world": {"seeds": 60, "test_per_task": 5}}, {}, tmp_path / "world")
    place = tmp_path / "repository"
    (place / ".venv" / "bin").mkdir(parents=True)
    (place / ".venv" / "bin" / "activate").write_text(f'export PATH="{Path(sys.executable).parent}:$PATH"\n')
    port = free_port()
    for url in serving([sys.executable, "-m", "gra.simulation.server", "--port", str(port)], port):
        words = [
            f"output={tmp_path / 'many'}", "seeds=world", f"seeds.path={tmp_path / 'world/seeds/seeds.jsonl'}", "seeds.limit=40",
            "pool=servers", f"pool.base_url={url}", MODELS, "synthesis.samples_per_round=15", "synthesis.dedup.model=hash",
        ]  # fmt: skip
        submitted = subprocess.run(
            [str(ROOT / "slurm" / "submit_synthesis.sh"), "1", "2", *words],
            cwd=place, env={**slurm, "SBATCH_OPTIONS": "--mem=500"}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert submitted.returncode == 0, submitted.stderr
        for _ in range(180):
            if (tmp_path / "many" / "manifest.json").is_file():
                break
            time.sleep(1)
        logs = "\n".join(path.read_text() for path in sorted((place / "runs" / "slurm").glob("*.log")))
        assert (tmp_path / "many" / "manifest.json").is_file(), logs
        for shard in (0, 1):
            assert any(f"shard {shard}/2 of round 1" in line for line in logs.splitlines()), logs
        words[0] = f"output={tmp_path / 'one'}"
        alone = finish([sys.executable, "-m", "gra.synthesis", "synthesis.rounds=1", *words], tmp_path)
        assert alone.returncode == 0, alone.stderr
    assert data_bytes(tmp_path / "many") == data_bytes(tmp_path / "one")
