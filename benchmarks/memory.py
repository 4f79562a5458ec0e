"""Whether memory stays the same however long a run is: the process that drives the calls, at a tenth and at full length.

    python benchmarks/memory.py                            # 2,000 and 20,000 proposals, about 4 minutes
    python benchmarks/memory.py --proposals 500 1000

A server that answers at once, 256 in flight, one round of exactly so many proposals (`drive.py`). Prints the peak of each run
and how resident memory went: after each stage, and as proposals ended. Targets: <= 150 MB, and all peaks within 20 %.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import HERE, OWN_SERVER, machine, measured, server, table


def run(proposals: int, in_flight: int, command: str) -> dict[str, Any]:
    """One round of `proposals` proposals."""
    folder = Path(tempfile.mkdtemp(prefix="gra-bench-"))
    try:
        with server(command, 0.0) as root:
            drive = [sys.executable, str(HERE / "drive.py"), f"{root}/v1", str(in_flight), str(folder)]
            report = measured(root, [*drive, "--proposals", str(proposals), "--curve", str(max(1, proposals // 10))])
        report["journal_mb"] = (folder / "journal.sqlite").stat().st_size / 1e6
    finally:
        shutil.rmtree(folder)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proposals", type=int, nargs="+", default=[2000, 20_000])
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument(
        "--server-command", default=OWN_SERVER, help="with {port} and {latency}; default: fixed_latency_server.py"
    )
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    print(machine())
    runs = {n: run(n, options.in_flight, options.server_command) for n in options.proposals}
    rows = [
        [
            f"{n:,}",
            r["answered"],
            r["kept"],
            r["imported_mb"],
            r["rss_mb"],
            r["journal_mb"],
            1000 * r["cpu_s"] / r["answered"],
        ]
        for n, r in runs.items()
    ]
    print(table(["proposals", "calls", "kept", "imports MB", "peak RSS MB", "journal MB", "CPU ms/call"], rows))
    for n, r in runs.items():
        print(f"\n{n:,} proposals, resident MB")
        print("  as they end:  " + "  ".join(f"{ended:,}: {mb:.0f}" for ended, mb in r["curve"]))
        print("  stage begins: " + "  ".join(f"{name}: {mb:.0f}" for name, mb in r["marks"]))
    peaks = [r["rss_mb"] for r in runs.values()]
    met = max(peaks) <= 150 and max(peaks) <= 1.2 * min(peaks)
    print(
        f"\npeak {max(peaks):.0f} MB (target <= 150), largest / smallest {max(peaks) / min(peaks):.2f} (target <= 1.2): ",
        end="",
    )
    print("met" if met else "MISSED")
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine(), "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
