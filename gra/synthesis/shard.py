"""One shard of a round as a stage: asks, and records in its journal, what its proposals need. See sharding.py.

Command: python -m gra.synthesis shard=0/4 round=1 output=DIR ...     (round=0: annotate the seeds; round 1 does it if need be)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from gra import event_loop
from gra.errors import ConfigError, Interrupted, Problem
from gra.fileio import read_json, write_json
from gra.models.pool import cuts_thoughts, model_names, served_as
from gra.synthesis import stage
from gra.synthesis.committee.domains import by_domain
from gra.synthesis.committee.drawing import draw_proposal
from gra.synthesis.committee.examples import shelf_for
from gra.synthesis.committee.scales import scales_for
from gra.synthesis.conduct import engine_for
from gra.synthesis.protocol import Protocol, Rules, propose
from gra.synthesis.records import Record
from gra.synthesis.roles import judges
from gra.synthesis.rounds import annotate_seeds, first_questions
from gra.synthesis.seeds import SeedSettings, load_seeds
from gra.synthesis.settings import SynthesisSettings
from gra.synthesis.sharding import parse_shard, proposals_to_prepare

NAME = "synthesis_shard"
VERSION = 1
NOT_HASHED = stage.NOT_HASHED
external_files = stage.external_files
INSIDE_INPUTS = stage.INSIDE_INPUTS
kept, reuse, bought_again, preflight = stage.kept, stage.reuse, stage.bought_again, stage.preflight
log = logging.getLogger("gra.synthesis")


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """The faults of the synthesis' config, and of `shard` and `round`."""
    problems = stage.check(config, {name: path for name, path in inputs.items() if name != "previous"})
    try:
        parse_shard(str(config["runtime"].get("shard")))
    except ConfigError as error:
        problems += error.problems
    return problems


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Fill `output`'s journal. inputs["previous"]: the merged folder of the rounds before. Raises as the synthesis does."""
    if problems := check(config, dict(inputs)):
        raise ConfigError(problems)
    settings = SynthesisSettings.model_validate(config["synthesis"])
    try:
        counts = event_loop.run(_ask(config, settings, inputs, output))
    except asyncio.CancelledError:
        raise Interrupted("stopped at once: what was recorded is kept; the same command goes on from there") from None
    write_json(output / "shard.json", counts)
    return counts


async def _ask(config: dict[str, Any], settings: SynthesisSettings, inputs: dict[str, Path], output: Path) -> dict[str, float]:
    index, count = parse_shard(config["runtime"]["shard"])
    number = int(config["runtime"]["round"])
    found = load_seeds(SeedSettings.model_validate(config["seeds"]), config["seed"], inputs.get("seeds")).seeds
    seeds = found[index::count] if number == 0 else found
    pool_config, proposals = config["pool"], 0
    maps = scales_for(settings, model_names(pool_config), inputs.get("probe"))
    rules = Rules(config["seed"], settings, served_as(pool_config), thoughts=cuts_thoughts(pool_config), scales=maps)
    async with engine_for(config, output) as (engine, backend):
        models = list(backend.models)
        await first_questions(engine, rules, judges(models, settings))
        pool = [record async for _, record, _, _ in annotate_seeds(engine, seeds, rules, models) if record is not None]
        shelf = shelf_for(settings, rules.seed, pool)
        previous = inputs.get("previous")
        if previous is not None:
            pool += _members(previous)
        if number > 0:
            last = read_json(previous / "stats.json")["rounds"][-1] if previous is not None else None
            prepared = config["runtime"].get("shard_proposals")
            prepared = prepared or proposals_to_prepare(settings.samples_per_round, settings.proposal_limit, last)
            domains = by_domain(pool, settings.shots, settings.thin_domain, settings.taken)

            def talks() -> Iterator[Protocol]:
                for k in range(index, prepared, count):
                    proposal = draw_proposal(rules.seed, number, k, domains, models, settings)
                    yield propose(replace(proposal, examples=shelf.examples(number, proposal.domain)), rules)

            async for _ in engine.stream(talks() if domains else islice(talks(), 0)):
                proposals += 1
        traffic = engine.traffic
    log.info("shard %d/%d of round %d: %d proposals, %d calls asked", index, count, number, proposals, traffic.asked)
    return {"proposals": float(proposals), "asked": float(traffic.asked), "replayed": float(traffic.replayed)}


def _members(folder: Path) -> list[Record]:
    """What the rounds before added to the pool, in the order in which the pool has it."""
    import pyarrow.parquet as pq

    columns = ["id", "instruction", "response", "domain", "keywords", "summary"]
    rows = pq.ParquetFile(folder / "data" / "train.parquet").read(columns=columns).to_pylist()
    return [Record(**{**row, "keywords": tuple(row["keywords"])}) for row in rows if row["summary"] is not None]
