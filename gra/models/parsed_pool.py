"""The `pool` of a config, parsed once: what the stages read of it, and its backend for all or some of its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gra.errors import ConfigError
from gra.models.base import Backend
from gra.models.identity import served_as
from gra.models.pool import PoolBase, common_keys, connect, takes_turns
from gra.settings import parse

BY_MODEL = ("base_url", "serve.gpus_per_model")  # keys of a pool that can be mappings from a model's name


@dataclass(frozen=True)
class ParsedPool:
    """The keys that every pool has, and what follows from the others.

    served       for each model, the hash of its settings that can change a reply (`gra.models.identity.served_as`)
    by_turns     whether the models are loaded one after the other
    strip_think  whether reasoning is removed from replies
    """

    settings: PoolBase
    served: Mapping[str, str]
    by_turns: bool
    strip_think: bool
    # as configured: a backend can be the user's own, and `connect` parses its own keys
    _pool: Mapping[str, Any] = field(repr=False)
    _runtime: Mapping[str, Any] = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the models, in the pool's order."""
        return tuple(model.name for model in self.settings.models)

    @property
    def parameters(self) -> dict[str, float | None]:
        """Billions of parameters of each model; None if not configured."""
        return {model.name: model.parameters for model in self.settings.models}

    def backend(self, names: Sequence[str], log_folder: Path) -> Backend:
        """The backend for the models `names`, not yet open. `log_folder`: for logs of servers started here, unless `runtime` names
        one. Raises ConfigError."""
        runtime = {**self._runtime, "log_folder": self._runtime.get("log_folder") or str(log_folder)}
        return connect(_reduced(self._pool, names), runtime)


def parsed_pool(pool: Mapping[str, Any], runtime: Mapping[str, Any]) -> ParsedPool:
    """A pool that `check_pool` accepts, or that it accepted where its backend is installed. Raises ConfigError if the keys that
    every pool has are faulty."""
    settings, problems = parse(PoolBase, common_keys(pool), "pool")
    if settings is None:
        raise ConfigError(problems)
    # a backend without the key leaves reasoning to this project
    keeps_thoughts = pool.get("strip_think") is False
    return ParsedPool(settings, served_as(pool), takes_turns(pool), not keeps_thoughts, dict(pool), dict(runtime))


def _reduced(pool: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """`pool` with the models `names` alone."""
    reduced = _without_entries(pool, [key.split(".") for key in BY_MODEL], set(names))
    models = [model for model in pool["models"] if (model if isinstance(model, str) else model["name"]) in names]
    return {**reduced, "models": models}


def _without_entries(here: Any, paths: Sequence[Sequence[str]], names: set[str]) -> Any:
    """`here` with only the entries of `names` in the mappings at `paths` below it."""
    if not isinstance(here, Mapping):
        return here
    if [] in paths:
        return {name: value for name, value in here.items() if name in names}
    below = {key: [path[1:] for path in paths if path[0] == key] for key in {path[0] for path in paths}}
    return {key: _without_entries(value, below[key], names) if key in below else value for key, value in here.items()}
