"""Finds command-line arguments that are not key=value and suggests what to write: for `--seed 1`, it suggests seed=1;
for the bare name NAME of an experiment, experiment=NAME."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping, Sequence

from gra import spelling
from gra.errors import Problem
from gra.paths import conf_dir
from gra.private_api import hydra
from gra.typed import WHERE

_SPACED = re.compile(r"([+~\w.@/]+)\s+=\s*(.*)", re.DOTALL)


def mistyped(
    words: Sequence[str], parser: argparse.ArgumentParser, keys: Sequence[str], verbs: Sequence[str] = ()
) -> list[Problem]:
    """Return a problem for each command-line argument that is neither key=value nor a known flag.

    `words`: the arguments.
    `parser`: Hydra's parser, which knows the flags.
    `keys`: the config's top-level keys and groups, for suggestions.
    `verbs`: words that the command takes without a key, for suggestions.
    """
    flags = hydra.flags(parser)
    problems = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        if word.startswith("-") and word != "-":
            action = flags.get(flag)
            if action is None:
                taken = [rest.pop(0)] if not equals and rest and _is_value(rest[0]) else []
                problems.append(
                    _flag(" ".join([word, *taken]), flag, value if equals else "".join(taken), keys, list(flags))
                )
            elif not equals and action.nargs != 0 and rest:
                rest.pop(0)
        elif match := _SPACED.fullmatch(word):
            problems.append(
                Problem(word, "not key=value: there are spaces around the =", _meant(match[1], match[2]), WHERE)
            )
        elif _names_key(word.removesuffix(":"), keys) and rest and (_is_value(rest[0]) or rest[0] == "="):
            taken = [rest.pop(0)]
            if taken == ["="] and rest:
                taken.append(rest.pop(0))
            problems.append(
                Problem(" ".join([word, *taken]), "not key=value", _meant(word.removesuffix(":"), taken[-1]), WHERE)
            )
        elif equals and flag and not flag.strip("+~ "):  # Hydra fails with an assertion
            problems.append(Problem(word, "not key=value: there is no key before the =", "write KEY=VALUE", WHERE))
        elif not equals and not word.startswith("~"):
            problems.append(Problem(word or "(an empty word)", "not key=value", _bare(word, keys, verbs), WHERE))
    return problems


def top_keys(config_name: str) -> list[str]:
    """Return the root keys and config groups of the config `config_name`. If it is not a file of conf/, return []."""
    from gra.chain.config.unknown import listed

    raw = listed(config_name)
    groups = [
        str(key).split("@")[0].strip("/")
        for entry in raw.get("defaults") or []
        if isinstance(entry, dict)
        for key in entry
    ]
    own = [key for key in raw if key not in ("defaults", "hydra")]
    return [*own, *(group for group in groups if not group.startswith("override "))]


def options() -> Mapping[str, str]:
    """Return a mapping from the name of each option to `group=option`, for the options of all config groups.

    If several groups have an option of the same name, `experiment` is preferred to all other groups. Of the others, the
    first one in alphabetical order is chosen.
    """
    found: dict[str, str] = {}
    for path in sorted(conf_dir().glob("*/**/*.yaml"), key=lambda p: (p.parent.name != "experiment", p)):
        name = path.relative_to(conf_dir()).with_suffix("").as_posix()
        group, _, option = name.partition("/")
        found.setdefault(option, f"{group}={option}")
    return found


def option_meant(word: str, keys: Sequence[str]) -> str | None:
    """Return what the user probably meant by `word`: `group=option`, for the option with this or a similar name.

    If the option is an experiment but the command has no group `experiment`, return `gra run experiment=NAME`. If there
    is no such option in the groups of the command, return None.
    `keys`: the keys and groups of the command.
    """
    known = options()
    near = spelling.near(word, known, cutoff=0.8)
    if not near:
        return None
    group = known[near[0]].partition("=")[0]
    if group in keys:
        return known[near[0]]
    return f"gra run {known[near[0]]}" if group == "experiment" else None


def _is_value(word: str) -> bool:
    return "=" not in word and (not word.startswith("-") or word[1:2].isdigit())


def _flag(shown: str, flag: str, value: str, keys: Sequence[str], flags: Sequence[str]) -> Problem:
    name = flag.lstrip("-")
    for key in (name, name.replace("-", "_")):
        if key.partition(".")[0] in keys:
            return Problem(shown, "unknown flag: keys are written without dashes", _meant(key, value), WHERE)
    near = spelling.near(name.replace("-", "_"), keys, cutoff=0.7)
    remedy = _meant(near[0], value) if near else "write keys as key=value; --help lists flags, groups and examples"
    if not near and (like := spelling.near(f"--{name}", flags, cutoff=0.8)):
        remedy = f"did you mean {like[0]}?"
    return Problem(shown, "unknown flag", remedy, WHERE)


def _meant(key: str, value: str) -> str:
    return f"did you mean {shlex.quote(f'{key}={value}') if value else f'{key}=VALUE'}?"


def _names_key(word: str, keys: Sequence[str]) -> bool:
    return word.partition(".")[0] in keys and re.fullmatch(r"[\w.]+", word) is not None


def _bare(word: str, keys: Sequence[str], verbs: Sequence[str]) -> str:
    if meant := option_meant(word, keys):
        return f"did you mean {meant}?"
    key, colon, value = word.partition(":")
    if colon and _names_key(key, keys):
        return _meant(key, value)
    if _names_key(word, keys):
        return _meant(word, "")
    if near := spelling.near(word, [*keys, *verbs], cutoff=0.75):
        return f"did you mean {near[0]}?" if near[0] in verbs else _meant(near[0], "")
    return "write it as key=value; --help lists groups and examples"
