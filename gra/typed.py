"""Quotes command-line overrides that Hydra's grammar cannot read, and paths that it would read as something else.

A value with one possible meaning is accepted as it is typed: `output=/x/日本`, `a=b`, `#`, `(`, `~`, blanks, commas
(except in a sweep, `-m`). For a value with two possible meanings (Hydra's escapes, a broken list), the error shows what
to type for each meaning. A value that Hydra can read and that is not a path stays unchanged.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from gra.errors import Problem

WHERE = "command line"
PATHS = frozenset(
    [
        "output",
        "store",
        "results",
        "data",
        "tokens",
        "student_folder",
        "seeds.path",
        "model.path",
        "student.model",
        "suite.data_dir",
        "runtime.log_folder",
        "synthesis.decontaminate.data_dir",
        "pool.python",
    ]
)  # keys whose value is a path or a hub id, which may contain any characters
_KEY = re.compile(r"(?P<sign>\+{0,2})(?P<key>[A-Za-z_$][\w$./@:-]*)=(?P<value>.*)", re.DOTALL)
_QUOTED = re.compile(r"""\s*("(\\.|[^"\\])*"|'(\\.|[^'\\])*')\s*""", re.DOTALL)
_LIST = re.compile(r"\s*\[((?:[^\[\]{}()'\"\\]|\([^\[\]{}()'\"\\,]*\))*)\]\s*", re.DOTALL)
_FUNCTIONS = re.compile(r"\s*(choice|range|interval|glob|tag|sort|shuffle|int|str|float|bool)\s*\(", re.DOTALL)


def spelt(words: Sequence[str], multirun: bool = False) -> tuple[list[str], list[Problem]]:
    """Return two lists: the command-line overrides `words` in a form that Hydra reads, and the problems. There is one
    problem for each ambiguous override. It says what to type for each meaning. The first list has an override unchanged
    if it is ambiguous or already has a form that Hydra reads."""
    found, problems = [], []
    for word in words:
        match = _KEY.fullmatch(word)
        if match is None:
            found.append(word)
            continue
        try:
            value = _value(match["key"], match["value"], word, multirun)
            found.append(f"{match['sign']}{match['key']}={value}")
        except _TwoMeanings as two:
            problems.append(two.problem)
            found.append(word)
    return found, problems


def quoted(text: str) -> str:
    """Return `text` quoted so that Hydra and OmegaConf read exactly this string."""
    from hydra.core.override_parser.types import Quote, QuotedString

    kept = re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + "\\${", text)
    return str(QuotedString(kept, Quote.double).with_quotes())


def in_quotes(text: str) -> str:
    """Return `text` in single quotes, which are easy to read. If `text` needs escapes, return it in the form of the
    function `quoted`."""
    return quoted(text) if re.search(r"[\\'$]", text) else f"'{text}'"


def word_for(path: str) -> str:
    """Return `path` as an override's value, quoted only if needed."""
    return path if re.fullmatch(r"[\w./ -]+", path, re.ASCII) and _read(path) == (True, path) else quoted(path)


def unquoted(value: str) -> str:
    """Return the text inside the quotes of a value that is quoted for Hydra. Return any other value unchanged."""
    readable, read = _read(value) if _QUOTED.fullmatch(value) else (False, None)
    return str(read) if readable else value


def to_type(key: str, text: str) -> str:
    """Return the word to type in a POSIX shell to set `key` to the string `text`. It is quoted for Hydra and for the
    shell if needed."""
    return shlex.quote(f"{key}={word_for(text)}")


class _TwoMeanings(Exception):
    def __init__(self, word: str, message: str, remedy: str):
        super().__init__(message)
        self.problem = Problem(word, message, remedy, WHERE)


def _value(key: str, value: str, word: str, multirun: bool) -> str:
    if _QUOTED.fullmatch(value) or not value:
        return value
    is_path = key in PATHS or key.startswith("inputs.")
    if "${" in value and not _interpolates(value):
        return quoted(value)  # no complete ${...}, so it is plain text
    readable, read = _read(value)
    if not readable:
        return _unreadable(key, value, word, multirun, is_path)
    if not is_path or read is None or value == "???" or "${" in value or read == value:
        return value
    if _is_sweep(read):
        return value if multirun else quoted(value)
    if isinstance(read, str) and "\\" in value:
        remedy = f"for the first type {to_type(key, read)}, for the second {to_type(key, value)}"
        raise _TwoMeanings(word, f"is it `{read}`, written with backslashes, or `{value}`?", remedy)
    return quoted(value)  # a number, a list or outer blanks: a folder can have such a name


def _unreadable(key: str, value: str, word: str, multirun: bool, is_path: bool) -> str:
    """Return the quoted form of a value that Hydra's grammar rejects. Raises _TwoMeanings if it is ambiguous."""
    if not is_path and (match := _LIST.fullmatch(value)):
        parts = [part.strip() for part in match[1].split(",")]
        return "[" + ",".join(part if _read(part)[0] else quoted(part) for part in parts) + "]"
    if multirun and "," in value:
        parts = [part.strip() for part in value.split(",")]
        each = shlex.quote(f"{key}=" + ",".join(part if part and _read(part)[0] else quoted(part) for part in parts))
        raise _TwoMeanings(
            word,
            "is this one value, or several values of a sweep?",
            f"one value: type {to_type(key, value)}; several values: type {each}",
        )
    if not is_path and (value.lstrip()[:1] in ("[", "{", '"', "'") or _FUNCTIONS.match(value)):
        remedy = f"for this literal text, type {to_type(key, value)}; in a list or mapping, quote each text with special characters"
        raise _TwoMeanings(
            word,
            "looks like an incomplete list, mapping, quoted text or function, or has unquoted special characters",
            remedy,
        )
    return quoted(value)


def _read(value: str) -> tuple[bool, Any]:
    """Return whether Hydra can read the value, and what it reads."""
    from antlr4.error.Errors import RecognitionException
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    from gra.private_api.hydra import raw_value

    try:
        override = OverridesParser.create().parse_override(f"key={value}")
        return True, raw_value(override) if override.is_sweep_override() else override.value()
    except (HydraException, RecognitionException, TypeError, ValueError):
        return False, None


def _is_sweep(read: Any) -> bool:
    from hydra.core.override_parser.types import Glob, Sweep

    return isinstance(read, Sweep | Glob)


def _interpolates(value: str) -> bool:
    """Return whether OmegaConf can parse the `${...}` in a value."""
    from omegaconf.errors import GrammarParseError
    from omegaconf.grammar_parser import parse

    try:
        parse(value)
    except GrammarParseError:
        return False
    return True
