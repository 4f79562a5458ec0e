"""All faults of a command line at once. Hydra itself stops at the first key that it does not know."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.chain.fingerprint import leaves
from gra.chain.kinds import group_options, wrong_kinds
from gra.chain.unknown import listed
from gra.errors import Problem
from gra.paths import conf_dir

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

WHERE = "command line"
UNKNOWN = "unknown key"


def check_overrides(
    config_name: str, overrides: Sequence[str], config_dir: str | None = None
) -> tuple[list[Problem], list[str] | None]:
    """Every override that cannot be applied to the config `config_name`, with what was probably meant.

    Also the overrides that can be applied, so that the rest of the config can be checked, or None where that makes no sense (a
    group that does not exist). `config_dir`: a folder of the user's own YAML files, searched first (Hydra's --config-dir).
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
            remedy = "write it as key=value, in quotes where the shell would take the brackets or spaces for its own"
            problems.append(Problem(text, _message(error), remedy, WHERE))
    with _composer(config_name, config_dir) as compose:
        groups = [o for o in parsed if _is_group(o, compose.loader)]
        values = [o for o in parsed if o not in groups]
        kept: list[str] = []
        for override in groups:
            faults = list(_faults(compose, kept, override))
            problems += faults
            if not faults:
                kept.append(_single(override))
        whole = len(kept) == len(groups)
        good = [str(override.input_line) for override in groups]
        base, choices = compose.config(kept)
        known = list(_keys(base))
        for override in values:
            faults = list(_faults(compose, kept, override, known)) or _wrong_kinds(override, base, choices, config_name)
            # without the experiment, say, that could not be loaded, many a good key is unknown
            good += [] if faults else [str(override.input_line)]
            problems += [p for p in faults if whole or not p.message.startswith(UNKNOWN) or p.remedy.startswith("did you mean")]
        if not problems:
            problems = compose.faults("(all overrides together)", [*kept, *(_single(o) for o in values)], [])
            whole = not problems
    return problems, good if whole else None


class _Composer:
    """Composes one config again and again; faults come back as Problems."""

    def __init__(self, config_name: str, loader: Any):
        self._config_name, self.loader = config_name, loader

    def faults(self, key: str, overrides: list[str], known: Sequence[str]) -> list[Problem]:
        """What is wrong with these overrides: [] or one problem, under `key`."""
        from hydra import compose
        from hydra.errors import HydraException
        from yaml import YAMLError

        try:
            compose(self._config_name, overrides=overrides)
        except (HydraException, YAMLError, ValueError, TypeError) as error:  # OmegaConf's are ValueErrors; Hydra has others, too
            return [_problem(key, error, known)]
        return []

    def config(self, overrides: list[str]) -> tuple[dict[str, Any], dict[str, str | None]]:
        """The composed config, not resolved, and the option chosen of each group; nothing where it cannot be composed."""
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


def _keys(config: Mapping[str, Any]) -> Iterator[str]:
    """Every dotted key of a config, mappings included."""
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
    """What is wrong with the kind of an override's value, where it takes the place of a mapping or is no folder's name."""
    if override.is_delete() or override.is_sweep_override():
        return []
    changed: Any = override.value()
    for part in reversed(override.key_or_group.split(".")):
        changed = {part: changed}
    found = wrong_kinds(_merged(base, changed), choices, listed(config_name))
    return [replace(problem, file=WHERE) for problem in found if problem.key == override.key_or_group]


def _merged(base: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: _merged(base[key], value) for key, value in changed.items() if isinstance(value, dict) and _is_in(base, key)}
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
            place = SearchPathQuery(provider="schema")  # where Hydra itself puts it
            loader.get_search_path().prepend("command-line", f"file://{Path(config_dir).resolve()}", place)
            loader.repository.initialize_sources(loader.get_search_path())  # type: ignore[attr-defined]
        yield _Composer(config_name, loader)


def _is_group(override: Override, loader: Any) -> bool:
    return bool(loader.repository.group_exists(override.key_or_group))


def _faults(compose: _Composer, kept: list[str], override: Override, known: Sequence[str] = ()) -> Iterator[Problem]:
    """The faults of one override next to those known to be good; every value of a sweep is tried."""
    for text in _each(override):
        yield from compose.faults(override.key_or_group, [*kept, text], known)


def _each(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [str(override.input_line)]
    try:
        values = list(override.sweep_string_iterator())
    except (TypeError, ValueError):  # a range without end, say: Hydra will tell
        return []
    return list(dict.fromkeys(f"{override.get_key_element()}={value}" for value in values[:100]))


def _single(override: Override) -> str:
    return next(iter(_each(override)), str(override.input_line))


def _problem(key: str, error: Exception, known: Sequence[str]) -> Problem:
    text = _message(error)
    if "Could not override" in text or "is not in struct" in text or "Could not append" in text:
        parent, _, last = key.rpartition(".")
        near = _near(key, last, known)
        if near:
            return Problem(key, UNKNOWN, f"did you mean {' or '.join(f'`{k}`' for k in near)}?", WHERE)
        siblings = [k.rpartition(".")[2] for k in known if k.rpartition(".")[0] == parent]
        if not siblings and parent in known:
            return Problem(key, f"{UNKNOWN}: the mapping is empty so far", f"to add it, write +{key}=VALUE", WHERE)
        remedy = f"known keys here: {', '.join(siblings)}" if siblings else "`--cfg job` shows all keys"
        return Problem(key, UNKNOWN, remedy, WHERE)
    if "Config group override must be" in text or isinstance(error, TypeError):
        return Problem(key, "the name of one of its files is expected here", f"one of: {', '.join(group_options(key))}", WHERE)
    options = re.search(
        r"Could not find '([^']*)'\s+Available options in '[^']*':\s*(.*?)\s*(Config search path|$)", str(error), re.S
    )
    if options:
        asked, names = options.group(1), options.group(2).split()
        near = difflib.get_close_matches(asked.rpartition("/")[2], names, n=1)
        hint = f"did you mean {key}={near[0]}? " if near else ""
        return Problem(key, f"there is no {asked}", f"{hint}One of: {', '.join(names)}", WHERE)
    return Problem(key, text, "`--help` shows the groups and `--cfg job` the keys", WHERE)


def _near(key: str, last: str, known: Sequence[str]) -> list[str]:
    """The known keys that `key` probably stands for: one letter off, or the same last part elsewhere."""
    found = difflib.get_close_matches(key, known, n=1, cutoff=0.8)
    if found:
        return found
    tails = difflib.get_close_matches(last, sorted({k.rpartition(".")[2] for k in known}), n=1, cutoff=0.85)
    return [k for k in known if k.rpartition(".")[2] in tails][:3]


def _message(error: Exception) -> str:
    """The first lines of an error of Hydra's that say something, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] if lines else repr(error)
