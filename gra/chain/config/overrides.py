"""Checks all overrides of a command line and reports every fault. Hydra stops at the first unknown key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra import spelling
from gra.chain.config.kinds import wrong_kinds
from gra.chain.config.unknown import listed
from gra.chain.store.fingerprint import leaves
from gra.errors import Problem
from gra.paths import conf_dir

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

WHERE = "command line"
UNKNOWN = "unknown key"
TOGETHER = "(all overrides together)"


def check_overrides(
    config_name: str, overrides: Sequence[str], config_dir: str | None = None
) -> tuple[list[Problem], list[str] | None]:
    """Return a problem for each override that cannot be applied, and a list of the overrides that can be applied.

    An override is a change key=value of the config `config_name`. Each problem has a suggestion. The list lets the
    caller compose the config without the faulty overrides, and check the rest of the config. If the config cannot be
    composed in this way, for example because an override chooses a file that does not exist, the list is None.
    `config_dir`: a folder with the user's YAML files (Hydra's --config-dir), which take precedence over conf/.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    problems: list[Problem] = []
    parsed: list[Override] = []
    parser = OverridesParser.create()
    for text in overrides:
        try:
            parsed.append(parser.parse_override(text))
        except HydraException as error:
            remedy = "write it as key=value; quote it if it has brackets or spaces, which the shell would interpret"
            problems.append(Problem(text, _message(error), remedy, WHERE))
    with _composer(config_name, config_dir) as compose:
        groups = [o for o in parsed if _is_group(o, compose.loader)]
        values = [o for o in parsed if o not in groups]
        # Composing takes most of a command's start-up time: if all overrides compose together, none is tried alone
        sound = not problems and not compose.faults(TOGETHER, [_single(o) for o in (*groups, *values)], [])

        def tried(override: Override, known: Sequence[str] = ()) -> list[Problem]:
            alone = not sound or override.is_sweep_override()
            return list(_faults(compose, kept, override, known)) if alone else []

        kept: list[str] = []
        for override in groups:
            faults = tried(override)
            problems += faults
            if not faults:
                kept.append(_single(override))
        whole = len(kept) == len(groups)
        good = [str(override.input_line) for override in groups]
        base, choices = compose.config(kept)
        known = list(dotted_keys(base))
        for override in values:
            faults = tried(override, known) or _wrong_kinds(override, base, choices, config_name)
            # if a group (e.g. an experiment) could not be loaded, its keys look unknown although they are correct
            good += [] if faults else [str(override.input_line)]
            problems += [
                p for p in faults if whole or not p.message.startswith(UNKNOWN) or p.remedy.startswith("did you mean")
            ]
        if not sound and not problems:
            problems = compose.faults(TOGETHER, [*kept, *(_single(o) for o in values)], [])
            whole = not problems
    return problems, good if whole else None


@dataclass(frozen=True)
class Composed:
    """A config composed for a help page.

    `config`: the config, before its `${...}` are resolved.
    `chosen`: config group -> chosen option.
    `options`: config group -> all options of the group.
    `problems`: the faults of the overrides that were left out.
    """

    config: dict[str, Any]
    chosen: dict[str, str | None]
    options: dict[str, list[str]]
    problems: list[Problem]


def compose_sound(
    config_name: str, overrides: Sequence[str], groups: Sequence[str], config_dir: str | None = None
) -> Composed:
    """Return the config `config_name`, composed without the overrides that cannot be applied.

    If an override has several values (a sweep), its first value is used.
    `groups`: config groups. The result's field `options` maps each of these groups to the names of all its options.
    `config_dir`: a folder with further options of the user.
    """

    def composed(words: Sequence[str]) -> tuple[dict[str, Any], dict[str, str | None], dict[str, list[str]]]:
        with _composer(config_name, config_dir) as compose:
            return *compose.config(list(words)), {group: sorted(_options(compose.loader, group)) for group in groups}

    problems: list[Problem] = []
    config, chosen, options = composed(overrides)
    if not config:  # an override is faulty. Without a fault, the config is composed only once, since that is slow
        problems, good = check_overrides(config_name, overrides, config_dir)
        faulty = {problem.key for problem in problems}
        left = [word for word in overrides if not {word, word.partition("=")[0].strip("+~")} & faulty]
        config, chosen, options = composed(_first_values(left if good is None else good))
    if not config:
        config, chosen, options = composed([])
    return Composed(config, chosen, options, problems)


def _options(loader: Any, group: str) -> Iterator[str]:
    """Yield the options of a group, those in its subfolders as `folder/option`."""
    from hydra.core.object_type import ObjectType

    yield from loader.get_group_options(group, ObjectType.CONFIG)
    for inner in loader.get_group_options(group, ObjectType.GROUP):
        yield from (f"{inner}/{name}" for name in _options(loader, f"{group}/{inner}"))


def _first_values(overrides: Sequence[str]) -> list[str]:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create()
    return [_single(parser.parse_override(text)) for text in overrides]


class _Composer:
    """Composes one config with different overrides. Returns faults as Problems."""

    def __init__(self, config_name: str, loader: Any):
        self._config_name, self.loader = config_name, loader

    def faults(self, key: str, overrides: list[str], known: Sequence[str]) -> list[Problem]:
        """Return [] if the config can be composed with these overrides. Otherwise return one problem, which names
        `key`.

        `known`: the dotted keys that exist. If `key` is misspelt, the problem suggests one of them.
        """
        from hydra import compose
        from hydra.errors import HydraException
        from yaml import YAMLError

        try:
            compose(self._config_name, overrides=overrides)
        except (
            HydraException,
            YAMLError,
            ValueError,
            TypeError,
        ) as error:  # OmegaConf raises ValueErrors, Hydra also other errors
            return [_problem(key, error, known, sorted(_options(self.loader, key)))]
        return []

    def config(self, overrides: list[str]) -> tuple[dict[str, Any], dict[str, str | None]]:
        """Return the composed config, whose `${...}` are not resolved, and the chosen option of each group.

        If the config cannot be composed, both are empty.
        """
        from hydra import compose
        from hydra.errors import HydraException
        from omegaconf import OmegaConf
        from yaml import YAMLError

        try:
            composed = compose(self._config_name, overrides=overrides, return_hydra_config=True)
            choices = {str(group): choice for group, choice in composed.hydra.runtime.choices.items()}
            config = OmegaConf.to_container(composed, resolve=False)
        except (HydraException, YAMLError, ValueError, TypeError):
            return {}, {}
        assert isinstance(config, dict)
        return {str(key): value for key, value in config.items() if key != "hydra"}, choices


def dotted_keys(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the dotted key of every value and of every mapping in a config, such as `synthesis.tau` and `synthesis`."""
    seen: set[str] = set()
    for leaf, _ in leaves(config):
        parts = leaf.split(".")
        for end in range(1, len(parts) + 1):
            key = ".".join(parts[:end])
            if key not in seen:
                seen.add(key)
                yield key


def _wrong_kinds(
    override: Override, base: Mapping[str, Any], choices: Mapping[str, str | None], config_name: str
) -> list[Problem]:
    """Return the fault of an override whose value has the wrong type: it replaces a mapping, or is not a folder name."""
    if override.is_delete() or override.is_sweep_override():
        return []
    changed: Any = override.value()
    for part in reversed(override.key_or_group.split(".")):
        changed = {part: changed}
    found = wrong_kinds(_merged(base, changed), choices, listed(config_name))
    return [replace(problem, file=WHERE) for problem in found if problem.key == override.key_or_group]


def _merged(base: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(base[key], value)
        for key, value in changed.items()
        if isinstance(value, dict) and _is_in(base, key)
    }
    return {**base, **changed, **both}


def _is_in(base: Mapping[str, Any], key: str) -> bool:
    return isinstance(base.get(key), Mapping)


@contextmanager
def _composer(config_name: str, config_dir: str | None) -> Iterator[_Composer]:
    from hydra import initialize_config_dir
    from hydra.core.config_search_path import SearchPathQuery
    from hydra.core.global_hydra import GlobalHydra

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        if config_dir:
            place = SearchPathQuery(provider="schema")  # the position at which Hydra itself inserts it
            loader.get_search_path().prepend("command-line", f"file://{Path(config_dir).resolve()}", place)
            loader.repository.initialize_sources(loader.get_search_path())  # type: ignore[attr-defined]
        yield _Composer(config_name, loader)


def _is_group(override: Override, loader: Any) -> bool:
    return bool(loader.repository.group_exists(override.key_or_group))


def _faults(compose: _Composer, kept: list[str], override: Override, known: Sequence[str] = ()) -> Iterator[Problem]:
    """Yield the faults of one override, applied after the good ones. Each value of a sweep is tried."""
    for text in _each(override):
        yield from compose.faults(override.key_or_group, [*kept, text], known)


def _each(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [str(override.input_line)]
    try:
        values = list(override.sweep_string_iterator())
    except (TypeError, ValueError):  # e.g. an endless range, which Hydra reports
        return []
    return list(dict.fromkeys(f"{override.get_key_element()}={value}" for value in values[:100]))


def _single(override: Override) -> str:
    return next(iter(_each(override)), str(override.input_line))


def _problem(key: str, error: Exception, known: Sequence[str], names: Sequence[str]) -> Problem:
    """Return the fault of an override. `known`: the dotted keys that exist; `names`: the options of the group `key`, the user's
    own included."""
    text = _message(error)
    if "Could not override" in text or "is not in struct" in text or "Could not append" in text:
        if "Could not append" in text and key in known:
            return Problem(key, "`+` adds a key, but this one already exists", f"leave out the `+`: {key}=VALUE", WHERE)
        parent, _, last = key.rpartition(".")
        near = _near(key, last, known)
        if near:
            return Problem(key, UNKNOWN, f"did you mean {' or '.join(f'`{k}`' for k in near)}?", WHERE)
        siblings = [k.rpartition(".")[2] for k in known if k.rpartition(".")[0] == parent]
        if not siblings and parent in known:
            return Problem(key, f"{UNKNOWN}: this mapping is empty", f"to add the key, write +{key}=VALUE", WHERE)
        remedy = f"known keys here: {', '.join(siblings)}" if siblings else "`--cfg job` lists all keys"
        return Problem(key, UNKNOWN, remedy, WHERE)
    if "Config group override must be" in text or isinstance(error, TypeError):
        return Problem(key, "an option of this group is expected here", f"one of: {', '.join(names)}", WHERE)
    options = re.search(
        r"Could not find '([^']*)'\s+Available options in '[^']*':\s*(.*?)\s*(Config search path|$)", str(error), re.S
    )
    unloaded = re.search(r"Could not load '([^']*)'", str(error))  # one of several: +arms=[gra,refned]
    if options or unloaded:
        wanted = options.group(1) if options else unloaded.group(1) if unloaded else ""
        names = sorted({*(options.group(2).split() if options else ()), *names})
        near = spelling.near(wanted.removeprefix(f"{key}/"), names) or spelling.near(wanted.rpartition("/")[2], names)
        hint = f"did you mean {key}={near[0]}? " if near else ""
        own = "" if near else f"; one of your own: --config-dir DIR, with DIR/{key}/NAME.yaml"
        return Problem(key, f"there is no {wanted}", f"{hint}One of: {', '.join(names)}{own}", WHERE)
    return Problem(key, text, "`--help` lists the groups, `--cfg job` the keys", WHERE)


def _near(key: str, last: str, known: Sequence[str]) -> list[str]:
    """Return the known keys that `key` probably means: a similar key, else up to three keys whose last part is similar."""
    found = spelling.near(key, known, cutoff=0.8)
    if found:
        return found
    tails = spelling.near(last, sorted({k.rpartition(".")[2] for k in known}), cutoff=0.85)
    return [k for k in known if k.rpartition(".")[2] in tails][:3]


def _message(error: Exception) -> str:
    """Return the first two non-empty lines of a Hydra error, joined."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] if lines else repr(error)
