"""Lists the variables that the prompt of each step can use, each with an example value, and the blocks that a file can
have. docs/extending.md documents them.

`demonstrations` is not listed, because no template uses it directly: each demonstration is the variable `example` in
the blocks `example_user` and `example_assistant`.
"""

from __future__ import annotations

from typing import Any

from gra.synthesis import prompts
from gra.synthesis.committee.records import DIMENSIONS, DOMAINS, Review

MESSAGES = ("system", "user")
EXAMPLES = ("example_user", "example_assistant")
BLOCKS = ("reply", *MESSAGES, *EXAMPLES)  # blocks of a step's file
GUIDANCE = ("generator", "reviewer")  # blocks of a file of domains/


def values(step: str) -> dict[str, Any]:
    """Return an example value for each variable that the blocks `system` and `user` of the step's prompt can use."""
    records = prompts.built_in("turns")
    one = records[0]
    task = {"instruction": one.instruction}
    answered = {**task, "response": one.response}
    shown = {"domain": one.domain, "records": records[:2], "show": "metadata"}
    judged = {**answered, "domain": one.domain, "solve": True}
    review = Review("model", dict.fromkeys(DIMENSIONS, 7), "clear", "short")
    of_steps: dict[str, dict[str, Any]] = {
        "annotate_seed": {**answered, "domains": list(DOMAINS)},
        "keywords": {**shown, "topics": one.keywords[:2], "taken": (one.keywords,)},
        "instruction": {**shown, "keywords": one.keywords},
        "check": {**task, "domain": one.domain},
        "respond": {**task, "slots": "keep"},
        "rewrite": {**answered, "slots": "keep"},
        "review": judged,
        "adjudicate": {**judged, "reviews": [review, review]},
        "annotate": {**answered, "domain": one.domain, "keywords": one.keywords},
    }
    return of_steps[step]


def of_block(step: str, block: str) -> tuple[str, ...]:
    """Return the names of the variables that a block in the step's prompt can use."""
    if block == "reply":
        return ()
    return (*values(step), *(("example",) if block in EXAMPLES else ()))
