"""Helper: a pool of records, and the values that each step's prompt is rendered with."""

from __future__ import annotations

from typing import Any

from gra.synthesis import prompts
from gra.synthesis.committee.records import DIMENSIONS, DOMAINS, Record, Review

TOPICS = ("tides", "chess", "bridges", "violins", "glaciers", "bread", "comets", "knots", "maps", "bees")
POOL = [
    Record(
        f"s{i}",
        f"Tell me something about {topic} and {domain}.",
        "Well.",
        domain,
        (topic, domain, "facts"),
        f"On {topic}.",
    )
    for domain in DOMAINS
    for i, topic in enumerate(TOPICS)
]


def values_of(instruction: str = "Describe the sea.", response: str = "It is wide.") -> dict[str, dict[str, Any]]:
    """What each step's prompt is made of."""
    shown = {"domain": "language", "records": tuple(POOL[:2]), "show": "metadata", "demonstrations": tuple(POOL[3:6])}
    judged = {"instruction": instruction, "response": response, "domain": "coding", "solve": True}
    reviews = [Review("m2", dict.fromkeys(DIMENSIONS, 7), "clear", "short")]
    known = prompts.built_in("turns")[:3]
    return {
        "annotate_seed": {
            "domains": DOMAINS,
            "instruction": instruction,
            "response": response,
            "demonstrations": known,
        },
        "keywords": {**shown, "topics": ("tides", "glass"), "taken": (("salt", "wind", "sails"),)},
        "instruction": {**shown, "keywords": ("salt", "sea", "waves")},
        "check": {"instruction": instruction, "domain": "coding"},
        "respond": {"instruction": instruction},
        "rewrite": {"instruction": instruction, "response": response},
        "review": judged,
        "adjudicate": {**judged, "reviews": reviews},
        "annotate": {
            "instruction": instruction,
            "response": response,
            "domain": "coding",
            "keywords": ("salt", "sea", "waves"),
            "demonstrations": known,
        },
    }
