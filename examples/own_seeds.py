"""A data set from seeds of one's own, and what became of each proposal. Offline, on simulated models: python examples/own_seeds.py

For real ones give models=[...] and base_url="http://HOST:PORT/v1" in place of pool="simulated".

It prints:

    8 kept of 33; simulated: True
    - Gilda rules one of Pell and Brint. Which one? -> The answer is Brint.
    - Which mineral is mined in Darro? -> Sure. The answer is corvan.
    dropped: {'adjudicated_out': 4, 'below_tau': 14, 'instruction_rejected': 7}
"""

import tempfile
from collections import Counter
from pathlib import Path

import gra

SEEDS = [
    {"instruction": f"What is {number} times {number}?", "response": f"{number} times {number} is {number * number}."}
    for number in range(2, 22)
]

with tempfile.TemporaryDirectory() as folder:
    data = gra.synthesize(
        SEEDS,
        pool="simulated",
        samples=8,
        output=Path(folder) / "mine",
        config={"synthesis.dedup.model": "hash"},  # no embedding model: fine for a few samples
    )
    print(f"{data.stats['kept']} kept of {data.stats['proposals']}; simulated: {data.simulated}")
    for sample in data.dataset.select(range(2)):
        print("-", sample["instruction"].splitlines()[0][:70], "->", sample["response"].splitlines()[0][:40])
    print("dropped:", dict(sorted(Counter(data.rejected["reason"]).items())))
