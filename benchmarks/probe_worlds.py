"""Does the interval for the share right of accepted samples hold the truth? In simulated worlds, where the truth is known.

    python -m benchmarks.probe_worlds --worlds 100

Each world has its own mistakes (`world_seed`): a probe of the five simulated models, then proposals of a run by the same models,
with the paper's gate. What the gate accepted is compared with the world's truth; a task that has no answer counts as not right.
In one process, calls answered at once: what is measured is the estimate, not the machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from gra.reasons import at
from gra.simulation.known import source
from gra.simulation.models import SMALL, answer
from gra.simulation.world import judge
from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.domains import by_domain
from gra.synthesis.committee.drawing import draw_proposal
from gra.synthesis.committee.protocol import annotate_seed, propose, respond, review
from gra.synthesis.committee.records import Outcome, Roles, Seed
from gra.synthesis.probe.items import choose_known, on_policy
from gra.synthesis.probe.result import data, qualify, right_of_accepted
from gra.synthesis.probe.settings import ProbeSettings
from gra.synthesis.settings import SynthesisSettings

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """What was estimated, and what is true, of one world."""

    estimate: float
    low: float
    high: float
    truth: float
    accepted: int

    @property
    def covers(self) -> bool:
        return self.low <= self.truth <= self.high


def drive(talk: Generator[list[Any], list[Any], T], world_seed: int) -> T:
    """A protocol whose calls the simulated models answer at once."""
    try:
        asks = next(talk)
        while True:
            asks = talk.send([answer(ask.request, world_seed) for ask in asks])
    except StopIteration as stop:
        value: T = stop.value
        return value


def one_world(number: int, seeds: Sequence[Seed], calls: int = 200, proposals: int = 300) -> World:
    """Probe and run by the models of world `number`; `seeds`: of the world's open split."""
    settings = SynthesisSettings()
    rules = Rules(number, settings)
    ask = partial(drive, world_seed=number)
    models = list(SMALL)
    known = source({}, seeds)
    _, questions = ProbeSettings(calls=calls).sizes(len(models), len(known))
    items = []
    for one in choose_known(known, questions, number):
        for model in models:
            own = Roles(model, (), None, model)
            draft = Outcome(
                f"{one.id}/{model}", 0, 0, one.domain or "", own, (), "rejected", instruction=one.instruction
            )
            text, _ = ask(respond(draft, rules))
            item = on_policy(one, model, text) if text is not None else None
            items += [item] if item is not None else []
    judged: dict[str, dict[str, Any]] = {model: {} for model in models}
    for item in items:
        roles = Roles("", tuple(models), None, "")
        draft = Outcome(
            item.id, 0, 0, item.domain, roles, (), "rejected", instruction=item.instruction, response=item.response
        )
        for said in ask(review(draft, rules))[0]:
            judged[said.model][item.id] = said.scores
    probe = data(qualify(items, judged, {model: model for model in models}, settings))
    records = [record for seed in seeds[:150] if (record := ask(annotate_seed(seed, "slm-c", rules))[0]) is not None]
    pool = by_domain(records, settings.shots)
    outcomes = [ask(propose(draw_proposal(number, 1, k, pool, models, settings), rules)) for k in range(proposals)]
    accepted = [outcome for outcome in outcomes if outcome.status == "accepted"]
    reviewed = len(accepted) + sum(outcome.reason in at("gate") for outcome in outcomes)
    right = sum(judge(outcome.instruction, outcome.response) is True for outcome in accepted)
    found = right_of_accepted(probe, len(accepted), reviewed)
    share = found["right_of_accepted"] if found is not None else None
    share = share or {"value": float("nan"), "low": 0.0, "high": 1.0}
    return World(share["value"], share["low"], share["high"], right / len(accepted), len(accepted))


def main() -> None:
    import json
    import tempfile
    from pathlib import Path

    from gra.simulation import world_stage

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--calls", type=int, default=200, help="of each model in the probe")
    parser.add_argument("--proposals", type=int, default=300, help="of the run")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world_stage.run({"seed": 0, "world": {"seeds": 1500}}, {}, Path(folder))
        lines = (Path(folder) / "seeds" / "seeds.jsonl").read_text(encoding="utf-8").splitlines()
    seeds = [Seed(s["id"], s["instruction"], s["output"], domain=s["domain"]) for s in map(json.loads, lines)]
    worlds = [one_world(number, seeds, given.calls, given.proposals) for number in range(given.worlds)]
    count = len(worlds)
    covered = sum(world.covers for world in worlds)
    means = [sum(getattr(world, name) for world in worlds) / count for name in ("truth", "estimate", "low", "high")]
    print(
        f"{covered} of {count} intervals hold the truth; mean truth {means[0]:.3f}, estimate {means[1]:.3f}, "
        f"interval [{means[2]:.3f}, {means[3]:.3f}]; below: {sum(w.truth < w.low for w in worlds)}, "
        f"above: {sum(w.truth > w.high for w in worlds)}"
    )


if __name__ == "__main__":
    main()
