"""Typed settings for the stages: a pydantic model per config group, all of its faults turned into `Problem`s at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gra.errors import Problem


class Settings(BaseModel):
    """Base of all settings: unknown keys are faults, values cannot change, defaults are checked like given values."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


S = TypeVar("S", bound=Settings)

_PLAIN = {  # pydantic's types of faults whose own words are longer than what is wrong
    "int_parsing": "must be a whole number", "int_type": "must be a whole number", "int_from_float": "must be a whole number",
    "float_parsing": "must be a number", "float_type": "must be a number", "bool_parsing": "must be true or false",
    "bool_type": "must be true or false", "string_type": "must be a text", "list_type": "must be a list",
}  # fmt: skip


def parse(model: type[S], config: Mapping[str, Any] | Any, prefix: str = "") -> tuple[S | None, list[Problem]]:
    """Check `config` (it should be a mapping) against `model`; `prefix` is the dotted path of the mapping in the whole config.

    Returns the settings and no problems, or None and every problem found.
    """
    if not isinstance(config, Mapping):
        known = ", ".join(field.alias or name for name, field in model.model_fields.items())
        message = f"a mapping of keys is expected here (got {config!r:.80})"
        return None, [Problem(prefix or "(whole config)", message, f"its keys: {known}")]
    try:
        return model.model_validate(dict(config)), []
    except ValidationError as error:
        return None, [_problem(model, fault, prefix) for fault in error.errors()]


def _problem(model: type[BaseModel], fault: Any, prefix: str) -> Problem:
    path = [str(part) for part in fault["loc"]]
    key = ".".join([prefix, *path] if prefix else path) or "(whole config)"
    if fault["type"] == "extra_forbidden":
        known = sorted(_fields(model, path[:-1]))
        near = difflib.get_close_matches(path[-1], known, n=1)
        remedy = f"did you mean `{near[0]}`?" if near else f"known keys here: {', '.join(known)}"
        return Problem(key, "unknown key", remedy)
    if fault["type"] == "missing":
        return Problem(key, "required, but not set", f"set it: {key}=VALUE")
    words = _PLAIN.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
    if isinstance(fault["input"], Mapping):  # of several keys together: the words name theirs, "KEY: ..." where it is one
        field, colon, rest = words.partition(": ")
        if colon and field in _fields(model, path):
            key, words = ".".join([key, field] if key != "(whole config)" else [field]), rest
        return Problem(key, words, f"correct the value of {key}")
    return Problem(key, f"{words} (got {fault['input']!r:.120})", f"correct the value of {key}")


def _fields(model: type[BaseModel], path: list[str]) -> set[str]:
    """Names of the fields of the settings at `path` below `model`, as far as nested models can be followed."""
    here: Any = model
    for part in path:
        field = here.model_fields.get(part)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return set()
        here = field.annotation
    return set(here.model_fields)
