"""What the benchmarks share: a server for the time of a measurement, child processes that report as JSON, tables."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gra.memory import peak_rss_bytes

HERE = Path(__file__).parent
OWN_SERVER = (
    f"{shlex.quote(sys.executable)} {shlex.quote(str(HERE / 'fixed_latency_server.py'))} {{port}} --latency {{latency}}"
)


def free_port() -> int:
    """A TCP port of this machine that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str, method: str = "GET") -> Any:
    """The JSON at `url`."""
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as response:
        return json.load(response)


@contextmanager
def server(template: str, latency: float, tail: float = 0.0) -> Iterator[str]:
    """Run `template` ({port} and {latency} filled in, --tail appended where asked for) and give its address once it answers."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends with this process
    port = free_port()
    command = shlex.split(template.format(port=port, latency=latency)) + (["--tail", str(tail)] if tail else [])
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    root = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                fetch(f"{root}/stats")
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the server did not come up: {shlex.join(command)}") from None
                time.sleep(0.05)
        yield root
    finally:
        process.terminate()
        process.wait()


def measured(root: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run `command` as a child against the server at `root`; what it prints last (JSON) and the server's account of the time.

    Added: `span_s`, `mean_inflight`, `peak` and `answered` as the server saw them.
    """
    fetch(f"{root}/reset", "POST")
    done = subprocess.run(
        list(command), stdout=subprocess.PIPE, text=True, check=False, env=dict(os.environ) | dict(environment or {})
    )
    if done.returncode:
        raise SystemExit(f"exit code {done.returncode}: {shlex.join(command)}")
    seen = fetch(f"{root}/stats")
    own = json.loads(done.stdout.strip().splitlines()[-1])
    return (
        own | {"answered": seen["done"]} | {key: seen[key] for key in ("repeated", "span_s", "mean_inflight", "peak")}
    )


def peak_mb() -> float | None:
    """Largest resident memory of this process so far, in thousands of kB."""
    peak = peak_rss_bytes()
    return None if peak is None else peak / 1024 / 1000


def forget_peak() -> None:
    """Let `peak_mb` begin anew from what is resident now (Linux, proc(5): clear_refs)."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def resident_mb() -> float | None:
    """Resident memory of this process now, MB."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if statm.is_file() else None


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A markdown table; floats with three significant figures or none after the point, None as "-"."""
    body = [[_cell(value) for value in row] for row in rows]
    lines = [list(header), ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def machine() -> str:
    """Cores, load average (1 min), Python: to stand beside every figure."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start, Python {sys.version.split()[0]}"
