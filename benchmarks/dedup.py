"""What exact deduplication costs beside the arithmetic that no exact method can leave out.

    python benchmarks/dedup.py                       # 50,000 and 200,000 vectors of 384 dimensions: about 8 minutes on 2 cores
    python benchmarks/dedup.py --sizes 50000 --repeats 3

`greedy` (gra/synthesis/dedup) on unit vectors with planted near-duplicates, against a bare blocked float32 matrix product over
the same pairs (each row with the rows kept before it, nothing done with the result), both in one run, by turns, each in a
child process of its own. Memory is a child's peak during the work less what it held before, the vectors included (Linux).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import forget_peak, machine, peak_mb, resident_mb, table

WIDTH = 384
ROWS, COLUMNS = 1024, 4096  # of a block of the bare product: of the shapes tried the fastest
TARGETS = {50_000: 12.0, 200_000: 190.0}  # seconds, on 2 cores


def vectors(count: int, seed: int = 0) -> np.ndarray:
    """float32 [count, WIDTH] unit rows: 90 % alone, 10 % near-duplicates (cosine about 0.95) of one of them, in any order."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, WIDTH), dtype=np.float32)
    copies = rng.choice(count, count // 10, replace=False)
    alone = np.setdiff1d(np.arange(count), copies)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    near = rows[rng.choice(alone, len(copies))]
    rows[copies] = near + 0.33 * rows[copies]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def bare(rows: np.ndarray, kept: float) -> None:
    """The products that exactness takes: every row with the rows kept before it (a share `kept` of them), in blocks, into one
    buffer. Which rows are kept makes no difference to the arithmetic: the first ones stand for them."""
    buffer = np.empty((ROWS, COLUMNS), np.float32)
    for start in range(0, len(rows), ROWS):
        block = rows[start : start + ROWS]
        before = rows[: int((start + len(block)) * kept)]
        for other in range(0, len(before), COLUMNS):
            columns = before[other : other + COLUMNS]
            np.matmul(block, columns.T, out=buffer[: len(block), : len(columns)])


def child(what: str, count: int) -> dict[str, Any]:
    """Measure one of the two in this process."""
    from gra.synthesis.dedup.near_duplicates import greedy

    rows = vectors(count)
    scores = np.random.default_rng(1).integers(48, 61, count) / 6
    greedy(rows[:600], list(scores[:600]), threshold=0.9)  # the library's threads are up
    before = resident_mb() or 0.0
    forget_peak()
    start, cpu = time.perf_counter(), time.process_time()
    result: dict[str, Any] = {}
    if what == "bare":
        bare(rows, 0.9)
    else:
        found = greedy(rows, list(scores), threshold=0.9)
        result = {"kept": len(found.kept), "dropped": len(found.dropped)}
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    beside = max((peak_mb() or 0.0) - before, 0.0)
    return result | {"seconds": seconds, "cpu_s": cpu, "mb": beside, "vectors_mb": rows.nbytes / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=sorted(TARGETS))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write every run's figures there")
    parser.add_argument("--child", choices=("bare", "greedy"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(options.child, options.sizes[0])))
        return
    print(machine())
    rows, everything = [], []
    for size in options.sizes:
        runs = []
        for _ in range(options.repeats):
            pair = {}
            for what in ("bare", "greedy"):
                command = [sys.executable, __file__, "--sizes", str(size), "--child", what]
                pair[what] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
            runs.append(pair)
        everything.append({"size": size, "runs": runs})
        product = statistics.median(r["bare"]["seconds"] for r in runs)
        seconds = statistics.median(r["greedy"]["seconds"] for r in runs)
        ratio = statistics.median(r["greedy"]["seconds"] / r["bare"]["seconds"] for r in runs)
        memory = max(r["greedy"]["mb"] for r in runs)
        limit = TARGETS.get(size)
        met = ratio <= 1.3 and memory <= 2048 and (limit is None or seconds <= limit)
        target = "<= 1.3 x, <= 2 GiB" + (f", <= {limit:g} s" if limit else "")
        kept = f"{runs[0]['greedy']['kept']:,}"
        rows.append([f"{size:,}", kept, product, seconds, ratio, memory, target, "met" if met else "MISSED"])
    print(
        table(["vectors", "kept", "bare product s", "greedy s", "ratio", "memory beside them MB", "target", ""], rows)
    )
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine(), "sizes": everything}, indent=1))


if __name__ == "__main__":
    main()
