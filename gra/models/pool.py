"""The `pool` config group: which models there are and where, checked whole before any work; conf/pool/*.yaml.

Each backend's module may export `PoolSettings`, a child of the class here with its own keys; a backend of your own that
exports none is only checked for what every pool has. What changes speed alone is `runtime`'s and outside the fingerprint.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator

from gra.errors import ConfigError, Problem
from gra.models.base import Backend
from gra.models.energy import EnergySettings
from gra.settings import Settings, parse
from gra.weights.spec import Weights

Target = Callable[[dict[str, Any], dict[str, Any]], Backend]
_SECRET_KEY = re.compile(r"(api_?key|key|(access_|hf_|auth_)?token|secret|password|authorization|bearer)", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"(\b(sk|gsk|pk|xai)-[\w-]{8,}|\bhf_\w{8,}|\bBearer\s+\S+)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ModelSettings(Settings):
    """One model of the pool. A plain string in `pool.models` is short for `{name: STRING}`."""

    name: str = Field(min_length=1, description="What roles, statistics and tables call it.")
    model: str | None = Field(None, min_length=1, description="What the server calls it, or a folder or hub id; null: `name`.")
    base_url: str | list[str] | None = Field(None, description="Its server(s); null: `pool.base_url` says.")
    revision: str | None = Field(None, description="Hub revision: transformers_local loads it; with servers a record only.")
    dtype: str | None = Field(None, description="As `revision`: float32, bfloat16, ...; null: as the weights were saved.")
    system_role: bool = Field(True, description="false (Gemma 2, ...): the system prompt goes before the user's first words.")
    weights: Weights | None = Field(None, description="Of a server started here: the file, and how `gra fetch models` gets it.")
    parameters: float | None = Field(None, gt=0, description="Billions, for the cost account; of experts, the active ones.")

    @property
    def served(self) -> str:
        """The model's id at its server, or its folder or hub id."""
        return self.model or self.name


class PoolBase(Settings):
    """What every pool has."""

    by_turns: ClassVar[bool] = False  # its models are loaded one after the other (phased.py): `gra plan` tells the swaps
    target: str = Field(alias="_target_", description="Dotted path of `connect(pool, runtime) -> Backend`.")
    models: list[ModelSettings] = Field(min_length=1, description="Names, or mappings with the keys of ModelSettings.")
    simulated: bool = Field(False, description="true: all that is made with this pool is labelled simulated.")
    energy: EnergySettings | None = Field(None, description="Assumptions of the energy estimate; null: none is made.")

    @field_validator("models", mode="before")
    @classmethod
    def _spell_out(cls, value: Any) -> Any:
        return [{"name": v} if isinstance(v, str) else v for v in value] if isinstance(value, list | tuple) else value

    def problems(self) -> list[Problem]:
        """Faults that no single field shows."""
        names = [model.name for model in self.models]
        twice = sorted({name for name in names if names.count(name) > 1})
        return [Problem("pool.models", f"`{name}` is there more than once", "give each a name of its own") for name in twice]


class ModelRuntime(Settings):
    """The keys of `runtime` that backends read; all others are left to the stage. None of them changes a reply."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_default=True)

    per_model: int | None = Field(None, ge=1, description="Calls in flight at one model at most; null: no limit of its own.")
    per_server: int | None = Field(None, ge=1, description="Calls in flight at one server at most; null: what it takes.")
    timeout_s: float = Field(120.0, gt=0, description="Plus `timeout_per_token_s` a token; see conf/pool/servers.yaml.")
    timeout_per_token_s: float = Field(0.1, ge=0, description="0.1: at least ten tokens a second, queueing apart.")
    connect_timeout_s: float = Field(10.0, gt=0, description="Seconds to open a connection.")
    retries: int = Field(8, ge=0, description="Times a failed call is sent again at most; fewer where others are answered.")
    give_up_after_s: float = Field(600.0, ge=0, description="Seconds in which no server of a model answers: the run ends.")
    startup_wait_s: float = Field(60.0, ge=0, description="Seconds that servers may take to come up at the start.")
    log_folder: str | None = Field(None, description="Where servers started here write their logs; null: the output's `servers`.")


def model_names(pool: Mapping[str, Any]) -> list[str]:
    """The names in `pool.models`, as far as they can be read: for checks that go on beside `check_pool`."""
    models = pool.get("models")
    named = [m.get("name") if isinstance(m, Mapping) else m for m in models] if isinstance(models, list | tuple) else []
    return [name for name in named if isinstance(name, str)]


# Keys of a pool, and of its models, that say where and how fast it runs, not what it answers. A key that is not here is taken to
# change replies: then a call too many is paid, and never a stale reply used.
_PLACE = {
    "_target_", "models", "simulated", "energy", "base_url", "api_key_env", "check_models", "serve", "python", "start_timeout_s",
    "gpu_memory_utilization", "batch", "max_loaded",
}  # fmt: skip
_OF_MODEL = {"name", "base_url", "parameters", "weights"}


def served_as(pool: Mapping[str, Any]) -> dict[str, str]:
    """For each model of a valid pool, a hash of all that its config says and that can change a reply: weights, revision, system
    role, extra_body, what is cut off a reply ... Part of every request's key: no other model's reply is ever taken for its."""
    common = {key: value for key, value in pool.items() if key not in _PLACE and value is not None}
    spelled = [m if isinstance(m, Mapping) else {"name": m} for m in pool["models"]]
    found = {}
    for model in spelled:
        own = {key: value for key, value in model.items() if key not in _OF_MODEL and value is not None}
        if model.get("weights") is not None:
            own["weights"] = Weights.model_validate(model["weights"]).identity
        text = json.dumps([common, own], sort_keys=True, ensure_ascii=True, default=str)
        found[str(model["name"])] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return found


def cuts_thoughts(pool: Mapping[str, Any]) -> bool:
    """Whether a valid pool wants reasoning cut off its replies; so it is where its backend has no such key."""
    return pool.get("strip_think") is not False


def parameters_of(pool: Mapping[str, Any]) -> dict[str, float | None]:
    """Billions of parameters of each model in a valid pool; None where the config does not say."""
    spelled = [m if isinstance(m, Mapping) else {"name": m} for m in pool["models"]]
    return {str(m["name"]): None if m.get("parameters") is None else float(m["parameters"]) for m in spelled}


def energy_of(pool: Mapping[str, Any]) -> EnergySettings | None:
    """The assumptions of the energy estimate in a valid pool, None where there are none."""
    return None if pool.get("energy") is None else EnergySettings.model_validate(pool["energy"])


def load_target(pool: Mapping[str, Any]) -> Target:
    """The callable that `pool._target_` names. Raises ConfigError where there is none."""
    found = _import_target(pool.get("_target_"))
    if isinstance(found, Problem):
        raise ConfigError([found])
    return found[1]


def takes_turns(pool: Mapping[str, Any]) -> bool:
    """Whether the pool's models are loaded one after the other. False where its backend cannot be found."""
    target = _import_target(pool.get("_target_"))
    return not isinstance(target, Problem) and bool(getattr(getattr(target[0], "PoolSettings", None), "by_turns", False))


def settings_of(pool: Mapping[str, Any]) -> PoolBase | None:
    """The settings of a pool in the form that its backend has for them; None where they are wrong, or the backend is unknown."""
    target = _import_target(pool.get("_target_"))
    if isinstance(target, Problem):
        return None
    return parse(getattr(target[0], "PoolSettings", PoolBase), _own_keys(pool, target[0]), "pool")[0]


def _own_keys(pool: Mapping[str, Any], module: Any) -> Mapping[str, Any]:
    """The keys of a pool that are ours to check: those of a backend of the user's own are its own business."""
    if getattr(module, "PoolSettings", PoolBase) is not PoolBase:
        return pool
    return {key: value for key, value in pool.items() if key in ("_target_", "models", "simulated", "energy")}


def check_pool(pool: Mapping[str, Any] | Any, runtime: Mapping[str, Any] | Any) -> list[Problem]:
    """Every fault of the `pool` and `runtime` groups that can be seen without a connection. No secret is ever repeated."""
    if not isinstance(pool, Mapping):
        return parse(PoolBase, pool, "pool")[1] + parse(ModelRuntime, runtime, "runtime")[1]
    secrets = list(_secrets(pool, "pool"))
    unset = [key for key, value in _leaves(pool, "pool") if value == "???"]
    remedy = "put it into an environment variable and name that in pool.api_key_env"
    problems = [Problem(key, "a key stands in the config itself", remedy) for key in secrets]
    problems += [Problem(key, "required, but not set", f"set it: {key}=VALUE") for key in unset]
    seen = (*secrets, *unset)
    target = _import_target(pool.get("_target_"))
    if isinstance(target, Problem):
        faults = [target]
        settings_class: type[PoolBase] = PoolBase
    else:
        faults = []
        settings_class = getattr(target[0], "PoolSettings", PoolBase)
    pool = _own_keys(pool, None if isinstance(target, Problem) else target[0])
    settings, more = parse(settings_class, pool, "pool")
    faults += more + (settings.problems() if settings else [])
    faults += parse(ModelRuntime, runtime, "runtime")[1]
    return problems + [f for f in faults if not any(_same_place(f.key, key) for key in seen)]


def url_problem(key: str, url: str) -> Problem | None:
    """What is wrong with a server's base URL, or None. Credentials in it are never repeated."""
    try:
        parts = urlsplit(url)
        has_host, credentials = bool(parts.hostname) and (parts.port or 1) > 0, parts.username or parts.password
    except ValueError:
        return Problem(key, "not a URL", "write it as http://HOST:PORT/v1")
    if credentials is not None:
        return Problem(key, "the URL carries a user name or password", "name a variable in pool.api_key_env instead")
    if parts.scheme not in ("http", "https") or not has_host:
        return Problem(key, f"not an http(s) URL: {url!r:.120}", "write it as http://HOST:PORT/v1")
    if parts.query or parts.fragment:
        return Problem(key, f"the URL has a query or fragment: {parts.netloc}", "write it as http://HOST:PORT/v1")
    if parts.path.rstrip("/").endswith("/chat/completions"):
        return Problem(key, "the URL ends in /chat/completions, which is added to it", "cut it: http://HOST:PORT/v1")
    return None


def variable_problem(key: str, name: str) -> Problem | None:
    """A Problem where `name` is no name of an environment variable: most likely the key itself, so it is not repeated."""
    if _VARIABLE.fullmatch(name) and not _SECRET_VALUE.search(name):
        return None
    remedy = "put the key into a variable and give its NAME, e.g. OPENAI_API_KEY"
    return Problem(key, "not the name of an environment variable", remedy)


def _import_target(path: Any) -> tuple[Any, Target] | Problem:
    key = "pool._target_"
    if not isinstance(path, str) or "." not in path:
        return Problem(key, f"no dotted path of a backend: {path!r:.120}", "pool._target_=gra.models.openai_server.connect")
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        return Problem(key, f"cannot import {module_name}: {error}", "correct the path, or install what the module needs")
    target = getattr(module, name, None)
    if not callable(target):
        return Problem(key, f"{module_name} has no callable `{name}`", "name a function `connect(pool, runtime) -> Backend`")
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
    """Dotted keys of literal secrets: by the key's name, or because the value looks like one."""
    for key, value in _leaves(pool, path):
        if not isinstance(value, str) or value == "???" or key == "pool.api_key_env":
            continue
        if _SECRET_KEY.fullmatch(key.rpartition(".")[2]) or _SECRET_VALUE.search(value):
            yield key


def _same_place(key: str, known: str) -> bool:
    return key == known or key.startswith(f"{known}.") or known.startswith(f"{key}.")
