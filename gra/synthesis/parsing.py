"""A model's reply -> a form, or the reason why not. Never a score that the model did not write as its verdict.

Takes JSON that is fenced, wrapped in prose or slightly broken (json-repair, https://github.com/mangiucugna/json_repair).
Refuses what would have to be guessed: a reply that was cut off (half of "10" reads as 1), two different answers, a key that is
there twice. A reviewer may quote the response it judges, so nothing inside an object that does not read is ever looked at alone.
"""

from __future__ import annotations

import json
import re
from typing import Any

import json_repair
from pydantic import BaseModel, ValidationError

from gra.models.base import Reply
from gra.models.finish import normal
from gra.wellformed import well_formed

LIMIT = 100_000  # characters of a reply that are looked at; the forms' own maximum lengths are far below


def parse(reply: Reply, form: type[BaseModel]) -> tuple[BaseModel | None, str | None]:
    """The validated form and None, or None and the fault in a few words."""
    if reply.error is not None:
        return None, f"refused: {reply.error[:200]}"
    if not reply.text.strip():
        return None, "empty"
    if normal(reply.finish) == "length":
        return None, "cut off"
    if len(reply.text) > LIMIT:
        return None, f"longer than {LIMIT} characters"
    values, fault = _objects(reply.text, tuple(form.model_fields))
    if fault is not None:
        return None, fault
    fits: list[BaseModel] = []
    fault = "no JSON object"
    for value in values:
        try:
            candidate = form.model_validate(well_formed(value))
        except ValidationError as error:
            first = error.errors()[0]
            fault = f"{'.'.join(map(str, first['loc'])) or 'object'}: {first['msg']}"
        else:
            if candidate not in fits:
                fits.append(candidate)
    if len(fits) > 1:
        return None, "two different answers"
    return (fits[0], None) if fits else (None, fault)


def _objects(text: str, names: tuple[str, ...]) -> tuple[list[dict[str, Any]], str | None]:
    """The outermost JSON objects of the text, one that does not read mended; or a fault, where that would be a guess.

    `names`: keys of the form, none of which may stand twice in what has to be mended.
    """
    decoder = json.JSONDecoder(strict=False, object_pairs_hook=_no_key_twice)
    found: list[dict[str, Any]] = []
    place = text.find("{")
    while place != -1:
        try:
            value, end = decoder.raw_decode(text, place)
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
