"""Simulates a model: chat messages in, text out. It reads the same prompts as real models and has no other information.

The model answers a prompt with a headline "# Task: ..." in JSON, and any other prompt in plain text, so that it can be
used with all editions of GRA's prompts.

A reply depends only on the model's name, the messages, the request's seed, `max_tokens`, `world_seed` and the pool's
traits. So a repeated request gets the same reply, whether in process or over HTTP. The model knows neither the truth of
a sample nor its author.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gra.models.base import Reply, Request
from gra.models.openai.choices import nine
from gra.simulation import reviewing, writing
from gra.simulation.faults import count_tokens, cut, write_json, write_plain
from gra.simulation.profiles import PROFILES
from gra.simulation.traits import OWN, Traits

MODELS = tuple(PROFILES)
SMALL = tuple(name for name in MODELS if name != "slm-large")

_HEADLINE = re.compile(r"# Task: ([^\n]*)\n")
_DOMAIN = re.compile(r'domain "([^"\n]+)"')
_KEYWORDS = re.compile(r"<keywords>(.*?)</keywords>", re.DOTALL)
_JUDGED = re.compile(r"<instruction>(.*)</instruction>(?:\s*<response>(.*)</response>)?\s*[^\n]*\?[^\n?]*$", re.DOTALL)
MASS = 0.95  # total probability of the choices; the rest goes to other first tokens
_TAGS = ("instruction", "response", "record", "review")
_BLOCKS = {name: re.compile(rf"<{name}>\n?(.*?)\n?</{name}>", re.DOTALL) for name in _TAGS}
_TOPICS = re.compile(r"Three keywords for an? (?P<domain>.+?) task about (?P<topics>[^\n]+)")
_WRITE = re.compile(r"Write an? (?P<domain>.+?) task\. Keywords: (?P<keywords>[^\n]+)")
_SUM_UP = re.compile(r"Sum up this task in one line\. Keywords: (?P<keywords>[^\n]+)\n")
_CORRECTNESS = re.compile(r"^scores: correctness (\d+)", re.MULTILINE)


def answer(request: Request, world_seed: int = 0, traits: Traits = OWN) -> Reply:
    """Return the reply of the model that `request` names. Raises KeyError if the name is not in MODELS."""
    rng = random.Random(_seed(request, world_seed, traits))
    if request.forced:
        return _read(request, world_seed, traits, rng)
    if request.choices:
        return _choose(request, world_seed, traits, rng)
    text, truncated = cut(_text(request.model, request.messages, world_seed, traits, rng), request.max_tokens)
    tokens_in = sum(count_tokens(message["content"]) for message in request.messages)
    return Reply(text, tokens_in, count_tokens(text), "length" if truncated else "stop")


def _choose(request: Request, world_seed: int, traits: Traits, rng: random.Random) -> Reply:
    """Return a reply that consists of one token, Yes or No, with the probabilities of both. In three cases the reply is
    the token `I` without probabilities: the request's choices are not yes and no, the prompt is unknown, or the model
    makes the fault that is `broken` in its profile."""
    user = request.messages[-1]["content"]
    tokens_in = sum(count_tokens(message["content"]) for message in request.messages)
    judged = _JUDGED.fullmatch(user)  # the prompt shows an instruction, or an instruction and a response
    yes = None
    if [choice.casefold() for choice in request.choices] == ["yes", "no"] and rng.random() >= PROFILES[
        request.model
    ].broken:
        if judged and judged[2] is not None:
            yes = reviewing.approves(request.model, judged[1].strip(), judged[2].strip(), world_seed, traits, rng)
        elif judged:
            yes = reviewing.finds_sound(request.model, judged[1].strip(), traits, rng)
    if yes is None:
        return Reply("I", tokens_in, 1, "length")
    named = dict(zip(request.choices, (nine(MASS * yes), nine(MASS * (1 - yes))), strict=True))
    return Reply(max(named, key=lambda choice: named[choice]), tokens_in, 1, "length", choices=named)


def _read(request: Request, world_seed: int, traits: Traits, rng: random.Random) -> Reply:
    """Return a reply that tells how likely the model finds the forced text. A response is as likely, per token, as the
    model would answer Yes to the question whether it is right."""
    instruction = request.messages[-1]["content"].strip()
    yes = reviewing.approves(request.model, instruction, request.forced, world_seed, traits, rng)
    tokens_in = sum(count_tokens(message["content"]) for message in request.messages)
    tokens_out = min(count_tokens(request.forced), request.max_tokens)
    return Reply("", tokens_in, tokens_out, "stop", logprob=nine(math.log(yes)))


def _seed(request: Request, world_seed: int, traits: Traits) -> int:
    drawn = "greedy" if traits.greedy_repeats and request.temperature == 0 else str(request.seed)
    parts = [str(world_seed), request.model, drawn]
    parts += [part for message in request.messages for part in (message["role"], message["content"])]
    parts += [request.forced] if request.forced else []
    return int.from_bytes(
        hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )


def _text(
    model: str, messages: Sequence[Mapping[str, str]], world_seed: int, traits: Traits, rng: random.Random
) -> str:
    user = next((message["content"] for message in reversed(messages) if message["role"] == "user"), "")
    if (line := _plain(model, messages, user, traits, rng)) is not None:
        return write_plain(PROFILES[model], *line, user, rng)
    headline = _HEADLINE.match(user)
    if headline is None:
        return writing.respond(model, user.strip(), world_seed, traits, rng)
    # a rewrite is the model's own answer: the model keeps only what agrees with it
    if headline[1].strip() == "rewrite a response":
        return writing.respond(model, _block(user, "instruction"), world_seed, traits, rng)
    # a prompt with several turns names the JSON keys in the system message
    rules = "\n".join(message["content"] for message in messages if message["role"] == "system")
    value = _task(model, headline[1], user[headline.end() :], rules, world_seed, traits, rng)
    if value is None:  # an unknown prompt
        return "I am not sure what is wanted, but here is my best attempt at it."
    return write_json(PROFILES[model], value, rng)


def _plain(
    model: str, messages: Sequence[Mapping[str, str]], user: str, traits: Traits, rng: random.Random
) -> tuple[str, str] | None:
    """The answer to a prompt for one line, and the label of such an answer; None for other prompts."""
    if (found := _TOPICS.fullmatch(user)) is not None:
        about = [[topic] for topic in found["topics"].split(" and ")]
        shown = [message["content"].split(", ") for message in messages if message["role"] == "assistant"]
        return ", ".join(writing.keywords(model, found["domain"], [*about, *shown], traits, rng)), "Keywords"
    if (found := _WRITE.fullmatch(user)) is not None:
        return writing.instruction(model, found["domain"], found["keywords"].split(", "), traits, rng), "Task"
    if (found := _SUM_UP.match(user)) is not None:
        return writing.annotation(_block(user, "instruction"), found["keywords"].split(", "), traits, rng)[2], "Summary"
    return None


def _task(
    model: str, headline: str, body: str, rules: str, world_seed: int, traits: Traits, rng: random.Random
) -> dict[str, Any] | None:
    instruction, response = _block(body, "instruction"), _block(body, "response")
    match headline.strip():
        case "propose keywords":
            shown = [_split(record) for record in _BLOCKS["record"].findall(body)]
            return {"keywords": writing.keywords(model, _domain(body), shown, traits, rng)}
        case "write an instruction":
            return {"instruction": writing.instruction(model, _domain(body), _split(body), traits, rng)}
        case "check an instruction":
            return _ordered(reviewing.check(model, instruction, rng), rules + body, ("analysis", "comment"))
        case "review a response":
            return _reviewed(reviewing.review(model, instruction, response, world_seed, traits, rng), rules + body)
        case "adjudicate a response":
            seen = [int(score) for review in _BLOCKS["review"].findall(body) for score in _CORRECTNESS.findall(review)]
            return _reviewed(
                reviewing.adjudicate(model, instruction, response, seen, world_seed, traits, rng), rules + body
            )
        case "summarize a record":
            _, words, summary = writing.annotation(instruction, _split(body), traits, rng)
            return {"keywords": words, "summary": summary}
        case "annotate a record":
            domain, words, summary = writing.annotation(instruction, [], traits, rng)
            return {"domain": domain, "keywords": words, "summary": summary}
        case _:
            return None


def _reviewed(value: dict[str, Any], body: str) -> dict[str, Any]:
    """A review with the keys that the prompt names, in the prompt's order."""
    own = {"own_answer": value["weaknesses"]} if "`own_answer`" in body else {}
    return {**own, **_ordered(value, body, ("weaknesses", "weaknesses"), ("strengths", "strengths"))}


def _ordered(value: dict[str, Any], body: str, *first: tuple[str, str]) -> dict[str, Any]:
    """Return `value` with the keys that the prompt asks for, in the prompt's order. `body`: the text of the prompt.
    `first`: the keys that some editions of the prompts ask for before all others, as pairs (name of the key in the
    prompt, name of the key in `value`). If the prompt does not name the first of these keys, `value` is returned
    unchanged."""
    if f"`{first[0][0]}`" not in body:
        return value
    rest = {key: entry for key, entry in value.items() if key not in [here for _, here in first]}
    return {**{there: value[here] for there, here in first}, **rest}


def _block(body: str, name: str) -> str:
    found = _BLOCKS[name].search(body)
    return found[1].strip() if found else ""


def _domain(body: str) -> str:
    found = _DOMAIN.search(body)
    return found[1] if found else ""


def _split(text: str) -> list[str]:
    found = _KEYWORDS.search(text)
    return [word.strip() for word in found[1].split(";") if word.strip()] if found else []
