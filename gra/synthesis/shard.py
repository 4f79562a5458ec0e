"""Runs the stage that makes one shard of a round: it makes the calls of a part of the round's proposals and records
them in a journal of its own (engine/sharding.py).

Command: gra synthesize shard=0/4 round=1 output=DIR ...

Round 0 annotates the seeds; without it, round 1 annotates them. `config.shard`: {round, index, count, gathers}.
`gathers` is true only for the job that merges round 0: it imports the calls that the shards of round 0 recorded.
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
from gra.errors import STOPPED_AT_ONCE, ConfigError, Interrupted, Problem
from gra.fileio import read_json, write_json
from gra.settings import parse
from gra.synthesis import stage
from gra.synthesis.committee.calls import Protocol
from gra.synthesis.committee.domains import by_domain
from gra.synthesis.committee.drawing import draw_proposal
from gra.synthesis.committee.protocol import propose
from gra.synthesis.committee.records import Record
from gra.synthesis.config import ShardSettings, SynthesisConfig, parsed
from gra.synthesis.engine.session import engine_for
from gra.synthesis.engine.shard_folders import pin
from gra.synthesis.engine.sharding import proposals_to_prepare
from gra.synthesis.run_rules import rules_of
from gra.synthesis.scoring.examples import shelf_for
from gra.synthesis.seed_annotation import annotate_seeds, first_questions
from gra.synthesis.seeds.load import load_seeds

NAME = "synthesis_shard"
VERSION = 2  # 2: round, index and count are part of its identity
NOT_HASHED = stage.NOT_HASHED
external_files = stage.external_files
ADDED_LATER = stage.ADDED_LATER
INSIDE_INPUTS = stage.INSIDE_INPUTS
kept, reuse, bought_again, preflight = stage.kept, stage.reuse, stage.bought_again, stage.preflight
whole, OF_A_PART = stage.whole, stage.OF_A_PART
log = logging.getLogger("gra.synthesis")


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return all faults of the config: those of the synthesis and those of its section `shard`."""
    whole = {key: value for key, value in config.items() if key != "shard"}
    problems = stage.check(whole, {name: path for name, path in inputs.items() if name != "previous"})
    return problems + parse(ShardSettings, config.get("shard") or {}, "shard")[1]


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Make the model calls of one shard, which is a part of a round, and record them in the journal in `output`.

    The folder inputs["previous"] holds the samples of all earlier rounds. It was made by merging the shards of the
    previous round. Raises the same errors as a synthesis without shards.
    """
    if problems := check(config, dict(inputs)):
        raise ConfigError(problems)
    given = parsed(config)
    mine, shards = given.shard, given.runtime.shards
    assert mine is not None
    if not mine.gathers and shards:
        pin(Path(shards), mine.count)
    try:
        counts = event_loop.run(_run(given, mine, inputs, output))
    except asyncio.CancelledError:
        raise Interrupted(STOPPED_AT_ONCE) from None
    write_json(output / "shard.json", counts)
    return counts


async def _run(
    config: SynthesisConfig,
    mine: ShardSettings,
    inputs: dict[str, Path],
    output: Path,
) -> dict[str, float]:
    number, index, count = mine.round, mine.index, mine.count
    settings, proposals = config.synthesis, 0
    found = load_seeds(config.seeds, config.seed, inputs.get("seeds")).seeds
    seeds = found[index::count] if number == 0 else found
    rules = rules_of(config, inputs.get("probe"))
    async with engine_for(config, output) as (engine, backend):
        models = list(backend.models)
        await first_questions(engine, rules, models)
        pool = [record async for _, record, _, _ in annotate_seeds(engine, seeds, rules, models) if record is not None]
        shelf = shelf_for(settings, rules.seed, pool)
        previous = inputs.get("previous")
        if previous is not None:
            pool += _members(previous)
        if number > 0:
            last = read_json(previous / "stats.json")["rounds"][-1] if previous is not None else None
            prepared = config.runtime.shard_proposals or proposals_to_prepare(
                settings.samples_per_round, settings.proposal_limit, last
            )
            domains = by_domain(pool, settings.shots, settings.thin_domain, settings.taken)

            def exchanges() -> Iterator[Protocol]:
                for k in range(index, prepared, count):
                    proposal = draw_proposal(rules.seed, number, k, domains, models, settings)
                    yield propose(replace(proposal, examples=shelf.examples(number, proposal.domain)), rules)

            async for _ in engine.stream(exchanges() if domains else islice(exchanges(), 0)):
                proposals += 1
        traffic = engine.traffic
    log.info("shard %d/%d of round %d: %d proposals, %d calls made", index, count, number, proposals, traffic.requested)
    return {"proposals": float(proposals), "asked": float(traffic.requested), "replayed": float(traffic.replayed)}


def _members(folder: Path) -> list[Record]:
    """Return the records that earlier rounds added to the pool, in the pool's order."""
    import pyarrow.parquet as pq

    columns = ["id", "instruction", "response", "domain", "keywords", "summary"]
    rows = pq.ParquetFile(folder / "data" / "train.parquet").read(columns=columns).to_pylist()
    return [Record(**{**row, "keywords": tuple(row["keywords"])}) for row in rows if row["summary"] is not None]
