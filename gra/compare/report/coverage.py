"""Builds the report's section on coverage: a map of the instructions of all arms, and how many clusters each arm covers.

The map needs an embedding of each instruction. Embeddings that a synthesis on this machine computed are in the cache;
any other takes 5 to 20 ms of one core. So a report that a stage or an experiment writes has a map only on request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gra.compare.arms import Arm
from gra.compare.coverage import picture, words
from gra.compare.coverage.measure import Coverage, Named, measure
from gra.compare.reading import data
from gra.embedding.embed import Embedder, embedder_problems, spoken
from gra.errors import GraError
from gra.waiting import reported

Seeds = Callable[[Arm], Named]  # the seeds from which an arm's data was made; empty where they are gone
ABSENT = "This page was written without a map of the instructions, which takes seconds to minutes; gra report draws it."


def coverage(
    groups: Mapping[str, Sequence[Arm]], reference: str, draw: bool, seeds: Seeds | None
) -> dict[str, Any] | None:
    """Return the content of the report's section on coverage. Return None if no arm has data.

    The section shows a map of the arms' instructions, a two-dimensional projection of their embeddings. If the map
    could not be drawn or `draw` is false, the only key of the content is `absent`, a sentence that says why. Otherwise,
    `absent` is "", and there are also the keys `panels`, `lines`, `words` and `model`.

    Only the first replicate of each arm is drawn. All arms use the same embedder, because distances from different
    embedders cannot be compared. The embedder is that of the reference arm's data. If the reference arm has no data,
    the embedder of the first arm with data is used.
    """
    order = [reference, *(name for name in groups if name != reference)]
    arms = {groups[name][0].label: groups[name][0] for name in order}
    sets = {label: found for label, arm in arms.items() if (found := instructions(arm))}
    if not sets:
        return None
    if not draw:
        return {"absent": ABSENT}
    first = arms[next(iter(sets))]
    model = model_of(first)
    drawn = located(sets, model, seeds(first) if seeds is not None else ())
    if isinstance(drawn, str):
        return {"absent": drawn}
    return {
        "absent": "",
        "panels": picture.panels(drawn),
        "lines": words.lines(drawn) if drawn.size else [],
        "words": words.method(drawn),
        "model": spoken(model),
    }


def located(sets: Mapping[str, Named], model: str, seeds: Named = (), seed: int = 0) -> Coverage | str:
    """Return a map of the instructions of all arms, a two-dimensional projection of their embeddings. If no map can be
    drawn, return a sentence that says why.

    `sets`: the instructions of each arm. `model`: the name of the embedder, as in the config key
    `synthesis.dedup.model`.
    """
    if problems := embedder_problems(model):
        return f"No map: {problems[0].message}."
    embedder = Embedder(model)
    try:
        with reported("embedding instructions and drawing their map", after_s=4.0):
            return measure(sets, lambda texts: embedder.embed_sync(texts, keep=True), seed, seeds)
    except GraError as error:
        return f"No map: {str(error).splitlines()[0]}."
    finally:
        embedder.close_sync()


def instructions(arm: Arm) -> list[tuple[str, str]]:
    """Return (id, instruction) of each kept sample of the arm; [] if the arm has no data."""
    table = data.read_table(arm.file("data", "data", "train.parquet"), ["id", "instruction"])
    if table is None or "instruction" not in table.column_names:
        return []
    texts = table["instruction"].to_pylist()
    ids = table["id"].to_pylist() if "id" in table.column_names else range(len(texts))
    return [(str(sample), text) for sample, text in zip(ids, texts, strict=True) if isinstance(text, str)]


def model_of(arm: Arm) -> str:
    """Return the name of the embedder that the arm's synthesis used, according to its manifest. Return "auto" if the
    manifest names none."""
    settings = arm.manifests.get("data", {}).get("config", {}).get("synthesis")
    dedup = settings.get("dedup") if isinstance(settings, Mapping) else None
    found = dedup.get("model") if isinstance(dedup, Mapping) else None
    return found if isinstance(found, str) else "auto"
