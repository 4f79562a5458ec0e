"""A backend of one's own: one async method. This one counts what each model is asked for. Offline: python examples/own_backend.py

It prints:

    4 kept; asked for: adjudicate, annotate, annotate_seed, check, instruction, keywords, respond, review
"""

import tempfile
from collections import Counter
from pathlib import Path

import gra
from gra.simulation.backend import connect

MODELS = ["slm-a", "slm-b", "slm-c", "slm-d", "slm-e"]
SEEDS = [{"instruction": f"What is {n} plus {n}?", "response": f"{n} plus {n} is {2 * n}."} for n in range(20)]


class Counting:
    """Passes every request on; here to simulated models, in your case to any client."""

    simulated = True  # labels the data set

    def __init__(self):
        self.asked = Counter()
        self.models = connect({"_target_": "gra.simulation.backend.connect", "models": MODELS}, {})

    async def chat(self, request):
        self.asked[request.schema_name or "text"] += 1
        return await self.models.chat(request)


backend = Counting()
with tempfile.TemporaryDirectory() as folder:
    data = gra.synthesize(
        SEEDS,
        MODELS,
        backend=backend,
        samples=4,
        output=Path(folder) / "mine",
        config={"synthesis.dedup.model": "hash", "runtime.concurrency": 1},
    )
    print(f"{data.stats['kept']} kept; asked for: {', '.join(sorted(backend.asked))}")
