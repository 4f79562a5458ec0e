"""Makes the help page of a command that composes a config: `gra synthesize --help`, `gra run pool=small --help` and so
on.

The command's purpose, flags and examples come from gra/cli_help.py. Its config groups and the values of its keys come
from the config that the command would compose. The keys' descriptions come from the settings classes, as in
docs/configuration.md.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gra.chain.config.not_key_value import mistyped, top_keys
from gra.chain.config.overrides import Composed, compose_sound
from gra.chain.config.unknown import listed
from gra.cli_help import HYDRA_FLAGS, PAGES, Page
from gra.config_reference.schema import Schema, definitions, described, referred
from gra.config_reference.tables import APPS, EXECUTORS, GROUPS, ITEMS, backends
from gra.config_reference.words import plain
from gra.models.pool import PoolBase
from gra.private_api.hydra import arguments_parser
from gra.settings import Settings
from gra.terminal import columns

LEFT = 40  # most characters of `key=value` if its description stands beside it
VALUE = 28  # most characters of a value
TEXT = 110  # a longer description is cut to its first sentence
_SAME = {"prepare_app": "train_app"}  # a config built on another -> the app that describes its keys
_USED = {"fetch_app": {"suite": ("tasks", "only", "num_fewshot")}}  # where a command reads only some keys of a group
_SENTENCE = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!etc)\.(?=\s+[A-Z`])|\.$")
_WORD = re.compile(r"'[^']*'|\S+")


def page(command: str, words: Sequence[str], width: int | None = None) -> str:
    """Return the help page of a command. `words`: the arguments of the command besides --help. `width`: the length of a
    line in characters. None means the terminal's width.

    The page shows the config that the command composes with these arguments. At its end, it lists the arguments that
    are faulty.
    """
    told, width = PAGES[command], width or columns()
    groups = groups_of(told.app)
    made, problems = _composed(told, words, groups)
    parts = [
        _usage(command, told, width),
        _wrapped(told.text, width),
        _section("groups (GROUP=OPTION; * marks the chosen option)", _groups(groups, made), width),
        *_keys(told, made, width),
        _section("flags", [*told.flags, *HYDRA_FLAGS], width),
        _wrapped('Tab completion of keys, groups and options: eval "$(gra completion bash)"', width),
        "examples:\n" + "\n".join(_example(*example, width) for example in told.examples),
    ]
    if problems:
        faults = [f"  {problem.key or '(no key)'}: {problem.message}; {problem.remedy}" for problem in problems]
        parts.append(
            "left out here, because they are faulty:\n" + "\n".join(_wrapped(f, width, "    ") for f in faults)
        )
    return "\n\n".join(part for part in parts if part) + "\n"


def groups_of(app: str) -> list[str]:
    """Return the names of the config groups from which a command's config is composed. They are in the order of Hydra's
    defaults list. `app`: the name of the command's file in conf/."""
    found = [str(group) for entry in listed(app).get("defaults") or [] if isinstance(entry, dict) for group in entry]
    return list(dict.fromkeys(group for group in found if not group.startswith("override ")))


def key_rows(app: str, config: Mapping[str, Any], chain: bool = False) -> Iterator[list[tuple[str, str, str]]]:
    """Yield blocks of rows (key, value, description) for the keys of a composed config. The first block has the
    command's own keys. Each further block has the keys of one config group or section.

    `app`: the name of the command's file in conf/. `chain`: whether the command runs several stages. If it does, the
    keys of `pool` and of the groups in GROUPS are left out, because they belong to single stages.
    """
    home = APPS[_SAME.get(app, app)]
    own = [(key, _at(config, key), text) for key, (_, text) in home.own.items() if _at(config, key) is not _ABSENT]
    sections = {name: models for other in (home, *APPS.values()) for name, models in other.sections.items()}
    sections["runtime"] = tuple(
        dict.fromkeys(m for other in (home, *APPS.values()) for m in other.sections.get("runtime", ()))
    )
    yield [(key, _value(value), text) for key, value, text in own if key not in sections]
    models = {name: tuple(found) for name in config if (found := _classes(name, config, sections))}
    several = dict.fromkeys([*ITEMS.values(), *(one for many in models.values() for one in many)])
    names, defined = definitions(list(several))
    items = {key: names[model] for key, model in ITEMS.items()}
    for name, classes in models.items():
        if chain and name in {*GROUPS, "pool"}:
            continue
        fields: Schema = {}
        for model in classes:
            fields = defined[names[model]]["properties"] | fields
        wanted = _USED.get(app, {}).get(name)
        mapping = {key: value for key, value in config[name].items() if wanted is None or key in wanted}
        yield list(_rows(name, mapping, fields, defined, items))


_ABSENT = object()


def _composed(told: Page, words: Sequence[str], groups: Sequence[str]) -> tuple[Composed, list[Any]]:
    """Compose the config with the overrides among `words`; also return the faults of all words."""
    known = {text.split(" ")[0].partition("=")[0] for text, _ in (*told.words, *told.flags)}
    known |= {"merge"} if told.words else set()
    typed, folder = [], None
    pending = list(words)
    while pending:
        word = pending.pop(0)
        name, equals, value = word.partition("=")
        if name in ("--config-dir", "-cd"):
            folder = value if equals else pending.pop(0) if pending else None
        elif name not in known:
            typed.append(word)
    wrong = mistyped(typed, arguments_parser(), top_keys(told.app))
    overrides = [word for word in typed if not word.startswith("-") and ("=" in word or word.startswith("~"))]
    overrides = [word for word in overrides if word not in {problem.key for problem in wrong}]
    made = compose_sound(told.app, overrides, groups, folder)
    return made, [*wrong, *made.problems]


def _classes(name: str, config: Mapping[str, Any], sections: Mapping[str, Any]) -> Sequence[type[Settings]]:
    """Return the settings classes that describe the keys below the top key `name`; none if it is not a group or
    section."""
    value = config[name]
    if not isinstance(value, Mapping) or name == "config":
        return ()
    if name == "pool":
        return (backends().get(str(value.get("_target_")), PoolBase),)
    if name == "cluster":
        return (EXECUTORS.get(str(value.get("executor")), EXECUTORS["local"]),)
    return (GROUPS[name],) if name in GROUPS else sections.get(name, ())


def _rows(
    above: str, mapping: Mapping[str, Any], fields: Schema, found: Schema, items: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Yield a row for each key of `mapping`. Nested settings give a row for each of their own keys instead."""
    for name, value in mapping.items():
        key = f"{above}.{name}"
        schema = fields.get(name, {})
        inner = items.get(key) or referred(schema)
        alike = _alike(value, found[inner]["properties"]) if inner else None
        if inner is not None and alike is not None:  # `decoding` has the same keys for each step: described once
            texts = {one: described(of, found) for one, of in found[inner]["properties"].items()}
            yield from ((f"{key}.{one}", plain(many), texts[one]) for one, many in value.items())
            yield from ((f"{key}.*.{one}", "", described(of, found)) for one, of in found[alike]["properties"].items())
        elif inner is not None and isinstance(value, Mapping) and value:
            yield from _rows(key, value, found[inner]["properties"], found, items)
        else:
            yield key, _value(value), described(schema, found)


def _alike(value: Any, fields: Schema) -> str | None:
    """Return the definition that all keys of the mapping `value` share; None if there is none."""
    if not isinstance(value, Mapping) or len(value) < 2 or not all(isinstance(one, Mapping) for one in value.values()):
        return None
    shared = {referred(fields.get(name, {})) for name in value}
    return shared.pop() if len(shared) == 1 else None


def _at(config: Mapping[str, Any], key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return _ABSENT
        node = node[part]
    return node


def _value(value: Any) -> str:
    """Return a value as it is typed; a long one is shortened."""
    if value == "???":
        return "(required)"
    text = plain(value)
    if len(text) <= VALUE:
        return text
    return "{...}" if isinstance(value, Mapping) else "[...]" if isinstance(value, list) else f"{text[: VALUE - 3]}..."


def _brief(text: str) -> str:
    """Return a description, or its first sentence if it is long."""
    if len(text) <= TEXT:
        return text
    end = _SENTENCE.search(text)
    return text[: end.end()] if end else text


def _usage(command: str, told: Page, width: int) -> str:
    words = ["usage: gra", command, *_bracketed(told.usage)]
    words += [f"[{name}]" for name, _ in told.words]
    flags = [flag for flag, _ in told.flags if not any(other.startswith(f"{flag} ") for other, _ in told.flags)]
    optional = {flag for flag, _ in told.flags if flag not in flags}
    for flag in flags:
        name, _, value = flag.partition(" ")
        words.append(f"[{name} [{value}]]" if name in optional else f"[{flag}]")
    words += [f"[{flag}]" for flag, _ in HYDRA_FLAGS[:-1]]
    return _filled(words, width, "  ", "")


def _bracketed(text: str) -> list[str]:
    return re.findall(r"\[[^\]]*\]\S*|\S+", text)


def _groups(groups: Iterable[str], made: Composed) -> list[tuple[str, str]]:
    marked = {g: [f"{o}*" if o == made.chosen.get(g) else o for o in made.options[g]] for g in groups}
    return [(group, ", ".join(options)) for group, options in marked.items()]


def _keys(told: Page, made: Composed, width: int) -> Iterator[str]:
    chain = told.app == "chain"
    rows = list(key_rows(told.app, made.config, chain))
    notes = ["docs/configuration.md has types, full descriptions and the keys not set here (add one with +KEY=VALUE)."]
    if chain:
        notes.append("For the keys of a stage's groups, run gra synthesize, probe, refine, train or eval with --help.")
    if any("(NS" in text for block in rows for _, _, text in block):
        notes.append("(NS): no source states this value; it is a choice of this project.")
    if any("${" in value for block in rows for _, value, _ in block):
        notes.append("${KEY}: the value of KEY.")
    heading = "keys (KEY=VALUE; the values are those of the groups chosen above):"
    yield "\n".join([heading, *(_wrapped(note, width - 2, "  ", "  ") for note in notes)])
    blocks = [[(f"{key}={value}" if value else key, _brief(text)) for key, value, text in block] for block in rows]
    blocks[0] += told.words
    for block in blocks:
        if block:
            yield "\n".join(_row(*row, width) for row in block)


def _section(heading: str, rows: Iterable[tuple[str, str]], width: int) -> str:
    rows = list(rows)
    left = max(len(name) for name, _ in rows)
    return "\n".join([f"{heading}:", *(_row(name, text, width, left) for name, text in rows)])


def _row(left: str, text: str, width: int, column: int = LEFT) -> str:
    """Return `left` with its text beside it, or below it where `left` is longer than its column."""
    column = min(column, width * 3 // 8)
    lines = textwrap.wrap(text, width - column - 4, break_long_words=False, break_on_hyphens=False) or [""]
    if len(left) > column:
        lines.insert(0, "")
    if len(left) + 2 > width:
        left = left.replace("=", "=\n      ", 1)
    beside = [f"  {left if not n else '':<{column}}  {line}".rstrip() for n, line in enumerate(lines)]
    return "\n".join(beside)


def _example(comment: str, command: str, width: int) -> str:
    words = ["gra", *_WORD.findall(command)]
    typed = _filled(words, width, "      ", "  ", " \\")
    return "\n".join([_wrapped(f"# {comment}", width - 2, "# ", "  "), typed])


def _filled(words: Sequence[str], width: int, further: str, first: str, end: str = "") -> str:
    """Return the words on lines of at most `width` characters; a line that continues ends with `end`."""
    lines = [first + words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) + len(end) > width:
            lines[-1] += end
            lines.append(further + word)
        else:
            lines[-1] += f" {word}"
    return "\n".join(lines)


def _wrapped(text: str, width: int, further: str = "", before: str = "") -> str:
    lines = textwrap.wrap(text, width, subsequent_indent=further, break_long_words=False, break_on_hyphens=False)
    return "\n".join(before + line for line in lines)
