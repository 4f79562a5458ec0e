"""A model's reply -> a form, or the reason why not. Never a score that the model did not write as its verdict.

Takes JSON that is fenced, wrapped in prose or slightly broken (json-repair, https://github.com/mangiucugna/json_repair).
Refuses what would have to be guessed: a reply that was cut off (half of "10" reads as 1), two different answers, a key that is
there twice, a text whose escapes may mean two things. A reviewer may quote the response it judges, so nothing inside an object
that does not read is ever looked at alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import json_repair
from pydantic import BaseModel, ValidationError

from gra.models.base import Reply
from gra.models.finish import normal
from gra.models.reply_text import NO_ANSWER, Answer, answer_of
from gra.synthesis.escapes import damaged, mended
from gra.synthesis.prompts.schemas import Instruction, Judgement
from gra.wellformed import well_formed

LIMIT = 100_000  # characters of a reply that are looked at; the forms' own maximum lengths are far below
CUT_OFF = "cut off"  # the fault of a reply that ended at its max_tokens
ESCAPES = "escapes of two meanings"  # the fault of a text in which a backslash may have been lost
TEXTS = frozenset(  # fields beside `instruction` that hold the text it is about
    ("article", "choices", "code", "content", "context", "data", "dialogue", "document", "given", "input", "inputs", "material",
     "options", "paragraph", "passage", "sentence", "sentences", "source", "story", "table", "text")
)  # fmt: skip
_NOTHING = re.compile(r"[\s.…<>\[\](){}]*(?:no ?input|none|n/?a|null|nil|empty|\.\.\.|…)?[\s.…<>\[\](){}]*", re.IGNORECASE)


@dataclass(frozen=True)
class Read:
    """`form`, or the `fault` in a few words; `notes`: what is worth counting (backslashes restored, fields nobody asked for)."""

    form: BaseModel | None
    fault: str | None
    notes: tuple[str, ...] = ()


def answer_in(reply: Reply, thoughts: bool = True) -> Answer:
    """What of the reply is the answer (reply_text.py), or why there is none."""
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
    """The validated form and None, or None and the fault in a few words. `thoughts` False: reasoning is not cut off."""
    answer = answer_in(reply, thoughts)
    if answer.fault is not None:
        return None, answer.fault
    read = form_in(answer.text, form)
    return read.form, read.fault


def form_in(text: str, form: type[BaseModel]) -> Read:
    """The form that an answer's text holds."""
    whole, names = mended(text), tuple(form.model_fields)
    values, fault = _objects(whole.text, names)
    if fault is not None:
        return Read(None, fault)
    fits: list[BaseModel] = []
    notes = ["backslashes restored"] if whole.restored else []
    fault = "no JSON object"
    for value in values:
        own = _with_its_text(value, notes) if form is Instruction else value
        try:
            candidate = form.model_validate(well_formed(own))
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


def _with_its_text(value: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The object with the text that its instruction is about, given in a field beside it, joined to it (as seeds' are)."""
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
    """A field's value as a text that an instruction can hold; a list of texts is one a line."""
    if isinstance(value, list) and all(isinstance(entry, str | int | float) for entry in value):
        return "\n".join(str(entry) for entry in value)
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _damage(form: BaseModel) -> str | None:
    """The place in one of the form's texts where a control character stands in for a backslash; None where there is none."""
    values = (entry for value in form.model_dump().values() for entry in (value if isinstance(value, list) else [value]))
    return next((place for entry in values if isinstance(entry, str) and (place := damaged(entry)) is not None), None)


def _objects(text: str, names: tuple[str, ...]) -> tuple[list[dict[str, Any]], str | None]:
    """The outermost JSON objects of the text, one that does not read mended; or a fault, where that would be a guess.

    `names`: keys of the form, none of which may stand twice in what has to be mended.
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
            mended, fault = _mended(text[place:], names)
            return ([*found, mended], None) if mended is not None else ([], fault)
        found.append(value)
        place = text.find("{", end)
    return found, None


def _mended(text: str, names: tuple[str, ...]) -> tuple[dict[str, Any] | None, str | None]:
    """The object from the text's first character to its last "}", repaired; or why not."""
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
    """An object names a key twice with different values: no telling which one is meant."""


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs) and any(value[key] != entry for key, entry in pairs):
        raise KeyTwiceError
    return value


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_no_key_twice)
