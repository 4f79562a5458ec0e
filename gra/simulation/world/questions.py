"""Question-answering skills: a made-up knowledge base of cities, rulers, minerals and rivers. For benchmarks, a fact is
held out only in some of its wordings (see gra/simulation/world/__init__.py)."""

from __future__ import annotations

import random

from gra.simulation.world.skill import NAME, Rule, Skill, Values
from gra.simulation.world.vocabulary import CITIES, fact

_WRONG_ROWS = {"next_row": 1, "row_above": -1}


def _lookup(kind: str, forms: tuple[str, ...], topics: tuple[str, ...], summary: str) -> Skill:
    def rule(offset: int) -> Rule:
        return Rule(lambda city: fact(kind, city, offset))

    return Skill(
        name=f"kb_{kind}",
        domain="question answering",
        fields={"city": NAME},
        forms=forms,
        draw=lambda rng: (rng.choice(CITIES),),
        solve=lambda city: fact(kind, city),
        rules={name: rule(offset) for name, offset in _WRONG_ROWS.items()},
        topics=topics,
        summary=summary,
        by_form=True,
    )


def _draw_choice(rng: random.Random) -> Values:
    city, other = rng.sample(CITIES, 2)
    first, second = rng.sample((city, other), 2)
    return str(fact("ruler", city)), first, second


def _choice(ruler: str, a: str, b: str, offset: int = 0) -> str | None:
    """The one of two cities that the ruler rules; with an `offset` (wrong row) the result can be a third city."""
    if a == b or ruler not in {fact("ruler", a), fact("ruler", b)}:
        return None
    return next(city for city in CITIES if fact("ruler", city, offset) == ruler)


SKILLS = (
    _lookup(
        "ruler",
        (
            "Who rules the city of {city}?",
            "Name the ruler of {city}.",
            "Which person is the ruler of the city {city}?",
            "Tell me who the ruler of {city} is.",
            "The throne of {city} belongs to one person. Who is the ruler?",
            "In {city}, who is the ruler?",
        ),
        ("city rulers", "throne", "government", "who rules"),
        "Recall the ruler of the city of {city}.",
    ),
    _lookup(
        "mineral",
        (
            "Which mineral is mined in {city}?",
            "Name the mineral of {city}.",
            "Tell me which mineral the mines of {city} yield.",
            "Miners in {city} dig for one mineral. Which one?",
            "What mineral comes from the city of {city}?",
            "In {city}, which mineral is found?",
        ),
        ("minerals", "mining", "what is mined", "ore"),
        "Recall the mineral that is mined in the city of {city}.",
    ),
    _lookup(
        "river",
        (
            "Which river flows through {city}?",
            "Name the river of {city}.",
            "On which river does the city of {city} lie?",
            "Tell me the name of the river in {city}.",
            "Boats reach {city} by one river. Which river is it?",
            "In {city}, which river is found?",
        ),
        ("rivers", "geography", "waterway", "city on a river"),
        "Recall the river on which the city of {city} lies.",
    ),
    Skill(
        name="kb_choice",
        domain="question answering",
        fields={"ruler": NAME, "a": NAME, "b": NAME},
        forms=(
            "Which city does {ruler} rule, {a} or {b}?",
            "Is {ruler} the head of {a} or of {b}?",
            "{ruler} rules one of {a} and {b}. Which one?",
            "Of the cities {a} and {b}, which has {ruler} on its throne?",
            "Choose the city that {ruler} rules: {a} or {b}.",
            "Does {ruler} sit on the throne of {a} or of {b}?",
        ),
        draw=_draw_choice,
        solve=_choice,
        rules={
            "next_row": Rule(lambda ruler, a, b: _choice(ruler, a, b, 1)),
            "first_named": Rule(lambda _ruler, a, _b: a),
        },
        topics=("choice of two cities", "either or question", "ruled city", "whose city"),
        summary="Choose which of {a} and {b} is the city that {ruler} rules.",
        same_as=lambda ruler, a, b: "|".join(("kb_choice", ruler, *sorted((a, b)))),
    ),
)
