"""Finds the GPUs that this process can use and the installed optional packages.

torch is not imported, because that takes seconds and some hundred MB of a GPU's memory.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from gra.machine import requested_gpus

BF16, TF32, FLASH = (
    (8, 0),
    (8, 0),
    (8, 0),
)  # minimum compute capability (Ampere): CUDA C programming guide, FlashAttention-2
PACKAGES = ("bitsandbytes", "flash_attn", "flash_attn_interface", "liger_kernel", "triton", "deepspeed")
_NVIDIA = Path("/proc/driver/nvidia/gpus")  # one folder per GPU, if the driver is loaded
_AMD = Path("/dev/kfd")


@dataclass(frozen=True)
class Gpu:
    """One GPU: its name and, if known, its compute capability."""

    name: str
    capability: tuple[int, int] | None = None

    def below(self, least: tuple[int, int]) -> bool:
        """Return whether this GPU's compute capability is known to be below `least`."""
        return self.capability is not None and self.capability < least


@dataclass(frozen=True)
class Machine:
    """The resources that a recipe can use. These are the visible GPUs, the installed packages among PACKAGES, and a C++
    compiler."""

    gpus: tuple[Gpu, ...] = ()
    packages: frozenset[str] = field(default_factory=frozenset)
    compiler: bool = True


def here() -> Machine:
    """Return the resources of the machine that this process can use. CUDA_VISIBLE_DEVICES and the build of torch decide
    which GPUs count. While a config is checked for a batch job, return the resources that the job requests."""
    if (gpus := requested_gpus()) is not None:
        return Machine((Gpu("requested"),) * gpus, frozenset(PACKAGES))
    packages = frozenset(name for name in PACKAGES if importlib.util.find_spec(name) is not None)
    compiler = any(shutil.which(name) for name in ("g++", "clang++", "c++"))
    return Machine(_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), _torch_build()), packages, compiler)


def _torch_build() -> str:
    """Return `cpu`, `cu130`, `rocm7.0` and so on; "" if the wheel's version does not say (PyPI's CUDA build)."""
    try:
        return importlib.metadata.version("torch").partition("+")[2]
    except importlib.metadata.PackageNotFoundError:
        return "cpu"


@cache
def _gpus(visible: str | None, build: str) -> tuple[Gpu, ...]:
    if build.startswith("cpu"):
        return ()  # this torch cannot use any GPU
    if build.startswith("rocm"):
        return (Gpu("AMD"),) if _AMD.exists() else ()
    found = _nvidia_smi() or [Gpu("NVIDIA") for _ in (_NVIDIA.iterdir() if _NVIDIA.is_dir() else ())]
    return tuple(chosen(found, visible))


def chosen(gpus: list[Gpu], visible: str | None) -> list[Gpu]:
    """Return those of `gpus` that the environment variable CUDA_VISIBLE_DEVICES selects. `visible`: the variable's
    value; None selects all GPUs.

    An entry of the variable is an index or a UUID. UUIDs are not looked up. Each UUID counts as one more GPU of the
    same kind as the first GPU. As in CUDA, the first entry that names no GPU and all entries after it are ignored.
    """
    if visible is None or not gpus:
        return gpus
    left = []
    for entry in (word.strip() for word in visible.split(",")):
        if entry.isdigit() and int(entry) < len(gpus):
            left.append(gpus[int(entry)])
        elif entry.startswith(("GPU-", "MIG-")):
            left.append(gpus[0])
        else:
            break
    return left


def _nvidia_smi() -> list[Gpu]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=compute_cap,name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse(done.stdout) if done.returncode == 0 else []


def parse(text: str) -> list[Gpu]:
    """Return the GPUs that nvidia-smi lists in `text`. A line has the form `9.0, NVIDIA H100 80GB HBM3`."""
    found = []
    for line in text.splitlines():
        number, _, name = (part.strip() for part in line.partition(","))
        major, _, minor = number.partition(".")
        capability = (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None
        found.append(Gpu(name or "NVIDIA", capability))
    return found
