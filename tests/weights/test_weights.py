"""`gra fetch models`: bytes out of real wheels by a real pip, verified; what is broken off, wrong or fetched twice at once."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tiny_weights import pool_yaml, weights, wheel

from gra.errors import ConfigError, StoreError
from gra.models.identity import served_as
from gra.models.launch.server import ServeSettings
from gra.models.pool import ModelSettings, check_pool
from gra.models.preflight import pool_problems
from gra.paths import conf_dir
from gra.weights.command import catalogue, main
from gra.weights.fetch import FetchError, fetch
from gra.weights.place import fault, path_of
from gra.weights.spec import Weights

ONE, TWO = b"first half, " * 3000, os.urandom(40_000)


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip looks into, and nowhere else; a cache of the test's own."""
    folder = tmp_path / "index"
    wheel(folder, "half-one", {"data/part.bin": ONE, "half_one/__init__.py": b"raise SystemExit('imported')"})
    wheel(folder, "half-two", {"data/part.bin": TWO})
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("GRA_CACHE", str(tmp_path / "cache"))
    return folder


def tiny(**more: object) -> Weights:
    return Weights(**{**weights(ONE + TWO, "half-one", "half-two"), **more})


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_joined_verified_and_kept_with_the_licence_shown_first(tmp_path: Path, index: Path) -> None:
    said: list[str] = []
    path = fetch("m", tiny(licence="Very Free 1.0"), said.append)
    assert path.read_bytes() == ONE + TWO
    assert "Very Free 1.0" in said[0]
    assert files(tmp_path / "cache") == {"tiny.gguf"}  # no wheel, no part, no lock stays
    assert fault(tiny()) is None
    for file in index.iterdir():
        file.unlink()
    assert fetch("m", tiny(), said.append) == path  # nothing is asked again


def test_a_wrong_file_is_never_put_in_place_and_the_right_one_is_had_later(index: Path) -> None:
    wheel(index, "half-two", {"data/part.bin": TWO[::-1]})
    with pytest.raises(FetchError, match="sha256 differs"):
        fetch("m", tiny(), lambda _: None)
    assert not path_of(tiny()).exists()
    wheel(index, "half-two", {"data/part.bin": TWO})
    assert fetch("m", tiny(), lambda _: None).read_bytes() == ONE + TWO


def test_what_was_unpacked_before_a_fault_is_not_fetched_again(index: Path) -> None:
    (index / "half_two-1.0-py3-none-any.whl").unlink()
    with pytest.raises(FetchError, match=r"half-two 1\.0"):
        fetch("m", tiny(), lambda _: None)
    (index / "half_one-1.0-py3-none-any.whl").unlink()
    wheel(index, "half-two", {"data/part.bin": TWO})
    assert fetch("m", tiny(), lambda _: None).read_bytes() == ONE + TWO


def test_a_file_below_the_package_folder_of_its_wheel_is_found_where_it_is_the_only_one(index: Path) -> None:
    wheel(index, "half-two", {"half_two/data/part.bin": TWO})
    assert fetch("m", tiny(), lambda _: None).read_bytes() == ONE + TWO


def test_a_damaged_file_is_told_and_replaced() -> None:
    path = fetch("m", tiny(), lambda _: None)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    assert "damaged" in str(fault(tiny()))
    path.write_bytes(b"short")
    assert "damaged" in str(fault(tiny()))
    assert fetch("m", tiny(), lambda _: None).read_bytes() == ONE + TWO


@pytest.mark.parametrize("kind", ["sdist alone", "no such member", "two such members", "too large", "no zip"])
def test_packages_that_do_not_hold_the_file_are_told_and_run_no_code(kind: str, tmp_path: Path, index: Path) -> None:
    (index / "half_two-1.0-py3-none-any.whl").unlink()
    if kind == "sdist alone":
        setup = tmp_path / "setup.py"
        setup.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
        with tarfile.open(index / "half-two-1.0.tar.gz", "w:gz") as archive:
            archive.add(setup, "half-two-1.0/setup.py")
    elif kind == "no such member":
        wheel(index, "half-two", {"data/other.bin": TWO})
    elif kind == "two such members":
        wheel(index, "half-two", {"a/data/part.bin": TWO, "b/data/part.bin": TWO})
    elif kind == "too large":
        wheel(index, "half-two", {"data/part.bin": bytes(10_000_000)})
    else:
        (index / "half_two-1.0-py3-none-any.whl").write_bytes(b"no archive")
    with pytest.raises(FetchError, match="half-two"):
        fetch("m", tiny(), lambda _: None)
    assert not (tmp_path / "ran").exists()
    assert not path_of(tiny()).exists()


def test_two_commands_at_once_fetch_it_once(tmp_path: Path) -> None:
    config = pool_yaml(tmp_path / "conf", {"tiny-model": weights(ONE + TWO, "half-one", "half-two")})

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gra.cli", "fetch", "models", "tiny-model", "--config-dir", str(config)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(2) as threads:
        done = [future.result() for future in [threads.submit(run) for _ in range(2)]]
    assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
    assert sum("package half-one" in one.stdout for one in done) == 1
    assert path_of(tiny()).read_bytes() == ONE + TWO


def test_names_are_checked_before_anything_is_fetched(tmp_path: Path) -> None:
    config = pool_yaml(tmp_path / "conf", {"tiny-model": weights(ONE + TWO, "half-one", "half-two")})
    with pytest.raises(ConfigError, match="tiny-model"):
        main(["models", "tiny-model", "tiny-modle", "--config-dir", str(config)])
    assert not (tmp_path / "cache").exists()
    with pytest.raises(ConfigError, match=r"pool\.models\.0\.weights\.sha256"):
        catalogue(pool_yaml(tmp_path / "bad", {"a": weights(ONE, sha256="short")}))
    with pytest.raises(FetchError, match="names no source"):
        main(["models", "b", "--config-dir", str(pool_yaml(tmp_path / "none", {"b": weights(ONE)}))])


def test_no_cache_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRA_CACHE", "off")
    with pytest.raises(StoreError, match="GRA_CACHE"):
        fetch("m", tiny(), lambda _: None)
    assert "GRA_CACHE" in str(fault(tiny()))


def served_pool(**more: object) -> dict[str, object]:
    both = weights(ONE + TWO, "half-one", "half-two")
    command = "{python} -m gra.models.launch.llama_cpp_server --model {weights} --port {port}"
    command += " --servers {servers} --template {template}"
    return {
        "_target_": "gra.models.openai.backend.connect",
        "models": [{"name": name, "weights": both} for name in "ab"]
        + [{"name": "c", "weights": weights(TWO, "half-two")}],
        "serve": {"command": command},
    } | more


def test_a_pool_without_its_weights_names_the_command_that_fetches_them() -> None:
    (problem,) = pool_problems(served_pool())
    assert "weights of a, b, c are missing" in problem.message
    assert problem.remedy.startswith("gra fetch models a b c")
    fetch("a", tiny(), lambda _: None)
    (problem,) = pool_problems(served_pool())
    assert "weights of c are missing" in problem.message
    fetch("c", Weights(**weights(TWO, "half-two")), lambda _: None)
    assert pool_problems(served_pool()) == []


def test_faults_of_the_pool_are_told_without_a_start() -> None:
    assert check_pool(served_pool(), {}) == []
    missing = served_pool(models=[{"name": "a"}])
    assert any("weights" in str(problem) for problem in check_pool(missing, {}))
    serve = {"command": "{python} {port}", "requires": {"no_such_module_here": "pip install it"}}
    (problem,) = check_pool(served_pool(serve=serve), {})
    assert problem.remedy == "pip install it"


def test_the_command_gets_file_template_and_share_of_the_machine() -> None:
    serve = ServeSettings(command=str(served_pool()["serve"]["command"]))  # type: ignore[index]
    words = serve.words(ModelSettings(name="a", weights=tiny(chat_template="plain")), 7, 0, 3)
    assert words[0] == sys.executable
    assert words[words.index("--model") + 1] == str(path_of(tiny()))
    assert words[words.index("--servers") + 1] == "3"
    assert words[words.index("--template") + 1] == "plain"
    assert "own" in serve.words(ModelSettings(name="a", weights=tiny()), 7, 0)


def test_where_weights_come_from_is_no_part_of_what_a_model_says() -> None:
    def key(**more: object) -> str:
        return served_as(served_pool(models=[{"name": "a", "weights": weights(ONE, "half-one", **more)}]))["a"]

    assert key() == key(packages=[], licence="other", file="other.gguf", hub={"id": "o/r", "file": "f"})
    assert key() != key(sha256="0" * 64)
    assert key() != key(chat_template="plain")


def test_the_small_pools_are_whole() -> None:
    pools = catalogue()
    assert set(pools["small"]) == {"smollm2-135m", "qwen2.5-coder-0.5b", "gemma3-270m"}
    assert set(pools["small_1.5b"]) == {*pools["small"], "qwen2.5-coder-1.5b"}
    for found in pools["small_1.5b"].values():
        assert found.packages
        assert found.licence
        assert found.quantised


def test_the_larger_small_pool_has_the_models_of_the_small_one() -> None:
    """YAML cannot add to a list, so pool/small_1.5b.yaml repeats the three models of pool/small.yaml."""
    small, larger = (OmegaConf.load(conf_dir() / "pool" / f"{name}.yaml").models for name in ("small", "small_1.5b"))
    assert larger[: len(small)] == small
