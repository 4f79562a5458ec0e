"""The settings of started servers: faults are found before any start; words, ports and GPUs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_serving import SIMULATED, pool

from gra.errors import ConfigError
from gra.models.launch.gpus import assign_gpus, visible_gpus
from gra.models.launch.server import PORTS, ServeSettings, free_port
from gra.models.openai import backend as openai_server
from gra.models.pool import ModelSettings, check_pool


def problems(config: dict[str, Any]) -> dict[str, str]:
    return {p.key: f"{p.message} {p.remedy}" for p in check_pool(config, {})}


def test_faults_are_found_before_any_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert problems(pool()) == {}
    assert "no such command: vllm-x" in problems(pool("vllm-x serve {model} --port {port}"))["pool.serve.command"]
    assert "{port}" in problems(pool([sys.executable, "serve"]))["pool.serve.command"]
    assert "cannot be split" in problems(pool("vllm 'serve"))["pool.serve.command"]
    assert "is empty" in problems(pool([]))["pool.serve.command"]
    assert "command line" in problems(pool([*SIMULATED, "--api-key", "x"]))["pool.serve.command"]
    assert "the config contains a secret" in problems(pool(env={"HF_TOKEN": "abc"}))["pool.serve.env.HF_TOKEN"]
    assert problems(pool(gpus_per_model=2)) == {}
    assert "3 GPUs are needed, 2 are visible" in problems(pool(gpus_per_model=3))["pool.serve.gpus_per_model"]
    two = pool(models=("slm-a", "slm-b"), gpus_per_model={"slm-a": 2, "slm-b": 1})
    assert "3 GPUs are needed, 2 are visible" in problems(two)["pool.serve.gpus_per_model"]
    # one after the other they fit
    assert problems({**two, "_target_": "gra.models.time_sharing.servers.connect"}) == {}
    assert "no such model" in problems(pool(gpus_per_model={"slm-x": 1}))["pool.serve.gpus_per_model.slm-x"]
    assert "conflicts with pool.serve" in problems({**pool(), "base_url": "http://h:1/v1"})["pool.base_url"]
    assert "no URL" in problems({**pool(), "serve": None})["pool.base_url"]
    with pytest.raises(ConfigError):
        openai_server.connect(pool(gpus_per_model=9), {})


def test_words() -> None:
    settings = ServeSettings(
        command="""vllm serve {model} --name '{name}' --x '{"a": {"b": 1}}' --tp {gpus} --port {port}"""
    )
    words = settings.words(ModelSettings(name="my model", model="./m"), 80, 2)
    assert words == [
        "vllm",
        "serve",
        "./m",
        "--name",
        "my model",
        "--x",
        '{"a": {"b": 1}}',
        "--tp",
        "2",
        "--port",
        "80",
    ]


def test_ports_are_free_distinct_and_outside_of_the_ephemeral_range() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert all(port in PORTS for port in ports)
    assert max(PORTS) < 32_768


gpus = st.lists(st.one_of(st.integers(0, 15).map(str), st.uuids().map(lambda u: f"GPU-{u}")), unique=True, max_size=12)


@given(gpus, st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 4), max_size=6))
def test_gpu_assignment(visible: list[str], wanted: dict[str, int]) -> None:
    if sum(wanted.values()) > len(visible):
        with pytest.raises(ValueError):
            assign_gpus(visible, wanted)
        return
    found = assign_gpus(visible, wanted)
    given_out = [gpu for part in found.values() for gpu in part]
    assert {name: len(part) for name, part in found.items()} == wanted
    assert given_out == visible[: len(given_out)]  # in order, none twice, none made up


@given(gpus)
def test_visible_gpus_are_what_the_variable_says(visible: list[str]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ", ".join(visible)}) == visible
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ",".join([*visible, "-1", "3"])}) == visible


def test_visible_gpus_without_the_variable(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert visible_gpus({}, tmp_path) == ["0", "1"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == []
