"""The estimate behind `runtime.per_device_batch=null` beside what a step takes: `python benchmarks/train_peak.py`.

A small student with 49,152 entries in its vocabulary is trained for two steps of two passes, each recipe in a process of its own.
Measured: the process's peak resident memory, less what it held before the student was loaded. The estimate must not be below it,
nor above three times as much. On a GPU what is measured is torch's peak of allocated memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import train_shapes as shapes

LENGTH = 256
SHAPE = shapes.Shape(256, 704, 6, 8, 4, 49_152)
CASE = shapes.Case(
    "peak", SHAPE, LENGTH, False, 8, 4, 8, 4, (400.0, 0.1), 2, 0, precision="fp32", optimizer="adamw_torch"
)
RECIPES: dict[str, dict[str, Any]] = {  # by name: what differs from CASE
    "full, fp32, 1 row": {"ours_batch": 1, "rows": 2},
    "full, fp32, 4 rows": {},
    "full, fp32, 16 rows": {"ours_batch": 16, "rows": 32},
    "full, fp32, 16 rows, recomputed": {"ours_batch": 16, "rows": 32, "checkpointing": True},
    "lora, fp32, 16 rows": {"ours_batch": 16, "rows": 32, "method": "lora"},
    "lora, bf16, 4 rows": {"precision": "bf16", "method": "lora"},
    "full, bf16, 4 rows": {"precision": "bf16"},
    "full, fp32, 4 rows, packed": {"packing": True},
}


def main() -> None:
    from harness import table

    lines = []
    for name, changes in RECIPES.items():
        chosen = replace(CASE, name=name, **changes)
        chosen = replace(chosen, samples=chosen.rows)
        with tempfile.TemporaryDirectory() as folder:
            shapes.make(chosen, Path(folder))
            shapes.save(chosen, Path(folder) / "case.json")
            done = subprocess.run([sys.executable, __file__, folder], stdout=subprocess.PIPE, text=True, check=True)
        told = json.loads(done.stdout.splitlines()[-1])
        ratio = told["estimated"] / told["measured"]
        lines.append(
            [name, f"{told['measured'] / 2**30:.2f}", f"{told['estimated'] / 2**30:.2f}", f"{ratio:.2f}", told["parts"]]
        )
        print(*lines[-1], sep=" | ", file=sys.stderr, flush=True)
    print(table(["recipe", "measured GiB", "estimated GiB", "estimated / measured", "parts"], lines))


def measure(folder: Path) -> dict[str, Any]:
    """Two steps of the stage in this process."""
    import torch

    from gra.memory import peak_rss_bytes
    from gra.private_api import trl as trl_private
    from gra.train import preempt
    from gra.train.loop import deterministic, sft
    from gra.train.memory import estimate, fitting
    from gra.train.settings import TrainSettings

    settings = TrainSettings.model_validate(shapes.settings(shapes.load(folder / "case.json")))
    inputs, output = {"data": folder / "data", "student": folder / "student"}, folder / "ours"
    output.mkdir()
    gpu = torch.cuda.is_available()
    held = 0

    def before(*arguments: Any) -> Any:
        """Called where the free memory is looked at: all libraries are there, the student is not."""
        nonlocal held
        import transformers.models.qwen2.modeling_qwen2  # noqa: F401
        import trl.trainer.sft_trainer  # noqa: F401

        held = 0 if gpu else int(Path("/proc/self/statm").read_text().split()[1]) * 4096
        return rows(*arguments)

    rows, fitting.rows = fitting.rows, before
    with deterministic.kernels(settings.runtime.threads):
        trainer, _, _ = sft.build_trainer(settings, inputs, output)
        with trl_private.trained_positions_only(), preempt.steps(trainer):
            trainer.train()
    peak = torch.cuda.max_memory_allocated() if gpu else (peak_rss_bytes() or 0)
    shape, plan = fitting.describe(settings, str(folder / "student" / "model"), LENGTH, gpu)
    estimated = estimate.peak(shape, plan, trainer.args.per_device_train_batch_size)
    return {"measured": peak - held, "estimated": estimated.total, "parts": str(estimated)}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(Path(sys.argv[1]))))
    else:
        main()
