"""Each benchmark script at toy size: it runs, its clients do the same work, and its figures are there. No speed is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").is_file(), reason="the scripts read memory from /proc (Linux)"
)


def bench(script: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_engine_and_floor_send_the_same_calls(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = ["--latency", "0.01", "--in-flight", "16", "--tail", "3", "--proposals", "12", "--repeats", "1"]
    shown = bench("engine.py", *arguments, "--json", str(out))
    (case,) = json.loads(out.read_text())["cases"]
    (run,) = case["runs"]
    gra, floor = run["gra"], run["floor"]
    assert gra["calls"] == floor["calls"] > 12 * 8
    assert gra["kept"] > 0
    assert 0 < gra["peak_inflight"] <= 16
    assert "client CPU, ms a call" in shown
    assert "| floor |" in shown


def test_the_floor_replays_the_very_bytes_of_the_engine(tmp_path: Path) -> None:
    """Replayed against the same server: every body has been seen there before."""
    code = """
import json, pathlib, sys
sys.path.insert(0, sys.argv[1])
from harness import HERE, OWN_SERVER, fetch, measured, server
from engine import write_bodies
folder = pathlib.Path(sys.argv[2])
with server(OWN_SERVER, 0.0) as root:
    first = measured(root, [sys.executable, str(HERE / "drive.py"), f"{root}/v1", "8", str(folder), "--proposals", "5"])
    import subprocess
    write_bodies(folder)
    subprocess.run([sys.executable, str(HERE / "floor.py"), f"{root}/v1", "8", str(folder / "bodies")], check=True)
    print(json.dumps({"first": first, "both": fetch(f"{root}/stats")}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), str(tmp_path)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["first"]["repeated"] == 0
    assert found["both"]["repeated"] == found["first"]["answered"] == found["both"]["done"] / 2


@pytest.mark.slow
def test_prompts_are_compared_step_by_step_and_by_world(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    shown = bench(
        "prompts.py", "pool=simulated", "pool.models=[slm-c]", "--proposals", "7", "--show", "--json", str(out)
    )
    steps = json.loads(out.read_text())["steps"]
    assert set(steps) == {"slm-c | classic", "slm-c | turns"}
    for rows in steps.values():
        assert rows["keywords"]["asked"] == 7
        assert 0 < rows["instruction"]["usable"] <= rows["instruction"]["asked"] <= 7
        assert 0 < rows["instruction"]["distinct_2"] <= 1
        assert rows["review"]["tokens_in"] > 100
        assert rows["annotate_seed"]["asked"] == 7
    assert "usable at first" in shown
    assert shown.count("  1. ") == 2
    shown = bench("prompts.py", "--worlds", "1", "--samples", "6", "--seeds", "40", "--json", str(out))
    worlds = json.loads(out.read_text())["worlds"]
    assert [rows[0]["kept"] for rows in worlds.values()] == [12, 12]
    assert "| turns | 12 |" in shown


@pytest.mark.slow
def test_training_contenders_do_the_same_work(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = ["--shape", "tiny", "--steps", "3", "--rounds", "1", "--only", "bare", "ours", "--json", str(out)]
    shown = bench("train_throughput.py", *arguments)
    (ours,), (bare,) = (json.loads(out.read_text())["rounds"][name] for name in ("ours", "bare"))
    assert ours["step_tokens"] == bare["step_tokens"]
    assert ours["losses"] == pytest.approx(bare["losses"], abs=1e-4)
    assert ours["flops"] == bare["flops"] > 0
    assert "time per token, of the bare loop's" in shown


def test_memory_reports_peaks_and_curves(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    shown = bench("memory.py", "--proposals", "10", "20", "--in-flight", "8", "--json", str(out))
    runs = json.loads(out.read_text())["runs"]
    assert runs["20"]["answered"] > runs["10"]["answered"] > 0
    assert [ended for ended, _ in runs["20"]["curve"]] == list(range(0, 21, 2))
    assert 0 < runs["20"]["imported_mb"] <= runs["20"]["rss_mb"] < 500
    assert "largest / smallest" in shown


def test_dedup_finds_what_was_planted(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    bench("dedup.py", "--sizes", "2000", "--json", str(out))
    (size,) = json.loads(out.read_text())["sizes"]
    greedy, bare = size["runs"][0]["greedy"], size["runs"][0]["bare"]
    assert 1790 <= greedy["kept"] <= 1830  # a tenth are near-duplicates; two of the same row may both be kept
    assert greedy["kept"] + greedy["dropped"] == 2000
    assert bare["seconds"] > 0


def test_peers_workload_is_the_same_for_ours_and_the_floor(tmp_path: Path) -> None:
    """Without --venvs: the peers themselves are not installed in a test."""
    out = tmp_path / "out.json"
    bench("peers/run.py", "--rows", "10", "--latency", "0.01", "--in-flight", "8", "--json", str(out))
    floor, gra = json.loads(out.read_text())["systems"]
    assert [s["name"] for s in (floor, gra)] == ["floor", "gra"]
    assert floor["calls"] == gra["calls"] == 40
    assert floor["rows"] == gra["rows"] == 10


def test_train_tokens_packs_what_was_made(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    shown = bench("train_tokens.py", "--samples", "300", "--vocabulary", "400", "--cases", "packed", "--json", str(out))
    (run,) = json.loads(out.read_text())["runs"]
    assert run["packed"]["account"]["samples"] == 300
    assert 100 < run["packed"]["mb"] < 2000
    assert "| packed |" in shown


def test_the_comparison_reads_resamples_and_has_its_loop_beside_it() -> None:
    shown = bench("compare.py", "--resamples", "400", "--loop", "1")
    for words in (
        "| read | 39489 |",
        "| both | 39489 |",
        "| plain loop, strict difference alone | 39489 |",
        "peak memory",
    ):
        assert words in shown


@pytest.mark.slow
def test_the_suites_items_are_answered_and_judged_as_expected() -> None:
    shared = ROOT.parents[1] / "shared" / "data" / "benchmarks"
    if not shared.is_dir():
        pytest.skip(f"needs {shared}")
    shown = bench("eval_suite.py", str(shared), "--limit", "4", "--tasks", "gsm8k", "gpqa_diamond_chat", "--again")
    for words in ("| 8 |", "all replies known:", "items and scores that are not as expected: 0"):
        assert words in shown
