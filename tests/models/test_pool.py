"""The pool's settings: all faults at once, and never a secret in a message."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gra.errors import ConfigError
from gra.models.base import Capabilities, Reply, Request
from gra.models.energy import EnergySettings
from gra.models.identity import NOT_HASHED, PLACE_ONLY, PLACE_ONLY_OF_MODEL, served_as
from gra.models.local import transformers
from gra.models.openai import settings as servers
from gra.models.parsed_pool import parsed_pool
from gra.models.pool import ModelSettings, PoolBase, check_pool, connect, load_target
from gra.models.time_sharing import vllm
from gra.synthesis.committee.calls import Call
from gra.synthesis.engine.engine import Engine
from gra.synthesis.engine.journal import Journal
from gra.weights.spec import Weights

POOLS = (servers.PoolSettings, transformers.PoolSettings, vllm.PoolSettings)
SERVERS = "gra.models.openai.backend.connect"
GOOD = {"_target_": SERVERS, "models": ["a", "b"], "base_url": "http://127.0.0.1:8000/v1"}
SECRET = "sk-abcdefgh12345678"
CONF = Path(__file__).parents[2] / "conf" / "pool"


def keys(pool: dict[str, Any], runtime: dict[str, Any] | None = None) -> list[str]:
    problems = check_pool(pool, runtime or {})
    assert SECRET not in "\n".join(map(str, problems))
    assert all(problem.remedy for problem in problems)
    return sorted({problem.key for problem in problems})


@pytest.mark.parametrize(
    "pool",
    [
        GOOD,
        GOOD | {"base_url": ["http://h:1/v1/", "https://h2/v1"]},
        GOOD | {"base_url": {"a": "http://h:1/v1", "b": ["http://h:2/v1", "http://h:3/v1"]}},
        GOOD
        | {
            "base_url": None,
            "models": [{"name": "a", "base_url": "http://[::1]:8000/v1", "model": "x/y", "parameters": 8}],
        },
        {"_target_": "gra.models.local.transformers.connect", "models": ["org/name"], "batch": 4},
    ],
)
def test_good_pools(pool: dict[str, Any]) -> None:
    assert keys(pool, {"concurrency": 64, "per_model": 8, "timeout_s": 30}) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"modles": 1}, ["pool.modles"]),
        ({"models": ["a", "b", "a"]}, ["pool.models"]),
        ({"models": [{"name": "a", "modle": "x"}]}, ["pool.models.0.modle"]),
        ({"models": []}, ["pool.models"]),
        ({"models": "???", "base_url": "???"}, ["pool.base_url", "pool.models"]),
        ({"base_url": None}, ["pool.base_url"]),
        ({"base_url": "127.0.0.1:8000"}, ["pool.base_url"]),
        ({"base_url": "http://h:99999/v1"}, ["pool.base_url"]),
        ({"base_url": "http://h/v1/chat/completions"}, ["pool.base_url"]),
        ({"base_url": "http://h/v1?x=1"}, ["pool.base_url"]),
        ({"base_url": f"http://me:{SECRET}@h/v1"}, ["pool.base_url"]),
        ({"base_url": {"a": "http://h/v1", "c": "http://h/v1"}}, ["pool.base_url", "pool.base_url.c"]),
        ({"api_key": SECRET}, ["pool.api_key"]),
        ({"api_key": "plain words"}, ["pool.api_key"]),
        ({"api_key_env": SECRET}, ["pool.api_key_env"]),
        ({"api_key_env": "NO_SUCH_VARIABLE_HERE"}, ["pool.api_key_env"]),
        ({"extra_body": {"auth": f"Bearer {SECRET}"}}, ["pool.extra_body.auth"]),
        ({"extra_body": {"stream": True}}, ["pool.extra_body.stream"]),
        ({"models": [{"name": "a", "token": SECRET}]}, ["pool.models.0.token"]),
        ({"models": [{"name": "a", "dtype": [SECRET]}]}, ["pool.models.0.dtype.0"]),
        ({"structured": "maybe"}, ["pool.structured"]),
        ({"_target_": "gra.models.nowhere.connect"}, ["pool._target_"]),
        ({"_target_": "gra.models.openai.backend.nothing"}, ["pool._target_"]),
        ({"_target_": "connect"}, ["pool._target_"]),
        ({"_target_": None}, ["pool._target_"]),
        (
            {"models": ["a", "a"], "base_url": "ftp://h", "strukture": 1, "send_seed": "perhaps"},
            ["pool.send_seed", "pool.strukture"],
        ),
    ],
)
def test_faults(change: dict[str, Any], expected: list[str]) -> None:
    assert keys(GOOD | change) == expected


def test_runtime_faults_and_foreign_runtime_keys() -> None:
    assert keys(GOOD, {"retries": -1, "timeout_s": 0, "anything": 1}) == ["runtime.retries", "runtime.timeout_s"]


def test_local_folder_must_hold_a_model(tmp_path: Path) -> None:
    pool = {"_target_": "gra.models.local.transformers.connect", "models": [str(tmp_path), "org/name"]}
    assert keys(pool) == ["pool.models.0"]


def test_own_backend_without_settings_has_its_own_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_backend_here.py").write_text("def connect(pool, runtime):\n    return 'backend'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    pool = {"_target_": "own_backend_here.connect", "models": ["a"], "whatever": 1}
    assert keys(pool) == []
    assert load_target(pool)({}, {}) == "backend"  # type: ignore[comparison-overlap]
    with pytest.raises(ConfigError, match=r"returned a str without models, simulated, capabilities, chat.*\n.*Backend"):
        connect(pool, {})
    with pytest.raises(ConfigError, match="own_backend_nowhere"):
        load_target({"_target_": "own_backend_nowhere.connect"})


@pytest.mark.parametrize("file", ["servers", "ollama", "transformers"])
def test_conf_names_known_keys_only(file: str) -> None:
    text = (CONF / f"{file}.yaml").read_text()
    assert text.startswith("# gra synthesize")
    problems = check_pool(yaml.safe_load(text), {})
    assert {problem.message for problem in problems} <= {"required, but not set"}


def test_what_stages_read_of_a_pool_is_parsed_once() -> None:
    pool = {"_target_": SERVERS, "models": ["a", {"name": "b", "parameters": 8}], "base_url": "http://127.0.0.1:1/v1"}
    found = parsed_pool(pool, {})
    assert (found.names, found.parameters) == (("a", "b"), {"a": None, "b": 8.0})
    assert (found.by_turns, found.strip_think, found.settings.energy) == (False, True, None)
    assert not parsed_pool(pool | {"strip_think": False}, {}).strip_think
    assert parsed_pool(pool | {"energy": {}}, {}).settings.energy == EnergySettings()
    assert parsed_pool(pool | {"_target_": "gra.models.time_sharing.servers.connect"}, {}).by_turns
    assert found.served == served_as(pool)
    elsewhere = parsed_pool(pool | {"_target_": "no_such_package_here.connect", "own_key": 1}, {})
    assert (elsewhere.names, elsewhere.by_turns) == (
        ("a", "b"),
        False,
    )  # a recorded run can be read without its backend
    with pytest.raises(ConfigError, match=r"pool\.models"):
        parsed_pool(pool | {"models": []}, {})


def test_a_backend_for_some_models_gets_their_entries_alone(tmp_path: Path) -> None:
    urls = {name: f"http://127.0.0.1:{port}/v1" for port, name in enumerate(("a", "b", "c"), 1)}
    pool = {"_target_": SERVERS, "models": ["a", {"name": "b"}, "c"], "base_url": urls}
    assert check_pool(pool, {}) == []
    for names in (("a", "b", "c"), ("b",), ("a", "c")):
        assert parsed_pool(pool, {}).backend(names, tmp_path).models == names
    serve = {"command": [sys.executable, "{port}"], "gpus_per_model": {"a": 0, "b": 0, "c": 0}}
    started = parsed_pool({**pool, "base_url": None, "serve": serve}, {})
    assert started.backend(("c",), tmp_path).models == ("c",)


def test_import_is_cheap() -> None:
    code = "import sys, gra.models.pool, gra.models.openai.backend, gra.models.local.transformers; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "aiohttp"} & set(modules)


def test_pool_base_is_what_every_pool_has() -> None:
    assert set(PoolBase.model_fields) == {"target", "models", "simulated", "energy"}


def test_a_backend_of_ones_own_needs_three_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_backend_whole.py").write_text(
        "from gra.models.base import Backend, Reply\n\n"
        "class Mine(Backend):\n    models, simulated = ('a',), True\n\n"
        "    async def chat(self, request):\n        return Reply('yes')\n\n"
        "class Mute(Backend):\n    models, simulated = ('a',), True\n\n"
        "def connect(pool, runtime):\n    return Mine()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    pool = {"_target_": "own_backend_whole.connect", "models": ["a"]}

    async def run(folder: Path) -> Reply:
        async with connect(pool, {}) as backend:
            assert backend.capabilities == Capabilities()
            with Journal(folder / "j.sqlite") as journal:
                engine = Engine(backend, journal, 2)
                return await engine.ask(Call("s", "keywords", "generator", 0, Request("a", (), 0.0, 1.0, 1, 0)))

    assert asyncio.run(run(tmp_path)) == Reply("yes")
    with pytest.raises(TypeError, match="chat"):
        importlib.import_module("own_backend_whole").Mute()


def test_each_place_key_is_a_key_of_a_pool() -> None:
    """A renamed setting must be renamed here as well: else it would count as changing replies."""
    known = {field.alias or name for kind in POOLS for name, field in kind.model_fields.items()}
    assert PLACE_ONLY.keys() <= known
    assert PLACE_ONLY_OF_MODEL.keys() <= ModelSettings.model_fields.keys()
    assert {key.rpartition(".")[2] for key in NOT_HASHED if ".weights." in key} <= Weights.model_fields.keys()
