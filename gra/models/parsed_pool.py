"""Parses the group `pool` of a config once, for the stages. The result holds the values that a stage reads, and makes
the backend for all or some of the models."""

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

_SERVERS = "gra.models.openai."
_NO_READERS = ("gra.models.time_sharing.vllm", "gra.models.time_sharing.servers")
BY_MODEL = ("base_url", "serve.gpus_per_model")  # keys of a pool whose value can be a mapping from model names


@dataclass(frozen=True)
class ParsedPool:
    """The config group `pool` after it was parsed.

    settings     the keys that every kind of pool has
    served       for each model, the hash of the settings that can change its replies (`gra.models.identity.served_as`)
    by_turns     whether the models are loaded one after the other
    strip_think  whether reasoning is removed from replies
    """

    settings: PoolBase
    served: Mapping[str, str]
    by_turns: bool
    strip_think: bool
    # unparsed, because `connect` parses the backend's own keys, and the backend can be the user's
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

    def weights_of(self, name: str) -> str:
        """Return the sha256 of a model's weights. If the pool does not state it, return the model's name."""
        model = next(one for one in self._pool["models"] if (one if isinstance(one, str) else one["name"]) == name)
        weights = model.get("weights") if isinstance(model, Mapping) else None
        return str(weights["sha256"]) if isinstance(weights, Mapping) and weights.get("sha256") else name

    @property
    def reads_texts(self) -> bool:
        """Whether the models can tell how likely a given text is (`Request.forced`). Models behind servers cannot,
        unless the servers run llama.cpp from the Python package xllamacpp. A llama.cpp server that was built without
        LLGuidance exits when it gets such a request. For a backend that the user wrote, the property is true without a
        check."""
        target, serve = str(self._pool.get("_target_", "")), self._pool.get("serve")
        if target.startswith(_SERVERS):
            requires = serve.get("requires") if isinstance(serve, Mapping) else None
            return isinstance(requires, Mapping) and "xllamacpp" in requires
        return not target.startswith(_NO_READERS)

    def backend(self, names: Sequence[str], log_folder: Path) -> Backend:
        """Return the backend for the models `names`. The caller opens it. If the backend starts servers, it writes
        their logs to the folder of the config key `runtime.log_folder` or, if it is not set, to the argument
        `log_folder`. Raises ConfigError."""
        runtime = {**self._runtime, "log_folder": self._runtime.get("log_folder") or str(log_folder)}
        return connect(_reduced(self._pool, names), runtime)


def parsed_pool(pool: Mapping[str, Any], runtime: Mapping[str, Any]) -> ParsedPool:
    """Return the parsed form of the config group `pool`. `check_pool` must have accepted the group before, perhaps on
    another machine.

    Only the keys that every kind of pool has are checked here, because the pool's backend may not be installed on this
    machine. Raises ConfigError if one of these keys is faulty.
    """
    settings, problems = parse(PoolBase, common_keys(pool), "pool")
    if settings is None:
        raise ConfigError(problems)
    # if a backend does not have the key, GRA removes the reasoning
    keeps_thoughts = pool.get("strip_think") is False
    return ParsedPool(settings, served_as(pool), takes_turns(pool), not keeps_thoughts, dict(pool), dict(runtime))


def _reduced(pool: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return `pool` with only the models `names`."""
    reduced = _without_entries(pool, [key.split(".") for key in BY_MODEL], set(names))
    models = [model for model in pool["models"] if (model if isinstance(model, str) else model["name"]) in names]
    return {**reduced, "models": models}


def _without_entries(here: Any, paths: Sequence[Sequence[str]], names: set[str]) -> Any:
    """Return `here`. Its mappings at the key paths `paths` keep only the entries of `names`."""
    if not isinstance(here, Mapping):
        return here
    if [] in paths:
        return {name: value for name, value in here.items() if name in names}
    below = {key: [path[1:] for path in paths if path[0] == key] for key in {path[0] for path in paths}}
    return {key: _without_entries(value, below[key], names) if key in below else value for key, value in here.items()}
