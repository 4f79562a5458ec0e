"""What requests that always fail, and servers that are asked for too much, cost a run: the whole committee, journal on.

    python benchmarks/troubles.py poison                        # one request in ten always fails, each way and all, beside 400s
    python benchmarks/troubles.py slow --latency 30             # two calls at a time, 30 s each, 64 asked for

Throughput is the span that the server saw, for the same round of proposals. `slow` also tells how many calls were cancelled.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import HERE, OWN_SERVER, fetch, machine, measured, server, table

KINDS = ("503", "reset", "cut", "empty", "utf8", "html", "20mb")


def run(extra: str, latency: float, in_flight: int, proposals: int) -> dict[str, Any]:
    """One round against a server with the options `extra`: what the child reports, and what the server saw."""
    folder = Path(tempfile.mkdtemp(prefix="gra-bench-"))
    try:
        with server(f"{OWN_SERVER} {extra}", latency) as root:
            place = [f"{root}/v1", str(in_flight), str(folder)]
            found = measured(root, [sys.executable, str(HERE / "drive.py"), *place, "--proposals", str(proposals)])
            return found | {key: fetch(f"{root}/stats")[key] for key in ("calls", "failed", "cancelled")}
    finally:
        shutil.rmtree(folder)


def poison(options: argparse.Namespace) -> None:
    """Each kind and the mix of all beside 400s; the 400s are taken anew before each, since machines change by the minute."""
    rows = []
    for kinds in (*KINDS, ",".join(KINDS)):
        spans = {}
        for name in ("400", kinds):
            extra = f"--poison {options.share} --kinds {shlex.quote(name)}"
            found = run(extra, options.latency, options.in_flight, options.proposals)
            spans[name] = found["span_s"]
        ratio = spans["400"] / spans[kinds]
        words = "all" if "," in kinds else kinds
        rows.append(
            [
                words,
                spans["400"],
                spans[kinds],
                found["kept"],
                found["calls"],
                ratio,
                "met" if ratio >= 0.8 else "MISSED",
            ]
        )
        print(
            table(
                ["kind", "span with 400s, s", "span, s", "kept", "calls", "throughput, of the 400s'", ">= 0.8"],
                rows[-1:],
            )
        )
    print(
        "\n"
        + table(["kind", "span with 400s, s", "span, s", "kept", "calls", "throughput, of the 400s'", ">= 0.8"], rows)
    )


def slow(options: argparse.Namespace) -> None:
    """Two calls at a time."""
    found = run(f"--slots {options.slots}", options.latency, options.in_flight, options.proposals)
    share = found["answered"] * options.latency / options.slots / found["span_s"]
    header = ["calls", "answered", "span, s", "cancelled", "peak at the server", "throughput, of the server's"]
    cells = [found["calls"], found["answered"], found["span_s"], found["cancelled"], found["peak"], share]
    print(
        table([*header, "0 and >= 0.95"], [[*cells, "met" if share >= 0.95 and not found["cancelled"] else "MISSED"]])
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["poison", "slow"])
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--proposals", type=int, default=400)
    parser.add_argument("--share", type=int, default=10, help="poison: one request in so many")
    parser.add_argument("--slots", type=int, default=2, help="slow: calls that the server works on at once")
    options = parser.parse_args()
    print(machine())
    (poison if options.what == "poison" else slow)(options)


if __name__ == "__main__":
    main()
