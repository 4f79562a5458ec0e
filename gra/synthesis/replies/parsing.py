"""Parses a model's reply into a form (a pydantic model of prompts/schemas.py), or reports the fault. It never returns a
score that the model did not give as its verdict.

It accepts JSON in a code block, within prose, or slightly broken (json-repair,
https://github.com/mangiucugna/json_repair). It refuses ambiguous replies: truncated ones (half of "10" reads as 1), two
different answers, a key with two values, ambiguous escapes. If an object cannot be parsed as a whole, no value is taken
from a part of it, because a reviewer can quote scores in the response that it judges.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, NamedTuple

import json_repair
from pydantic import BaseModel, ValidationError

from gra.models.base import Reply
from gra.models.openai.finish import normal
from gra.models.openai.reply_text import NO_ANSWER, Answer, answer_of
from gra.synthesis.prompts.schemas import Instruction, Judgement
from gra.synthesis.replies.escapes import damaged, repaired
from gra.wellformed import well_formed

LIMIT = 100_000  # maximum characters of a reply; the fields of the forms have far lower limits
CUT_OFF = "cut off"  # fault: the reply ended at its max_tokens
ESCAPES = "escapes of two meanings"  # fault: a backslash may have been lost
TEXTS = frozenset(  # names of fields in which models put the text that an instruction is about
    tuple(
        """
        article choices code content context data dialogue document given input inputs material options paragraph
        passage sentence sentences source story table text
    """.split()
    )
)
_NOTHING = re.compile(
    r"[\s.…<>\[\](){}]*(?:no ?input|none|n/?a|null|nil|empty|\.\.\.|…)?[\s.…<>\[\](){}]*", re.IGNORECASE
)


class Read(NamedTuple):
    """What was read from a reply. `form`: the reply as a pydantic object, or None if there is a fault. `fault`: the
    fault in a few words, or None. `notes`: remarks for the statistics (backslashes restored, unexpected fields)."""

    form: BaseModel | None
    fault: str | None
    notes: tuple[str, ...] = ()


def answer_in(reply: Reply, thoughts: bool = True) -> Answer:
    """Return the answer in the reply, or a text that says why the reply is unusable. Control tokens and, if `thoughts`
    is true, reasoning are removed from the answer (models/openai/reply_text.py)."""
    if reply.error is not None:
        return Answer("", fault=f"refused: {reply.error[:200]}")
    if normal(reply.finish) == "length" and reply.text.strip():
        return Answer("", fault=CUT_OFF)
    if not reply.text.strip():
        return Answer("", fault=NO_ANSWER if reply.tokens_out and reply.tokens_out > 8 else "empty")
    if len(reply.text) > LIMIT:
        return Answer("", fault=f"longer than {LIMIT} characters")
    answer = answer_of(reply.text, thoughts)
    return answer if answer.fault or answer.text.strip() else Answer("", answer.cut, "empty")


def parse(reply: Reply, form: type[BaseModel], thoughts: bool = True) -> tuple[BaseModel | None, str | None]:
    """Parse a reply into the pydantic model `form`. Return the pair (parsed object, None). If the reply has a fault,
    return (None, fault), where the fault is described in a few words. `thoughts`: whether reasoning before the answer
    is removed first."""
    answer = answer_in(reply, thoughts)
    if answer.fault is not None:
        return None, answer.fault
    read = form_in(answer.text, form)
    return read.form, read.fault


def form_in(text: str, form: type[BaseModel]) -> Read:
    """Return the form that the text of an answer contains, or the fault."""
    whole, names = repaired(text), _names(form)
    plain = text.isascii() and "\\u" not in text  # if True, no value contains half of a surrogate pair
    values, fault = _objects(whole.text, names)
    if fault is not None:
        return Read(None, fault)
    fits: list[BaseModel] = []
    notes = ["backslashes restored"] if whole.restored else []
    fault = "no JSON object"
    for value in values:
        try:
            own = _with_its_text(value, notes) if form is Instruction else value
            candidate = form.model_validate(
                own if plain else {name: _storable(own[name]) for name in names if name in own}
            )
        except RecursionError:
            fault = "no JSON object"
        except ValidationError as error:
            first = error.errors()[0]
            fault = f"{'.'.join(map(str, first['loc'])) or 'object'}: {first['msg']}"
        else:
            notes += [f"field `{str(key)[:40]}`" for key in own if key not in names]
            if candidate not in fits:
                fits.append(candidate)
    notes = list(dict.fromkeys(notes))
    if len(fits) > 1:
        return Read(None, "two different answers", tuple(notes))
    if not fits:
        return Read(None, fault, tuple(notes))
    if not issubclass(form, Judgement) and (place := whole.unsure or _damage(fits[0])) is not None:
        return Read(None, f"{ESCAPES}: {place}", tuple(notes))
    return Read(fits[0], None, tuple(notes))


@cache
def _names(form: type[BaseModel]) -> tuple[str, ...]:
    return tuple(form.model_fields)


def _storable(value: Any) -> Any:
    """Return a field's value with well-formed text. Only texts and lists of texts are converted: fields hold nothing deeper."""
    if isinstance(value, list):
        return [well_formed(entry) if isinstance(entry, str) else entry for entry in value]
    return well_formed(value) if isinstance(value, str) else value


def _with_its_text(value: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Return the object with the text of the fields in TEXTS, such as `input`, appended to its instruction, as is done
    for seeds."""
    instruction = value.get("instruction")
    if not isinstance(instruction, str):
        return value
    joined, rest = instruction, {}
    for key, entry in value.items():
        given = _plain(entry) if key != "instruction" and str(key).strip().casefold() in TEXTS else None
        if given is None:
            rest[key] = entry
        elif not _NOTHING.fullmatch(given) and " ".join(given.split()) not in " ".join(joined.split()):
            joined = f"{joined.rstrip()}\n\n{given.strip()}"
            notes.append(f"joined `{str(key).strip().casefold()}`")
    return {**rest, "instruction": joined}


def _plain(value: Any) -> str | None:
    """Return a field's value as text for an instruction. A list becomes one line per entry."""
    if isinstance(value, list) and all(isinstance(entry, str | int | float) for entry in value):
        return "\n".join(str(entry) for entry in value)
    return (
        value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    )


def _damage(form: BaseModel) -> str | None:
    """Return the text around a control character that replaced a backslash in one of the form's texts; None if there is none."""
    values = (entry for _, value in form for entry in (value if isinstance(value, list) else [value]))
    return next((place for entry in values if isinstance(entry, str) and (place := damaged(entry)) is not None), None)


def _objects(text: str, names: tuple[str, ...]) -> tuple[list[dict[str, Any]], str | None]:
    """Return two values: the outermost JSON objects of the text, repaired if needed, and None; or no objects and the
    fault, if a repair would be a guess.

    `names`: the keys of the form. If the text needs repair and contains one of these keys twice, that is a fault.
    """
    found: list[dict[str, Any]] = []
    place = text.find("{")
    while place != -1:
        try:
            value, end = _DECODER.raw_decode(text, place)
        except KeyTwiceError:
            return [], "a key is there twice"
        except (json.JSONDecodeError, RecursionError):
            end = text.find("}", place) + 1
            if end and not set(text[place:end]) & set("\"':"):
                place = text.find("{", end)  # braces in prose, {like this}
                continue
            value, fault = _repaired(text[place:], names)
            return ([*found, value], None) if value is not None else ([], fault)
        found.append(value)
        place = text.find("{", end)
    return found, None


def _repaired(text: str, names: tuple[str, ...]) -> tuple[dict[str, Any] | None, str | None]:
    """Return the repaired object between the text's first character and its last "}"; or the fault."""
    end = text.rfind("}")
    if end == -1 or text[end + 1 :].strip().startswith(('"', ",")):
        return None, "no JSON object"
    text = text[: end + 1]
    if any(len(re.findall(rf"\b{name}\b[\"']?\s*:", text)) > 1 for name in names):
        return None, "broken JSON with a key that is there twice"
    try:
        value = json_repair.loads(text, skip_json_loads=True)
    except (ValueError, RecursionError):
        return None, "no JSON object"
    return (value, None) if isinstance(value, dict) else (None, "no JSON object")


class KeyTwiceError(ValueError):
    """Raised for a JSON object that has the same key twice, with different values."""


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs) and any(value[key] != entry for key, entry in pairs):
        raise KeyTwiceError
    return value


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_no_key_twice)
