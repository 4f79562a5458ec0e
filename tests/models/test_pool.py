"""The pool's settings: all faults at once, and never a secret in a message."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gra.errors import ConfigError
from gra.models.pool import PoolBase, check_pool, load_target, model_names

SERVERS = "gra.models.openai_server.connect"
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
        GOOD | {"base_url": None, "models": [{"name": "a", "base_url": "http://[::1]:8000/v1", "model": "x/y", "parameters": 8}]},
        {"_target_": "gra.models.transformers_local.connect", "models": ["org/name"], "batch": 4},
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
        ({"_target_": "gra.models.openai_server.nothing"}, ["pool._target_"]),
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
    pool = {"_target_": "gra.models.transformers_local.connect", "models": [str(tmp_path), "org/name"]}
    assert keys(pool) == ["pool.models.0"]


def test_own_backend_without_settings_has_its_own_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_backend_here.py").write_text("def connect(pool, runtime):\n    return 'backend'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    pool = {"_target_": "own_backend_here.connect", "models": ["a"], "whatever": 1}
    assert keys(pool) == []
    assert load_target(pool)({}, {}) == "backend"  # type: ignore[comparison-overlap]
    with pytest.raises(ConfigError, match="own_backend_nowhere"):
        load_target({"_target_": "own_backend_nowhere.connect"})


@pytest.mark.parametrize("file", ["servers", "ollama", "transformers"])
def test_conf_names_known_keys_only(file: str) -> None:
    text = (CONF / f"{file}.yaml").read_text()
    assert text.startswith("# python -m gra.synthesis")
    problems = check_pool(yaml.safe_load(text), {})
    assert {problem.message for problem in problems} <= {"required, but not set"}


def test_model_names() -> None:
    assert model_names({"models": ["a", {"name": "b", "model": "x"}]}) == ["a", "b"]
    assert model_names({"models": "???"}) == model_names({}) == []


def test_import_is_cheap() -> None:
    code = "import sys, gra.models.pool, gra.models.openai_server, gra.models.transformers_local; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "aiohttp"} & set(modules)


def test_pool_base_is_what_every_pool_has() -> None:
    assert set(PoolBase.model_fields) == {"target", "models", "simulated", "energy"}
