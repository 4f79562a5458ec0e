"""How much memory this process has taken at most, for run accounts and benchmarks. No heavy import."""

from __future__ import annotations

from pathlib import Path


def peak_rss_bytes() -> int | None:
    """Largest resident memory of this process so far (VmHWM); None where the system does not say (no /proc).

    Not getrusage: what that says includes the parent's, before exec.
    """
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii", errors="replace").splitlines() if status.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
