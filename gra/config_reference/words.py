"""Writes the types, defaults and descriptions in docs/configuration.md as Markdown that is safe inside a table."""

from __future__ import annotations

import html
import re
from typing import Any

import yaml

from gra.config_reference.schema import Schema, referred

_CODE = re.compile(r"`[^`]+`")
_CHOICES = re.compile(r"\^\(?(\w+(?:\|\w+)*)\)?\$")  # a pattern that only lists words
_SINGULAR = re.compile(r"^(text|mapping|whole number|number|list)(?=$| )")
_TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
    "object": "mapping",
}
_BOUNDS = {  # JSON schema -> words before the number
    "minimum": "of at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


def type_words(schema: Schema) -> str:
    """Return the type of a field in plain words, as Markdown."""
    if "anyOf" in schema:
        return _either(list(dict.fromkeys(type_words(one) for one in schema["anyOf"])))
    if "enum" in schema:
        return _either([code(plain(value)) for value in schema["enum"]])
    if "const" in schema:
        return code(plain(schema["const"]))
    if "$ref" in schema:
        return "mapping"
    if schema.get("type") == "array":
        items = schema.get("items") or {}
        return f"list of {_several(items)}" if items else "list"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"mapping of names to {_several(values)}" if isinstance(values, dict) else "mapping"
    if "type" not in schema:
        return "any value"
    if choices := _CHOICES.fullmatch(schema.get("pattern", "")):
        return _either([code(plain(one)) for one in choices[1].split("|")])
    return " ".join([_TYPES[schema["type"]], *_limits(schema)])


def code(text: str) -> str:
    """Return `text` as Markdown code between back ticks. If `text` contains `|`, a back tick or `&`, return it as an
    HTML element. These characters have a meaning in a Markdown table, in code or in HTML."""
    if not set("|`&") & set(text):
        return f"`{text}`"
    safe = re.sub(r"[|`*_\\\[\]]", lambda found: f"&#{ord(found[0])};", html.escape(text, quote=False))
    return f"<code>{safe}</code>"


def plain(value: Any) -> str:
    """Return a value as it is written in a YAML file."""
    if isinstance(value, str) and "${" in value:
        return value
    text = yaml.safe_dump([value], default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True)
    return text.strip().removeprefix("[").removesuffix("]")


def prose(text: str) -> str:
    """Return a docstring or description as Markdown. Text between back ticks stays code; all other characters appear as
    they are."""
    done, end = [], 0
    for found in _CODE.finditer(text):
        done += [_escaped(text[end : found.start()]), code(" ".join(found[0].strip("`").split()))]
        end = found.end()
    return "".join([*done, _escaped(text[end:])])


def items_of(schema: Schema) -> str | None:
    """Return the name of the settings class to which the items of a list, or the values of a mapping, belong. Return
    None if they belong to no settings class. `schema`: the JSON schema of the config field that holds the list or
    mapping."""
    for one in schema.get("anyOf", [schema]):
        inner = one.get("items") or one.get("additionalProperties")
        if isinstance(inner, dict) and (found := referred(inner)):
            return found
    return None


def _several(schema: Schema) -> str:
    words = f"({type_words(schema)})" if "anyOf" in schema else type_words(schema)
    return _SINGULAR.sub(r"\1s", words)


def _limits(schema: Schema) -> list[str]:
    if "minimum" in schema and "maximum" in schema:
        return [f"from {plain(schema['minimum'])} to {plain(schema['maximum'])}"]
    bounds = [f"{words} {plain(schema[key])}" for key, words in _BOUNDS.items() if key in schema]
    form = [f"of the form {code(schema['pattern'])}"] if "pattern" in schema else []
    return [" and ".join(bounds), *form] if bounds else form


def _either(words: list[str]) -> str:
    if len(words) < 2:
        return words[0]
    comma = "," if any(" " in one for one in words) else ""
    return f"{', '.join(words[:-1])}{comma} or {words[-1]}"


def _escaped(text: str) -> str:
    """Return plain text as Markdown, with every Markdown character escaped."""
    safe = re.sub(r"&(?=[#\w])", "&amp;", text).replace("<", "&lt;").replace("|", "&#124;")
    return re.sub(r"[*`\[\]\\]|(?<!\w)_|_(?!\w)", lambda found: f"\\{found[0]}", safe)
