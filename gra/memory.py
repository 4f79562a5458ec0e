"""Measures the peak memory of this process, for run accounts and benchmarks. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path


def peak_rss_bytes() -> int | None:
    """Return the peak resident memory of this process in bytes (VmHWM). Return None on systems without /proc.

    getrusage is not used, because the value that it returns includes the parent's memory before exec.
    """
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii", errors="replace").splitlines() if status.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
