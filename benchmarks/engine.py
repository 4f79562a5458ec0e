"""How close the engine comes to the server's limit: the whole committee, journal on, beside a floor that only sends bytes.

    python benchmarks/engine.py                                        # the three standard cases, 3 runs each: about 35 minutes
    python benchmarks/engine.py --latency 0.02 --in-flight 256         # one case
    python benchmarks/engine.py --server-command 'python server.py {port} --latency {latency}' --json out.json

Each run starts a server, drives one round in a child process (`drive.py`), and then lets another child send the very same
request bodies again from a bare asyncio + aiohttp loop (`floor.py`). Span, answers and mean in flight are the server's
account; CPU is user + system of the client process without its imports; memory is its peak (VmHWM).
ideal = calls x latency / in flight: the span of a client that adds nothing, where the server has no cost of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import HERE, OWN_SERVER, machine, measured, server, table


@dataclass(frozen=True)
class Case:
    """One setting of the server, and what the engine is to reach there: name -> (test, words)."""

    latency: float
    in_flight: int
    tail: float
    targets: dict[str, tuple[Callable[[float], bool], str]]


_COMMON: dict[str, tuple[Callable[[float], bool], str]] = {
    "cpu_ms": (lambda v: v <= 1.0, "<= 1"),
    "rss_mb": (lambda v: v <= 150, "<= 150"),
}
CASES: tuple[Case, ...] = (
    Case(
        0.2,
        64,
        0,
        {"mean_inflight": (lambda v: v >= 60, ">= 60"), "of_ideal": (lambda v: v <= 1.05, "<= 1.05"), **_COMMON},
    ),
    Case(0.02, 256, 0, {"of_floor_rate": (lambda v: v >= 0.6, ">= 0.6"), **_COMMON}),
    Case(0.2, 64, 10, {"of_floor_span": (lambda v: v <= 1.05, "<= 1.05"), **_COMMON}),
)
WORDS = {
    "mean_inflight": "mean in flight",
    "of_ideal": "span / ideal span",
    "of_floor_rate": "calls/s, of the floor's",
    "of_floor_span": "span, of the floor's",
    "cpu_ms": "client CPU, ms a call",
    "rss_mb": "peak RSS, MB",
}


def figures(raw: dict[str, Any], case: Case) -> dict[str, Any]:
    """What is read off one child's report."""
    calls, span = raw["answered"], raw["span_s"]
    ideal = None if case.tail else calls * case.latency / case.in_flight
    return {
        "calls": calls,
        "span_s": span,
        "ideal_s": ideal,
        "of_ideal": span / ideal if ideal else None,
        "mean_inflight": raw["mean_inflight"],
        "peak_inflight": raw["peak"],
        "calls_per_s": calls / span,
        "cpu_ms": 1000 * raw["cpu_s"] / calls,
        "rss_mb": raw["rss_mb"],
        "wall_s": raw["wall_s"],
    }


def run(case: Case, proposals: int, command: str) -> dict[str, dict[str, Any]]:
    """One engine run and the floor after it: {"gra": figures, "floor": figures}."""
    folder = Path(tempfile.mkdtemp(prefix="gra-bench-"))
    try:
        with server(command, case.latency, case.tail) as root:
            place, flight = f"{root}/v1", str(case.in_flight)
            drive = [sys.executable, str(HERE / "drive.py"), place, flight, str(folder), "--proposals", str(proposals)]
            ours = measured(root, drive)
            write_bodies(folder)
            floor = measured(root, [sys.executable, str(HERE / "floor.py"), place, flight, str(folder / "bodies")])
        if ours["calls"] != ours["answered"] or ours["answered"] != floor["answered"]:
            raise SystemExit(
                f"calls differ: sent {ours['calls']}, answered {ours['answered']}, floor {floor['answered']}"
            )
    finally:
        shutil.rmtree(folder)
    gra, bare = figures(ours, case), figures(floor, case)
    gra |= {"of_floor_rate": gra["calls_per_s"] / bare["calls_per_s"], "of_floor_span": gra["span_s"] / bare["span_s"]}
    return {"gra": gra | {"helpers_cpu_s": ours["helpers_cpu_s"], "kept": ours["kept"]}, "floor": bare}


def write_bodies(folder: Path) -> None:
    """The bodies of the calls in `folder`'s journal, one a line, into `folder`/bodies."""
    from drive import wire_bodies

    with (folder / "bodies").open("wb") as out:
        out.writelines(body + b"\n" for body in wire_bodies(folder / "journal.sqlite"))


def median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Figure by figure; None where a figure is not there."""
    return {key: None if runs[0][key] is None else statistics.median(r[key] for r in runs) for key in runs[0]}


def report(case: Case, runs: list[dict[str, dict[str, Any]]]) -> str:
    """The table of one case: both clients, then the targets."""
    gra, floor = (median([r[who] for r in runs]) for who in ("gra", "floor"))
    columns = ("calls", "span_s", "ideal_s", "of_ideal", "mean_inflight", "calls_per_s", "cpu_ms", "rss_mb")
    header = [
        "",
        "calls",
        "span s",
        "ideal s",
        "span / ideal",
        "mean in flight",
        "calls/s",
        "CPU ms/call",
        "peak RSS MB",
    ]
    tail = f", 1 call in 20 takes {case.tail:g} x" if case.tail else ""
    lines = [f"\n## {case.latency * 1000:g} ms, {case.in_flight} in flight{tail} (median of {len(runs)})\n"]
    lines.append(table(header, [[name, *(who[c] for c in columns)] for name, who in (("gra", gra), ("floor", floor))]))
    rows = [
        [
            WORDS[key],
            gra[key],
            f"{min(r['gra'][key] for r in runs):.3g} .. {max(r['gra'][key] for r in runs):.3g}",
            words,
            "met" if test(gra[key]) else "MISSED",
        ]
        for key, (test, words) in case.targets.items()
    ]
    lines.append("\n" + table(["figure", "median", "range", "target", ""], rows))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, help="seconds; with --in-flight and --tail: this case alone")
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument(
        "--tail", type=float, default=0.0, help="1 call in 20 takes so many times the latency (own cases only)"
    )
    parser.add_argument("--proposals", type=int, default=2000, help="about ten calls each; default 2000")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--server-command", default=OWN_SERVER, help="with {port} and {latency}; default: fixed_latency_server.py"
    )
    parser.add_argument("--json", type=Path, help="write every run's figures there")
    options = parser.parse_args()
    cases = CASES
    if options.latency is not None:
        same = [
            c for c in CASES if (c.latency, c.in_flight, c.tail) == (options.latency, options.in_flight, options.tail)
        ]
        cases = tuple(same) or (Case(options.latency, options.in_flight, options.tail, _COMMON),)
    print(machine())
    everything = []
    for case in cases:
        proposals = options.proposals
        runs = [run(case, proposals, options.server_command) for _ in range(options.repeats)]
        print(report(case, runs), flush=True)
        setting = {"latency": case.latency, "in_flight": case.in_flight, "tail": case.tail, "proposals": proposals}
        everything.append(setting | {"runs": runs})
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine(), "cases": everything}, indent=1))


if __name__ == "__main__":
    main()
