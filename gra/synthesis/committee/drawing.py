"""PURE: draws the domain, records and roles of a proposal at random. The draw depends only on the run's seed, the round
and the proposal's number in the round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gra.synthesis import prompts
from gra.synthesis.committee.domains import DomainPool, demonstrations, shown
from gra.synthesis.committee.protocol import Proposal
from gra.synthesis.committee.randomness import stream
from gra.synthesis.committee.records import Record
from gra.synthesis.committee.roles import assign
from gra.synthesis.settings import SynthesisSettings


def draw_proposal(
    seed: int,
    number: int,
    index: int,
    domains: Mapping[str, DomainPool],
    models: Sequence[str],
    settings: SynthesisSettings,
) -> Proposal:
    """Return a proposal (an attempt at a new sample), with a domain, records and roles drawn at random. `number`: the
    index of the round. `index`: the index of the proposal in this round. The random draw depends only on these two
    indices and on the run's seed (`seed`). `domains`: the records that the prompts of each domain can show."""
    rng = stream(seed, "proposal", number, index)
    if settings.domains == "uniform":
        domain = rng.choice(sorted(domains))
    else:
        names = sorted(domains)
        domain = rng.choices(names, weights=[domains[name].own for name in names])[0]
    records = shown(domains[domain], settings.shots, rng)
    roles = assign(models, settings, stream(seed, "roles", number, index))
    turns: tuple[Record, ...] = ()
    if prompts.demonstrates(settings.prompts):
        sets = settings.example_sets  # calls with the same set share a prompt prefix, which a prefix cache reuses
        drawn_for = (index,) if sets is None else (domain, index % sets)
        own, spare = stream(seed, "demonstrations", number, *drawn_for), prompts.built_in(settings.prompts)
        turns = demonstrations(domains[domain], settings.demonstrations, own, spare)
    return Proposal(
        f"r{number}-{index:06d}",
        number,
        index,
        domain,
        records,
        roles,
        demonstrations=turns,
        taken=domains[domain].taken,
    )
