"""A committee reviews data that exists: what passes the gate is kept, with its scores. Offline: python examples/review_existing.py

It prints:

    1 kept, 11 rejected
    best: Spell the number 8. mean 8.7 by 3 reviewers
"""

import tempfile
from pathlib import Path

import gra

PAIRS = [{"instruction": f"Spell the number {n}.", "response": f"The number is {n}."} for n in range(12)]

with tempfile.TemporaryDirectory() as folder:
    kept = gra.review(PAIRS, pool="simulated", output=Path(folder) / "kept", config={"synthesis.tau": 8.5})
    print(f"{len(kept.dataset)} kept, {len(kept.rejected)} rejected")
    best = max(kept.dataset, key=lambda row: row["mean"])
    print(f"best: {best['instruction']} mean {best['mean']:.1f} by {len(best['reviewers'])} reviewers")
