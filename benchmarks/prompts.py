"""What models make of each edition of the prompts. Prompts are changed against these figures.

    python benchmarks/prompts.py pool=small --proposals 10                   # any pool, and other keys of gra synthesize
    python benchmarks/prompts.py pool=servers pool.base_url=URL 'pool.models=[a]' --steps keywords instruction respond --show
    python benchmarks/prompts.py --worlds 4 --samples 150                    # the simulated world, where the truth is known

For each model, edition and step: calls whose first try is of use; first tries that copy the prompt, a record or a demonstration
(echo); tokens in and out and seconds of a call. Of the instructions: equal ones, and distinct-2 (different pairs of words / all
pairs). Each model does all steps of its proposals by itself. The pool is the seeds, with their own keywords and summaries or
with some made by rule, the same for all, so that no figure hangs on another step's. `--worlds`: whole runs in simulated worlds
of different mistakes; the share of kept samples that are wrong, and that are bad (wrong, or tasks without an answer), side by
side.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gra.paths import conf_dir
from gra.synthesis.committee.calls import Protocol, Rules
from gra.synthesis.committee.domains import by_domain
from gra.synthesis.committee.drawing import draw_proposal
from gra.synthesis.committee.protocol import annotate, annotate_seed, propose
from gra.synthesis.committee.records import DOMAINS, CallRecord, Outcome, Record, Seed
from gra.synthesis.config import parsed
from gra.synthesis.engine.engine import Engine
from gra.synthesis.engine.journal import Journal
from gra.synthesis.engine.session import engine_for
from gra.synthesis.prompts import EDITIONS, STEPS
from gra.synthesis.replies.echoes import words
from gra.synthesis.replies.reading import kind_of
from gra.synthesis.seeds.load import SeedSettings, load_seeds
from gra.synthesis.settings import SynthesisSettings

ECHOES = ("copies_prompt", "copies_record", "copies_demonstration", "placeholder", "speaks_of_prompt")


@dataclass
class Made:
    """What one model made of one edition."""

    calls: list[CallRecord] = field(default_factory=list)
    instructions: list[str] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)  # by step, of each call


def compose(overrides: Sequence[str]) -> dict[str, Any]:
    """The config of `gra synthesize` with these overrides."""
    from hydra import compose as composed
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    given = {word.split("=", 1)[0].lstrip("+~") for word in overrides}
    own = [word for word in ("seeds=starter", "output=OUT") if word.split("=")[0] not in given]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = OmegaConf.to_container(composed("synthesis_app", [*own, *overrides]).config, resolve=True)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def record_of(seed: Seed, number: int) -> Record:
    """A seed as a record of the pool: with its own keywords and summary, else with some made by rule."""
    own = sorted(dict.fromkeys(word for word in words(seed.instruction) if word.isalpha()), key=len, reverse=True)
    keywords = seed.keywords or (*own[:3], *("task", "text", "question")[: 3 - len(own[:3])])
    summary = seed.summary or " ".join(seed.instruction.split()[:12])
    domain = seed.domain or DOMAINS[number % len(DOMAINS)]
    return Record(seed.id, seed.instruction, seed.response, domain, keywords, summary)


async def measure(
    config: dict[str, Any], editions: Sequence[str], steps: Sequence[str], count: int
) -> dict[tuple[str, str], Made]:
    """`count` proposals of each model in each edition."""
    seeds = load_seeds(SeedSettings.model_validate(config["seeds"]), config["seed"]).seeds
    found: dict[tuple[str, str], Made] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with engine_for(parsed(config), Path(folder)) as (engine, backend):
            for edition in editions:
                for model in backend.models:
                    alone = Path(folder) / f"{len(found)}.sqlite"
                    with Journal(alone) as journal:
                        own = Engine(backend, journal, engine.concurrency)
                        made = await _one(own, config, seeds, model, edition, steps, count)
                    made.seconds = seconds_in(alone)
                    found[(edition, model)] = made
    return found


async def _one(
    engine: Engine,
    config: dict[str, Any],
    seeds: Sequence[Seed],
    model: str,
    edition: str,
    steps: Sequence[str],
    count: int,
) -> Made:
    judged = any(step in steps for step in ("check", "review"))
    settings = SynthesisSettings.model_validate(
        {
            **config["synthesis"],
            "prompts": edition,
            "roles": "single",
            "single_model": model,
            "review": judged,
            "reviewers": 1,
            "min_reviews": 1,
            "adjudicate": judged and "adjudicate" in steps,
        }
    )
    rules = Rules(config["seed"], settings)
    pool = by_domain(
        [record_of(seed, i) for i, seed in enumerate(seeds)], settings.shots, settings.thin_domain, settings.taken
    )
    made = Made()

    def talks() -> Iterator[Protocol]:
        for index in range(count):
            yield propose(draw_proposal(rules.seed, 1, index, pool, [model], settings), rules)

    outcomes: list[Outcome] = [outcome async for outcome in engine.stream(talks())]
    made.instructions = [outcome.instruction for outcome in outcomes if outcome.instruction]
    if "annotate" in steps:
        unanswered = [outcome for outcome in outcomes if not outcome.response]
        due = (annotate(outcome, rules) for outcome in outcomes if outcome.response)
        outcomes = [*unanswered, *[outcome async for outcome in engine.stream(due)]]
    made.calls = [call for outcome in outcomes for call in outcome.calls]
    if "annotate_seed" in steps:  # of seeds that have their annotation, too: the step is what is measured
        async for _, _, calls in engine.stream(
            annotate_seed(replace(seed, summary=""), model, rules) for seed in seeds[:count]
        ):
            made.calls += calls
    made.calls = [call for call in made.calls if call.step in steps]
    return made


def seconds_in(journal: Path) -> dict[str, list[float]]:
    """By step, the seconds that each call took."""
    found: dict[str, list[float]] = {}
    with closing(sqlite3.connect(journal)) as connection:
        for step, seconds in connection.execute("SELECT step, seconds FROM calls"):
            found.setdefault(step, []).append(float(seconds))
    return found


def account(made: Made, step: str) -> dict[str, Any]:
    """The figures of one step; None for what cannot be said."""
    first = [call for call in made.calls if call.step == step and call.attempt == 0]
    kinds = [kind_of(call.fault or "") for call in first if not call.usable]
    all_tries = [call for call in made.calls if call.step == step]
    row: dict[str, Any] = {
        "asked": len(first),
        "usable": sum(call.usable for call in first),
        "echoes": sum(kind in ECHOES for kind in kinds),
        "tokens_in": _mean([call.tokens_in for call in all_tries]),
        "tokens_out": _mean([call.tokens_out for call in all_tries]),
        "seconds": _mean(made.seconds.get(step, [])),
        "faults": dict(Counter(kinds)),
    }
    if step == "instruction":
        different = {words(text) for text in made.instructions}
        row |= {"equal": len(made.instructions) - len(different), "distinct_2": distinct(made.instructions)}
    return row


def distinct(texts: Sequence[str], n: int = 2) -> float | None:
    """Different runs of `n` words / all of them (Li et al., arXiv 1510.03055)."""
    grams = [tuple(w[i : i + n]) for w in map(words, texts) for i in range(len(w) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def table(rows: dict[str, dict[str, dict[str, Any]]]) -> str:
    lines = [
        "| model | edition | step | usable at first | echo | tokens in / out | s a call | equal, distinct-2 | faults |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, steps in rows.items():
        for step, row in steps.items():
            spread = f"{row['equal']}, {_shown(row['distinct_2'], 2)}" if "equal" in row else ""
            faults = ", ".join(f"{kind} {count}" for kind, count in sorted(row["faults"].items()))
            lines.append(
                f"| {name} | {step} | {row['usable']} of {row['asked']} | {row['echoes']} of {row['asked']} | "
                f"{_shown(row['tokens_in'])} / {_shown(row['tokens_out'])} | {_shown(row['seconds'], 2)} | {spread} | {faults} |"
            )
    return "\n".join(lines)


def _shown(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def world(number: int, edition: str, samples: int, limit: int, folder: Path) -> dict[str, Any]:
    """A run of two rounds in world `number`: kept samples and how many are wrong, or have no answer."""
    import pyarrow.parquet as pq

    from gra.simulation import world_stage
    from gra.simulation.audit import audit
    from gra.synthesis import stage

    seeds, output = folder / f"world-{number}", folder / f"{edition}-{number}"
    if not seeds.is_dir():
        seeds.mkdir()
        world_stage.run({"seed": number, "world": {"seeds": 5 * limit}}, {}, seeds)
    config = compose(
        [
            "pool=simulated",
            f"pool.world_seed={number}",
            f"seed={number}",
            "seeds=world",
            f"seeds.limit={limit}",
            "synthesis.rounds=2",
            f"synthesis.samples_per_round={samples}",
            "synthesis.dedup.model=hash",
            f"synthesis.prompts={edition}",
        ]
    )
    output.mkdir()
    stage.run(config, {"seeds": seeds}, output)
    rows = (
        pq.ParquetFile(output / "data" / "train.parquet")
        .read(columns=["instruction", "response", "domain"])
        .to_pylist()
    )
    found = audit((row["instruction"], row["response"], row["domain"]) for row in rows)
    stats = json.loads((output / "stats.json").read_text(encoding="utf-8"))
    return {
        "world": number,
        "kept": found["n"],
        "wrong": found["wrong"],
        "unknown": found["unknown"],
        "proposals": stats["proposals"],
        "calls": stats["calls"],
        "tokens": sum(stats["tokens"][name] for name in ("in", "out") if name in stats["tokens"]),
        "skills": found["skills_covered"],
    }


def worlds(count: int, editions: Sequence[str], samples: int, limit: int) -> dict[str, list[dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as folder:
        return {
            edition: [world(n, edition, samples, limit, Path(folder)) for n in range(count)] for edition in editions
        }


def world_table(found: dict[str, list[dict[str, Any]]]) -> str:
    lines = [
        "| edition | kept | wrong, of tasks | bad: wrong or no task | by world: wrong; bad | proposals a sample | skills |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for edition, rows in found.items():
        whole = {key: sum(row[key] for row in rows) for key in rows[0]}
        each = "; ".join(", ".join(f"{share(row):.1%}" for row in rows) for share in (_wrong, _bad))
        lines.append(
            f"| {edition} | {whole['kept']} | {_wrong(whole):.1%} | {_bad(whole):.1%} | {each} | "
            f"{whole['proposals'] / whole['kept']:.2f} | {whole['skills'] / len(rows):.1f} |"
        )
    return "\n".join(lines)


def _wrong(row: dict[str, Any]) -> float:
    return float(row["wrong"] / max(row["kept"] - row["unknown"], 1))


def _bad(row: dict[str, Any]) -> float:
    return float((row["wrong"] + row["unknown"]) / max(row["kept"], 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="of gra synthesize: pool=..., seeds=..., synthesis....=...")
    parser.add_argument("--editions", nargs="+", default=list(EDITIONS), help="turns, classic, or folders of your own")
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=STEPS)
    parser.add_argument("--proposals", type=int, default=10, help="of each model in each edition")
    parser.add_argument("--show", action="store_true", help="print the instructions")
    parser.add_argument("--worlds", type=int, default=0, help="compare in so many simulated worlds instead")
    parser.add_argument("--samples", type=int, default=150, help="of each of the two rounds in a world")
    parser.add_argument("--seeds", type=int, default=300, help="of a world")
    parser.add_argument("--json", type=Path)
    given = parser.parse_intermixed_args()
    if given.worlds:
        report: dict[str, Any] = {"worlds": worlds(given.worlds, given.editions, given.samples, given.seeds)}
        print(world_table(report["worlds"]))
    else:
        found = asyncio.run(measure(compose(given.overrides), given.editions, given.steps, given.proposals))
        rows = {
            f"{m} | {e}": {step: account(made, step) for step in given.steps} for (e, m), made in sorted(found.items())
        }
        print(table(rows))
        texts = {f"{model} | {edition}": made.instructions for (edition, model), made in sorted(found.items())}
        for name, instructions in texts.items() if given.show else ():
            print(f"\n{name}")
            print("\n".join(f"  {i}. {text!r}" for i, text in enumerate(instructions, 1)))
        report = {"steps": rows, "instructions": texts}
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
