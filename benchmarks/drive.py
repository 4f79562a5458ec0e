"""The measured client: one process that drives the engine to the end of its work and reports as JSON.

    python benchmarks/drive.py URL IN_FLIGHT FOLDER --proposals 2000               # the whole committee: one round
    python benchmarks/drive.py URL IN_FLIGHT FOLDER --proposals 1000 --like-peers  # generate, then three judges

FOLDER gets the journal. Everything that a run does while calls are under way is here (roles, prompts, parsing, decisions,
dedup, annotation, journal), with the `hash` model for embeddings in the process that a real run has for them, too
(`helpers_cpu_s`); the data folder is written by a later step. Imports are left out of the times. Run by `engine.py`,
`memory.py` and `peers/run.py`.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import peak_mb, resident_mb

from gra import event_loop
from gra.models.base import Backend, Reply, Request
from gra.models.openai.backend import connect
from gra.synthesis.committee.calls import Call, Exchange, Rules
from gra.synthesis.committee.records import DOMAINS, CallRecord, Outcome, Seed
from gra.synthesis.dedup.near_duplicates import DedupSettings
from gra.synthesis.dedup.pool import TargetPoolProcess
from gra.synthesis.engine.engine import Engine
from gra.synthesis.engine.journal import Journal
from gra.synthesis.rounds import Committee
from gra.synthesis.settings import SynthesisSettings

MODELS = ["slm-a", "slm-b", "slm-c", "slm-d", "slm-e"]
PEERS_MODELS = ["gen", "judge-a", "judge-b", "judge-c"]
SEEDS = 70


class Watch:
    """A `rounds.Listener` that notes resident memory each time a fixed number of proposals has ended."""

    def __init__(self, every: int):
        self.every, self.ended, self.curve = every, 0, [(0, resident_mb())]
        self.marks: list[tuple[str, float | None]] = []

    def stage(self, name: str, total: int | None) -> None:  # noqa: ARG002
        self.marks.append((name, resident_mb()))

    def advance(self, outcome: Outcome | None) -> None:
        if outcome is not None:
            self.ended += 1
            if self.ended % self.every == 0:
                self.curve.append((self.ended, resident_mb()))

    def heard(self, calls: Sequence[CallRecord]) -> None: ...

    def deduplicated(self, distinct: int, duplicates: int) -> None:  # noqa: ARG002
        self.marks.append(("dedup", resident_mb()))


async def committee(backend: Backend, journal: Journal, options: argparse.Namespace, watch: Watch) -> dict[str, Any]:
    """Seeds annotated, one round of exactly `--proposals` proposals, dedup, annotation of what is kept."""
    dedup = DedupSettings(model="hash")
    settings = SynthesisSettings(
        rounds=1, samples_per_round=options.proposals, max_proposals=options.proposals, dedup=dedup
    )
    target = TargetPoolProcess(dedup)
    seeds = [Seed(f"seed-{i}", f"Seed instruction {i}.", f"Answer {i}.", domain=DOMAINS[i % 7]) for i in range(SEEDS)]
    async with backend:
        engine = Engine(backend, journal, options.in_flight)
        run = Committee(engine, target, Rules(0, settings), MODELS, watch, options.folder / "spool")
        result = await run.run(seeds)
    target.close()
    reasons = Counter(outcome.reason for outcome in result.rejected)
    return {"calls": engine.traffic.requested, "kept": len(result.kept), "rejected": dict(reasons)}


async def like_peers(backend: Backend, journal: Journal, options: argparse.Namespace) -> dict[str, Any]:
    """The workload that other systems can express: one text, then three judges of it, all of it plain text."""
    async with backend:
        engine = Engine(backend, journal, options.in_flight)
        done = [verdicts async for verdicts in engine.stream(_row(i) for i in range(options.proposals))]
    return {"calls": engine.traffic.requested, "kept": sum(len(verdicts) == 3 for verdicts in done)}


def _row(number: int) -> Exchange[list[str]]:
    def ask(role: str, text: str) -> Call:
        messages = ({"role": "user", "content": text},)
        return Call(f"row-{number}", role, role, 0, Request(role, messages, 0.7, 0.95, 64, number))

    (reply,) = yield [ask("gen", f"Write an instruction about topic {number}")]
    replies: list[Reply] = yield [ask(judge, f"Rate: {reply.text}") for judge in PEERS_MODELS[1:]]
    return [reply.text for reply in replies]


def wire_bodies(journal: Path) -> Iterator[bytes]:
    """The bodies that went over the wire, in the order of their replies, made again from the journal's requests: the same
    bytes (the journal sorts keys, so schemas and messages are put back into their own order)."""
    import sqlite3

    from gra.models.openai.wire import body_of
    from gra.models.pool import ModelSettings
    from gra.synthesis.prompts import STEPS
    from gra.synthesis.prompts.schemas import json_schema

    forms = [(style, solve) for style in ("classic", "text", "json") for solve in (False, True)]
    schemas = {step: [json_schema(step, style, solve) for style, solve in forms] for step in STEPS}
    with sqlite3.connect(journal) as connection:
        for step, text in connection.execute("SELECT step, request FROM calls ORDER BY id"):
            value = json.loads(text)
            known = [schema for schema in schemas.get(step, [None]) if schema == value["schema"]]
            if not known:
                raise SystemExit(f"{journal}: the schema of step {step} is not this version's")
            value["messages"] = tuple({"role": m["role"], "content": m["content"]} for m in value["messages"])
            request = Request(**(value | {"schema": known[0]}), schema_name=step)
            yield body_of(request, ModelSettings(name=request.model), structured=True, send_seed=True, extra={})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("in_flight", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--proposals", type=int, required=True)
    parser.add_argument("--like-peers", action="store_true")
    parser.add_argument("--curve", type=int, default=1000, help="note the memory after so many proposals each")
    options = parser.parse_args()
    pool = {
        "_target_": "gra.models.openai.backend.connect",
        "base_url": options.url,
        "models": PEERS_MODELS if options.like_peers else MODELS,
        "check_models": False,
    }
    imported = peak_mb()
    watch = Watch(options.curve)
    wall, cpu = time.perf_counter(), time.process_time()
    with Journal(options.folder / "journal.sqlite") as journal:
        backend = connect(pool, {"concurrency": options.in_flight})
        work = (
            like_peers(backend, journal, options) if options.like_peers else committee(backend, journal, options, watch)
        )
        report = event_loop.run(work)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    helpers = resource.getrusage(resource.RUSAGE_CHILDREN)
    report |= {"helpers_cpu_s": helpers.ru_utime + helpers.ru_stime}
    report |= {"wall_s": wall, "cpu_s": cpu, "rss_mb": peak_mb(), "imported_mb": imported}
    print(json.dumps(report | {"curve": watch.curve, "marks": watch.marks}))


if __name__ == "__main__":
    main()
