"""Settings and checks of the config group `pool`: the models and where they run (conf/pool/*.yaml).

A backend's module can define a class `PoolSettings`, a subclass of `PoolBase` with the backend's own keys. If the
module of a user's backend has no such class, only the keys of `PoolBase` are checked. Settings that change only speed
belong to the group `runtime`: changing them does not make a finished step run again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator

from gra import secret_patterns
from gra.errors import ConfigError, Problem
from gra.models.base import Backend
from gra.models.energy import EnergySettings
from gra.settings import Settings, parse
from gra.targets import module_of, today
from gra.weights.spec import Weights

Target = Callable[[dict[str, Any], dict[str, Any]], Backend]
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ModelSettings(Settings):
    """One model of the pool. A plain string in `pool.models` is short for `{name: STRING}`."""

    name: str = Field(min_length=1, description="Name of the model in roles, statistics and tables.")
    model: str | None = Field(
        None,
        min_length=1,
        description="Id of the model at its server, or (local backends) its folder or hub id; null: `name`.",
    )
    base_url: str | list[str] | None = Field(
        None, description="URL of the model's server, or several; null: `pool.base_url`."
    )
    revision: str | None = Field(
        None, description="Hub revision. Local backends load it; with servers it is only recorded; null: the newest."
    )
    dtype: str | None = Field(
        None,
        description="dtype of the weights, e.g. bfloat16. Local backends load it; with servers it is only recorded; null: the "
        "pool's `dtype`, or as saved.",
    )
    system_role: bool = Field(
        True,
        description="true: the chat template accepts a system message; false (e.g. Gemma 2): the system message is prepended to "
        "the first user message.",
    )
    weights: Weights | None = Field(
        None,
        description="Weight file that `gra fetch models` downloads and `pool.serve` starts a server on; null: none.",
    )
    parameters: float | None = Field(
        None,
        gt=0,
        description="Number of (active) parameters in billions, for the estimate of the compute; null: unknown.",
    )

    @property
    def served(self) -> str:
        """The model's id at its server or, without a server, its folder or hub id."""
        return self.model or self.name


class PoolBase(Settings):
    """Keys that every pool has."""

    by_turns: ClassVar[bool] = False  # models are loaded one after the other (time_sharing): `gra plan` shows the swaps
    target: str = Field(
        alias="_target_", description="Dotted path of the backend's function `connect(pool, runtime) -> Backend`."
    )
    models: list[ModelSettings] = Field(
        min_length=1, description="The models: names, or mappings with the keys of `pool.models.*`."
    )
    simulated: bool = Field(False, description="true: label everything made with this pool as simulated.")
    energy: EnergySettings | None = Field(
        None, description="Assumptions of the energy estimate; null: no energy is estimated."
    )

    @field_validator("models", mode="before", json_schema_input_type=list[str | ModelSettings])
    @classmethod
    def _spell_out(cls, value: Any) -> Any:
        return [{"name": v} if isinstance(v, str) else v for v in value] if isinstance(value, list | tuple) else value

    def problems(self) -> list[Problem]:
        """Return the faults that involve several keys or several models, e.g. a name that two models have."""
        names = [model.name for model in self.models]
        twice = sorted({name for name in names if names.count(name) > 1})
        return [
            Problem("pool.models", f"`{name}` is listed more than once", "give each model a different name")
            for name in twice
        ]


class ModelRuntime(Settings):
    """Keys of `runtime` that the models' backend reads. They change speed, never a reply."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_default=True)

    per_model: int | None = Field(None, ge=1, description="Limit on calls in flight per model; null: no limit.")
    per_server: int | None = Field(
        None, ge=1, description="Limit on calls in flight per server; null: adapted to the server's load."
    )
    timeout_s: float = Field(
        120.0,
        gt=0,
        description="A call times out, and is retried, if it takes more than `timeout_s` + `timeout_per_token_s` x max_tokens "
        "seconds and its server has answered no other call meanwhile (conf/pool/servers.yaml).",
    )
    timeout_per_token_s: float = Field(
        0.1,
        ge=0,
        description="Seconds added to `timeout_s` for each token that the call's reply may have. 0.1 allows for a speed of ten "
        "tokens per second.",
    )
    connect_timeout_s: float = Field(10.0, gt=0, description="Longest wait for a connection, in seconds.")
    retries: int = Field(
        8,
        ge=0,
        description="Limit on retries of a failed call. If the call's server answers other calls, the "
        "request itself is at fault, and a lower limit applies.",
    )
    give_up_after_s: float = Field(
        600.0,
        ge=0,
        description="The run ends with an error if no server of a model has answered for this many seconds.",
    )
    startup_wait_s: float = Field(
        60.0, ge=0, description="Longest wait at the start, in seconds, until each model has a server that answers."
    )
    log_folder: str | None = Field(
        None, description="Folder of the logs of servers that `pool.serve` starts; null: `servers` in the output."
    )


def model_names(pool: Mapping[str, Any]) -> list[str]:
    """Return the names of the models in `pool.models`. The pool need not be valid. An entry without a name is left
    out."""
    models = pool.get("models")
    named = [m.get("name") if isinstance(m, Mapping) else m for m in models] if isinstance(models, list | tuple) else []
    return [name for name in named if isinstance(name, str)]


P = TypeVar("P", bound="PoolBase")


def parsed(model: type[P], pool: Mapping[str, Any], runtime: Mapping[str, Any]) -> tuple[P, ModelRuntime]:
    """Validate the config groups `pool` and `runtime`, and return them as settings objects. The first is an instance of
    the class `model`, the second a `ModelRuntime`. Raises ConfigError with all faults."""
    settings, problems = parse(model, pool, "pool")
    speed, more = parse(ModelRuntime, runtime, "runtime")
    problems += more + (settings.problems() if settings else [])
    if settings is None or speed is None or problems:
        raise ConfigError(problems)
    return settings, speed


def load_target(pool: Mapping[str, Any]) -> Target:
    """Return the callable that `pool._target_` names. Raises ConfigError if there is none."""
    found = _import_target(pool.get("_target_"))
    if isinstance(found, Problem):
        raise ConfigError([found])
    return found[1]


def connect(pool: Mapping[str, Any], runtime: Mapping[str, Any]) -> Backend:
    """Return the backend of a valid pool. The caller opens it. Raises ConfigError if the function that `pool._target_`
    names cannot be imported, or does not return a backend."""
    backend = load_target(pool)(dict(pool), dict(runtime))
    needed = ("models", "simulated", "capabilities", "chat")
    # look at the class first: the property `capabilities` may fail before the backend is open
    missing = [name for name in needed if not hasattr(type(backend), name) and not hasattr(backend, name)]
    if missing:
        what = f"`{pool['_target_']}` returned a {type(backend).__name__} without {', '.join(missing)}"
        remedy = "let its class inherit from gra.models.base.Backend, which describes them"
        raise ConfigError([Problem("pool._target_", what, remedy)])
    return backend


def takes_turns(pool: Mapping[str, Any]) -> bool:
    """Return whether the pool's models are loaded one after the other. Return False if the pool's backend cannot be
    found."""
    target = _import_target(pool.get("_target_"))
    return not isinstance(target, Problem) and _settings_class(target[0]).by_turns


def settings_of(pool: Mapping[str, Any]) -> PoolBase | None:
    """Return the pool as an instance of the `PoolSettings` of its backend. Return None if the pool is invalid or its
    backend is unknown."""
    target = _import_target(pool.get("_target_"))
    if isinstance(target, Problem):
        return None
    settings_class = _settings_class(target[0])
    return parse(settings_class, _own_keys(pool, settings_class), "pool")[0]


def _settings_class(module: ModuleType) -> type[PoolBase]:
    """Return the `PoolSettings` of a backend's module; PoolBase if it declares none."""
    found: type[PoolBase] = vars(module).get("PoolSettings", PoolBase)
    return found


def _own_keys(pool: Mapping[str, Any], settings_class: type[PoolBase]) -> Mapping[str, Any]:
    """Return the keys of a pool to check: only the common ones if the user's backend has no `PoolSettings`, else all."""
    return pool if settings_class is not PoolBase else common_keys(pool)


def common_keys(pool: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of `pool` that every kind of pool has. These are the keys of `PoolBase`."""
    common = {field.alias or name for name, field in PoolBase.model_fields.items()}
    return {key: value for key, value in pool.items() if key in common}


def check_pool(pool: Mapping[str, Any] | Any, runtime: Mapping[str, Any] | Any) -> list[Problem]:
    """Return all faults of the groups `pool` and `runtime` that can be found without connecting to a server. The
    messages never contain secrets."""
    if not isinstance(pool, Mapping):
        return parse(PoolBase, pool, "pool")[1] + parse(ModelRuntime, runtime, "runtime")[1]
    secrets = list(_secrets(pool, "pool"))
    unset = [key for key, value in _leaves(pool, "pool") if value == "???"]
    remedy = "put it into an environment variable and set pool.api_key_env to the variable's name"
    problems = [Problem(key, "the config contains a secret key", remedy) for key in secrets]
    problems += [Problem(key, "required, but not set", f"set {key}=VALUE") for key in unset]
    seen = (*secrets, *unset)
    target = _import_target(pool.get("_target_"))
    settings_class, faults = (PoolBase, [target]) if isinstance(target, Problem) else (_settings_class(target[0]), [])
    settings, more = parse(settings_class, _own_keys(pool, settings_class), "pool")
    faults += more + (settings.problems() if settings else [])
    faults += parse(ModelRuntime, runtime, "runtime")[1]
    return problems + [f for f in faults if not any(_same_place(f.key, key) for key in seen)]


def url_problem(key: str, url: str) -> Problem | None:
    """Return a Problem if `url` is not a valid base URL of a server, else None. The message never contains
    credentials."""
    try:
        parts = urlsplit(url)
        has_host, credentials = bool(parts.hostname) and (parts.port or 1) > 0, parts.username or parts.password
    except ValueError:
        return Problem(key, "not a URL", "write it as http://HOST:PORT/v1")
    if credentials is not None:
        return Problem(
            key, "the URL contains a user name or password", "use an environment variable, see pool.api_key_env"
        )
    if parts.scheme not in ("http", "https") or not has_host:
        return Problem(key, f"not an http(s) URL: {url!r:.120}", "write it as http://HOST:PORT/v1")
    if parts.query or parts.fragment:
        return Problem(key, f"the URL has a query or fragment: {parts.netloc}", "write it as http://HOST:PORT/v1")
    if parts.path.rstrip("/").endswith("/chat/completions"):
        return Problem(
            key, "the URL ends in /chat/completions, which is appended to it", "write it as http://HOST:PORT/v1"
        )
    return None


def variable_problem(key: str, name: str) -> Problem | None:
    """Return a Problem if `name` is not the name of an environment variable. Such a name is probably the API key
    itself, so the Problem does not repeat it."""
    if _VARIABLE.fullmatch(name) and not secret_patterns.is_value(name):
        return None
    remedy = "put the key into a variable and give its NAME, e.g. OPENAI_API_KEY"
    return Problem(key, "not the name of an environment variable", remedy)


def _import_target(path: Any) -> tuple[ModuleType, Target] | Problem:
    key = "pool._target_"
    if not isinstance(path, str) or "." not in path:
        return Problem(key, f"not a dotted path: {path!r:.120}", "e.g. pool._target_=gra.models.openai.backend.connect")
    module_name = today(path).rpartition(".")[0]
    try:
        module, name = module_of(path)
    except ImportError as error:
        return Problem(
            key, f"cannot import {module_name}: {error}", "correct the path, or install the module's dependencies"
        )
    target = getattr(module, name, None)
    if not callable(target):
        return Problem(
            key, f"{module_name} has no callable `{name}`", "give a function `connect(pool, runtime) -> Backend`"
        )
    return module, target


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{index}")
    else:
        yield path, value


def _secrets(pool: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield the dotted keys of literal secrets, recognised by the key's name or the value's form."""
    for key, value in _leaves(pool, path):
        if not isinstance(value, str) or value == "???" or key == "pool.api_key_env":
            continue
        name = key.rpartition(".")[2]
        if secret_patterns.is_name(name) or name.lower() == "key" or secret_patterns.is_value(value):
            yield key


def _same_place(key: str, known: str) -> bool:
    return key == known or key.startswith(f"{known}.") or known.startswith(f"{key}.")
