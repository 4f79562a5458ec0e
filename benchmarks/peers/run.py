"""This engine beside its peers on work that all of them can express: 1,000 texts, three judges of each, 4,000 calls.

    python benchmarks/peers/run.py --venvs ~/.cache/gra-peers                            # 200 ms, 64 in flight
    python benchmarks/peers/run.py --venvs ~/.cache/gra-peers --latency 0.02 --in-flight 256

Each peer is installed once, pinned, into an environment of its own below --venvs (about 2 GB in all). Same server, same limit
of calls in flight, same number of calls, one after the other; the journal of ours is on. Wall time, CPU and memory are of the
whole process tree, imports included, since no peer can be asked to leave them out; span and mean in flight are the server's
account. distilabel has no limit of calls in flight: it is run twice, with a batch of IN_FLIGHT rows for each of its four
steps (so it may have four times as many in flight), and with a quarter of that.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from harness import OWN_SERVER, fetch, machine, server, table  # noqa: E402

PINNED = {
    "curator": ["bespokelabs-curator==0.1.31"],
    "distilabel": ["distilabel[openai]==1.5.3", "requests"],  # it imports requests without saying so
}


def install(name: str, venvs: Path) -> Path:
    """The interpreter of the peer's environment, made and filled where it is not there yet."""
    python = venvs / name / "bin" / "python"
    wanted = "\n".join(PINNED[name])
    mark = venvs / name / "installed"
    if not mark.is_file() or mark.read_text() != wanted:
        print(f"installing {', '.join(PINNED[name])} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(venvs / name)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PINNED[name]], check=True
        )
        mark.write_text(wanted)
    return python


def resident(root: int) -> float:
    """Resident memory of a process and all below it, MB; pages that they share count once for each. Linux."""
    children: dict[int, list[int]] = {}
    pages: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                pages[int(entry.name)] = int((entry / "statm").read_text().split()[1])
            except (OSError, IndexError):
                continue  # gone meanwhile
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    total, due = 0, [root]
    while due:
        process = due.pop()
        total += pages.get(process, 0)
        due += children.get(process, [])
    return total * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(name: str, root: str, command: list[str], folder: Path, limit: float) -> dict[str, Any]:
    """Run one system to its end, or for `limit` seconds."""
    fetch(f"{root}/reset", "POST")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYTHONPATH": "", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    start, peak = time.perf_counter(), 0.0
    with (folder / f"{name}.log").open("w+") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=folder, start_new_session=True
        )
        stop = threading.Timer(limit, lambda: os.killpg(process.pid, 9))
        stop.start()
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.25)
        stop.cancel()
        wall = time.perf_counter() - start
        log.seek(0)
        text = log.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seen = fetch(f"{root}/stats")
    whole = re.findall(r"whole rows: (\d+)", text) or re.findall(r'"kept": (\d+)', text)
    if process.returncode:
        print(f"{name}: exit code {process.returncode}\n{text[-2000:]}", file=sys.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "name": name,
        "rc": process.returncode,
        "rows": int(whole[-1]) if whole else None,
        "calls": seen["calls"],
        "wall_s": wall,
        "span_s": seen["span_s"],
        "mean_inflight": seen["mean_inflight"],
        "peak": seen["peak"],
        "cpu_ms": 1000 * cpu / seen["calls"] if seen["calls"] else None,
        "rss_mb": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--venvs", type=Path, help="folder for the peers' environments; left out: ours and the floor alone"
    )
    parser.add_argument("--peers", nargs="*", choices=sorted(PINNED), default=sorted(PINNED))
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--tail", type=float, default=0.0)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--limit", type=float, default=900, help="seconds that one system may take")
    parser.add_argument(
        "--server-command", default=OWN_SERVER, help="with {port} and {latency}; default: fixed_latency_server.py"
    )
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    flight, rows = str(options.in_flight), str(options.rows)
    pythons = {name: install(name, options.venvs.resolve()) for name in options.peers} if options.venvs else {}
    print(machine())
    found = []
    serving = server(options.server_command, options.latency, options.tail)
    with tempfile.TemporaryDirectory(prefix="gra-peers-", ignore_cleanup_errors=True) as made, serving as root:
        place, folder = f"{root}/v1", Path(made)
        drive = [sys.executable, str(HERE.parent / "drive.py"), place, flight, str(folder / "gra")]
        systems = {
            "floor": [sys.executable, str(HERE / "floor.py"), place, flight, rows, str(folder)],
            "gra": [*drive, "--proposals", rows, "--like-peers"],
        }
        if "curator" in pythons:
            systems["curator"] = [
                str(pythons["curator"]),
                str(HERE / "curator.py"),
                place,
                flight,
                rows,
                str(folder / "c"),
            ]
        if "distilabel" in pythons:
            for batch in (options.in_flight, options.in_flight // 4):
                command = [
                    str(pythons["distilabel"]),
                    str(HERE / "distilabel.py"),
                    place,
                    flight,
                    rows,
                    str(folder / f"d{batch}"),
                ]
                systems[f"distilabel, batch {batch}"] = [*command, str(batch)]
        for name, command in systems.items():
            found.append(measure(name, root, command, folder, options.limit))
            print(f"  {name}: {found[-1]['wall_s']:.1f} s", file=sys.stderr)
    ours = next(f for f in found if f["name"] == "gra")
    header = ["", "rows", "calls", "wall s", "span s", "mean in flight", "peak", "CPU ms/call", "RSS MB"]
    header += ["wall / ours", "span / ours"]
    keys = ("name", "rows", "calls", "wall_s", "span_s", "mean_inflight", "peak", "cpu_ms", "rss_mb")
    print(
        table(
            header, [[*(f[k] for k in keys), f["wall_s"] / ours["wall_s"], f["span_s"] / ours["span_s"]] for f in found]
        )
    )
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine(), "systems": found}, indent=1))


if __name__ == "__main__":
    main()
