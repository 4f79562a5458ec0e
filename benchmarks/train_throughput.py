"""What training costs beside a bare PyTorch loop and beside a plain transformers.Trainer: same student, data, hardware and dtype.

    python benchmarks/train_throughput.py                            # --case cpu: 7 M parameters, float32, one thread: 12 minutes
    python benchmarks/train_throughput.py --case cpu-unequal         # samples of unequal lengths, the stage's grouped by length
    python benchmarks/train_throughput.py --case gpu-1.5b            # Qwen2.5-1.5B's shape, packed rows of 4096, full tuning
    python benchmarks/train_throughput.py --case gpu-7b-lora         # Qwen2.5-7B's shape, LoRA, in 80 GB
    python benchmarks/train_throughput.py --case gpu-1.5b --shape tiny   # anywhere: that the case runs, no figures worth quoting

Each contender (`train_contenders.py`) is a child process of its own, in turn, round after round. Every round goes through the same
steps, and a step's time is its shortest over the rounds (what else the machine does adds time and takes none away); the range of
whole rounds stands beside it. Tokens are real ones, without padding. Random weights and words (`train_shapes.py`): speed does not
depend on them. In the case cpu all three go through the same batches, and their losses are compared; in the GPU cases ours packs,
the others pad.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import train_shapes as shapes
from harness import HERE, machine, table

CONTENDERS = ("bare", "plain", "ordered", "ours")
NAMES = {
    "ours": "this stage",
    "plain": "transformers.Trainer",
    "bare": "bare PyTorch loop",
    "ordered": "bare loop, the stage's batches",
}
WORDS = {
    "of_bare": "time per token, of the bare loop's",
    "of_bare_cpu": "CPU time per token, of the bare loop's",
    "speed": "tokens/s, of the bare loop's",
    "speed_ordered": "tokens/s, of the bare loop's through the stage's batches",
    "of_plain": "tokens/s, of the plain Trainer's",
    "mfu": "MFU",
    "memory": "peak memory, GiB (80 GB are 74.5)",
}
SAME_LOSS = 1e-3


def child(name: str, folder: Path) -> dict[str, Any]:
    """One contender's report; {"failed": reason} where it ran out of memory or broke."""
    command = [sys.executable, str(HERE / "train_contenders.py"), name, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        print(f"{name}: exit code {done.returncode}\n" + "\n".join(lines[-15:]), file=sys.stderr)
        return {"failed": lines[-1][:120] if lines else f"exit code {done.returncode}"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def figures(rounds: list[dict[str, Any]], precision: str) -> dict[str, Any]:
    """What is read off one contender's reports: us per token (wall, CPU), its range over the rounds, tokens/s, MFU where it is
    known, peak GiB. One that failed once has failed."""
    from gra.train.report.throughput import peak_tflops

    failed = next((r for r in rounds if "failed" in r), None)
    if failed is not None:
        return failed
    first = rounds[0]
    seconds, cpu = (sum(shortest(rounds, key)) for key in ("step_seconds", "step_cpu"))
    peak, tokens = peak_tflops(first["device"], precision), first["tokens"]
    whole = sorted(1e6 * r["seconds"] / tokens for r in rounds)
    return {
        "us": 1e6 * seconds / tokens,
        "cpu_us": 1e6 * cpu / tokens,
        "range": f"{whole[0]:.0f} .. {whole[-1]:.0f}",
        "tokens_per_s": tokens / seconds,
        "memory": max(r["peak_gib"] for r in rounds),
        "mfu": None if peak is None or first["flops"] is None else first["flops"] / seconds / peak / 1e12,
    }


def shortest(rounds: list[dict[str, Any]], key: str) -> list[float]:
    """Each counted step's shortest time over the rounds."""
    return [min(times) for times in zip(*(r[key] for r in rounds), strict=True)][rounds[0]["warm"] :]


def ratios(found: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """Ours beside the others: of_bare (time), of_bare_cpu (CPU time), of_plain (speed); and our own mfu and memory."""
    ours, bare, plain, ordered = (found.get(name, {}) for name in ("ours", "bare", "plain", "ordered"))

    def over(one: dict[str, Any], other: dict[str, Any], key: str) -> float | None:
        return one[key] / other[key] if key in one and key in other else None

    return {
        "of_bare": over(ours, bare, "us"),
        "of_bare_cpu": over(ours, bare, "cpu_us"),
        "of_plain": over(ours, plain, "tokens_per_s"),
        "speed": over(ours, bare, "tokens_per_s"),
        "speed_ordered": over(ours, ordered, "tokens_per_s"),
        "mfu": ours.get("mfu"),
        "memory": ours.get("memory"),
    }


def met(value: float | None, target: str) -> str:
    """`target`: a comparison and a number."""
    if value is None:
        return "not measured"
    sign, number = target.split()
    return "met" if (value <= float(number) if sign == "<=" else value >= float(number)) else "MISSED"


def differ(reports: dict[str, dict[str, Any]]) -> float | None:
    """Largest difference between two contenders' losses of a step; None where their steps do not hold the same tokens."""
    whole = [r for r in reports.values() if "failed" not in r]
    if len(whole) < 2 or any(r["step_tokens"] != whole[0]["step_tokens"] for r in whole):
        return None
    return max(abs(a - b) for r in whole[1:] for a, b in zip(whole[0]["losses"], r["losses"], strict=True))


def report(case: shapes.Case, rounds: dict[str, list[dict[str, Any]]]) -> str:
    """The case's tables: the contenders, then the ratios and their targets."""
    found = {name: figures(runs, case.precision) for name, runs in rounds.items()}
    rows = []
    for name, f in found.items():
        if "failed" in f:
            rows.append([NAMES[name], f"failed: {f['failed']}", None, None, None, None, None])
        else:
            rows.append([NAMES[name], f["tokens_per_s"], f["us"], f["range"], f["cpu_us"], f["memory"], f["mfu"]])
    header = ["", "tokens/s", "us/token", "whole rounds", "CPU us/token", "peak GiB", "MFU"]
    lines = [table(header, rows)]
    value = ratios(found)
    shown = ("of_bare", "of_bare_cpu", "of_plain", "speed", "speed_ordered")
    lines += [f"\n{WORDS[key]}: {value[key]:.3f}" for key in shown if value[key] is not None]
    targets = [[WORDS[key], value[key], target, met(value[key], target)] for key, target in case.targets.items()]
    if targets:
        lines.append("\n" + table(["figure", "", "target", ""], targets))
    return "\n".join(lines)


def device() -> str | None:
    """The GPU's name, told by a child so that this process holds none of its memory."""
    code = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    return (
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        or None
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=list(shapes.CASES), default="cpu")
    parser.add_argument("--shape", choices=["full", "tiny"], default="full")
    parser.add_argument("--steps", type=int, help="optimizer steps of each contender")
    parser.add_argument("--rounds", type=int, help="default 3, on a GPU 1")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--json", type=Path, help="write every child's report there")
    options = parser.parse_args()
    gpu = device()
    print(f"{machine()}, {gpu or 'no GPU'}")
    if options.case.startswith("gpu") and gpu is None and options.shape == "full":
        print(f"{options.case}: not measured: no GPU (--shape tiny shows that it runs)")
        return
    case = shapes.case(options.case, options.shape == "tiny", options.steps)
    folder = Path(tempfile.mkdtemp(prefix="gra-bench-"))
    wanted = [name for name in CONTENDERS if name in options.only and (name != "ordered" or case.grouped)]
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in wanted}
    try:
        shapes.make(case, folder)
        shapes.save(case, folder / "case.json")
        for _ in range(options.rounds or (1 if gpu else 3)):
            for name, runs in rounds.items():
                runs.append(child(name, folder))
    finally:
        shutil.rmtree(folder)
    print(f"\n## {case.name}{' (tiny shape)' if options.shape == 'tiny' else ''}, {len(rounds[wanted[0]])} round(s)\n")
    print(report(case, rounds))
    apart = differ({name: runs[0] for name, runs in rounds.items()})
    print(f"\nlargest difference of a step's losses: {'different batches' if apart is None else f'{apart:.1e}'}")
    if options.json is not None:
        options.json.write_text(
            json.dumps({"machine": machine(), "gpu": gpu, "case": case.name, "rounds": rounds}, indent=1)
        )
    if case.precision == "fp32" and apart is not None and apart > SAME_LOSS:
        raise SystemExit("the contenders did not do the same work")


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    main()
