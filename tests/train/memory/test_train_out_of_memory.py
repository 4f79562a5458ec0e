"""Memory that runs out: a real failure of the allocator, in a child process with a limit, and which errors count as one."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gra.train import launch, worker
from gra.train.memory import out_of_memory
from gra.train.settings import TrainSettings
from tests.train.conftest import talk

CHILD = """
import json, resource, sys
from pathlib import Path
from gra.errors import TrainError
from gra.train import stage

config, inputs, output = json.loads(sys.argv[1])
inputs = {name: Path(path) for name, path in inputs.items()}
for name in ("small", "large"):
    (Path(output) / name).mkdir(parents=True)
config["runtime"]["per_device_batch"] = 1
config["sft"]["global_batch"] = 1
stage.run(config, inputs, Path(output) / "small")  # everything is imported, every thread is started
now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 150 * 2**20, -1))
config["runtime"]["per_device_batch"] = config["sft"]["global_batch"] = 512
try:
    stage.run(config, inputs, Path(output) / "large")
except TrainError as error:
    print("TOLD", json.dumps(str(error)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_AS")
def test_the_keys_to_turn_are_named(student_folder: Path, write_data: Any, config: Any, tmp_path: Path) -> None:
    data = write_data([talk(f"What follows {n}?", "one two three four five " * 20) for n in range(512)])
    recipe = config(max_steps=1, cutoff_length=128)
    given = json.dumps([recipe, {"data": str(data), "student": str(student_folder)}, str(tmp_path / "out")])
    done = subprocess.run([sys.executable, "-c", CHILD, given], capture_output=True, text=True, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("TOLD ")), None)
    assert line is not None, done.stderr[-2000:]
    told = json.loads(line.removeprefix("TOLD "))
    assert told.startswith("out of memory (")
    assert "runtime.per_device_batch=256 or runtime.activation_checkpointing=true" in told
    assert "sft.cutoff_length (now 128)" in told


def test_what_counts() -> None:
    import torch

    told = (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"
        ),
        MemoryError("Unable to allocate 8.00 TiB"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    )
    assert all(out_of_memory.ran_out(error) for error in told)
    passed = (
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        OSError(errno.ENOSPC, "No space left on device"),
        ValueError("out of memory"),
        KeyError("DefaultCPUAllocator: can't allocate memory"),
    )
    assert not any(out_of_memory.ran_out(error) for error in passed)


@pytest.mark.parametrize("error", [RuntimeError("expected scalar type"), OSError(errno.ENOSPC, "full"), KeyError("x")])
def test_other_errors_pass(error: Exception, config: Any) -> None:
    with pytest.raises(type(error)) as raised, out_of_memory.explained(TrainSettings.model_validate(config())):
        raise error
    assert raised.value is error


def test_the_remedy_follows_the_facts(config: Any) -> None:
    def told(at: out_of_memory.Pass, **sft: Any) -> str:
        return out_of_memory.remedy(TrainSettings.model_validate(config(**sft)), at)

    one = told(out_of_memory.Pass(1, True), method="lora")
    assert "per_device_batch" not in one
    assert "checkpointing" not in one
    assert "qlora" in one
    assert "(now 1 sequence per pass)" in one
    assert "set runtime.activation_checkpointing=true" in told(out_of_memory.Pass())
    assert told(out_of_memory.Pass(1, True), sharding="zero3", method="qlora").startswith("try a smaller sft.")


def test_a_process_that_the_system_killed_is_told_with_keys(tmp_path: Path) -> None:
    """torchrun over one process that ends as the kernel's out-of-memory killer ends it."""
    (tmp_path / "killed.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    spec = tmp_path / "spec.json"
    command = [
        "-m",
        "gra.train.worker",
        "agent",
        "--standalone",
        "--nproc-per-node",
        "1",
        "--module",
        "killed",
        str(spec),
    ]
    given = {
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        launch.LAUNCHER: str(os.getpid()),
    }
    done = subprocess.run([sys.executable, *command], env=os.environ | given, capture_output=True, check=False)
    assert done.returncode == 1, done.stderr[-2000:]
    told = (tmp_path / launch.CRASH).read_text()
    assert "process 0 was killed by SIGKILL" in told
    for key in ("runtime.per_device_batch", "runtime.activation_checkpointing=true", "sft.cutoff_length"):
        assert key in told


def test_only_a_kill_speaks_of_memory() -> None:
    assert "memory" in worker.how(-9)
    assert "memory" in worker.how(137)  # by a shell or a container around it
    assert "memory" not in worker.how(-15) + worker.how(1)
