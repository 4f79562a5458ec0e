"""Parses config groups into pydantic models, and turns the faults of a group into `Problem`s."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gra import spelling
from gra.errors import Problem


class Settings(BaseModel):
    """Base class of all settings. An unknown key is an error. The objects are immutable. Default values are validated
    too."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


S = TypeVar("S", bound=Settings)

_PLAIN = {  # shorter messages for these pydantic error types
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be a string",
    "list_type": "must be a list",
}


def parse(model: type[S], config: Mapping[str, Any] | Any, prefix: str = "") -> tuple[S | None, list[Problem]]:
    """Parse the mapping `config` into an object of the class `model`.

    Return the object and an empty list. If the config is faulty, return None and a list of all its faults. `prefix`:
    the dotted key of this mapping in the whole config. The keys in the faults begin with this prefix.
    """
    if not isinstance(config, Mapping):
        known = ", ".join(field.alias or name for name, field in model.model_fields.items())
        message = f"a mapping of keys is expected here (got {config!r:.80})"
        return None, [Problem(prefix or "(whole config)", message, f"its keys: {known}")]
    try:
        return model.model_validate(dict(config)), []
    except ValidationError as error:
        return None, [_problem(model, fault, prefix) for fault in error.errors()]


def value_at(config: Mapping[str, Any], key: str) -> Any:
    """Return the value at a dotted key; None if there is none."""
    node: Any = config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _problem(model: type[BaseModel], fault: Any, prefix: str) -> Problem:
    path = [str(part) for part in fault["loc"]]
    key = ".".join([prefix, *path] if prefix else path) or "(whole config)"
    if fault["type"] == "extra_forbidden":
        known = sorted(_fields(model, path[:-1]))
        return Problem(key, "unknown key", spelling.remedy(path[-1], known, f"known keys here: {', '.join(known)}"))
    if fault["type"] == "missing":
        return Problem(key, "required, but not set", f"set {key}=VALUE")
    words = _PLAIN.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
    if isinstance(
        fault["input"], Mapping
    ):  # a fault that involves several keys; a message "KEY: ..." names the one at fault
        field, colon, rest = words.partition(": ")
        if colon and field in _fields(model, path):
            key, words = ".".join([key, field] if key != "(whole config)" else [field]), rest
        return Problem(key, words, f"correct the value of {key}")
    return Problem(key, f"{words} (got {fault['input']!r:.120})", f"correct the value of {key}")


def _fields(model: type[BaseModel], path: list[str]) -> set[str]:
    """Return the field names of the settings at `path` below `model`; an empty set if a part of the path is not a nested model."""
    here: Any = model
    for part in path:
        field = here.model_fields.get(part)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return set()
        here = field.annotation
    return set(here.model_fields)
