"""The seed_only stage: seeds in the data folder's form, repeatable, with the simulated label of its input."""

from __future__ import annotations

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from gra.errors import ConfigError, SeedError
from gra.fileio import sha256_file
from gra.synthesis import seed_only

SEEDS = [
    {"id": f"w{i}", "instruction": f"Add 1 to {i}.", "input": "", "output": str(i + 1), "domain": "mathematics"}
    for i in range(12)
]
SEEDS += [{"id": "w12", "instruction": "Say nothing.", "input": "", "output": "", "domain": "language"}]


@pytest.fixture
def world(tmp_path):
    folder = tmp_path / "world"
    (folder / "seeds").mkdir(parents=True)
    (folder / "seeds" / "seeds.jsonl").write_text("\n".join(map(json.dumps, SEEDS)))
    (folder / "SIMULATED").write_text("a closed world\n")
    return folder


def config(**seeds):
    return {"seed": 3, "seeds": {"path": "seeds/seeds.jsonl", "limit": None, "license": "apache-2.0", **seeds}}


def test_seeds_become_a_data_folder(world, tmp_path):
    assert seed_only.check(config(), {"seeds": None}) == []
    assert seed_only.check(config(), {"seeds": world}) == []
    metrics = seed_only.run(config(), {"seeds": world}, tmp_path / "out")
    assert metrics == {"kept": 12.0, "rejected": 0.0, "bad": 1.0}
    rows = pq.read_table(tmp_path / "out/data/train.parquet").to_pylist()
    assert [r["instruction"] for r in rows] == [s["instruction"] for s in SEEDS[:12]]
    assert {(r["decision"], r["domain"], r["round"], r["generator"]) for r in rows} == {
        ("seed", "mathematics", 0, None)
    }
    assert rows[0]["messages"][1] == {"role": "assistant", "content": "1"}
    stats = json.loads((tmp_path / "out/stats.json").read_text())
    assert (stats["kept"], stats["simulated"], stats["seeds"]["bad"]) == (12, True, 1)
    assert (tmp_path / "out/SIMULATED").is_file()
    assert "license: apache-2.0" in (tmp_path / "out/README.md").read_text()


def test_a_labelled_file_named_by_its_path_labels_the_output(world, tmp_path):
    seed_only.run(config(path=str(world / "seeds" / "seeds.jsonl")), {}, tmp_path / "out")
    assert (tmp_path / "out/SIMULATED").is_file()
    (world / "SIMULATED").unlink()
    seed_only.run(config(path=str(world / "seeds" / "seeds.jsonl")), {}, tmp_path / "real")
    assert not (tmp_path / "real/SIMULATED").exists()


def test_seeds_without_answers_are_dropped_with_the_reason(tmp_path):
    path = tmp_path / "seeds.jsonl"
    chats = [{"q": s["instruction"]} for s in SEEDS]
    path.write_text("\n".join(map(json.dumps, chats)))
    with pytest.raises(SeedError, match="none of the 13 seeds has an answer"):
        seed_only.run(config(path=str(path), columns={"instruction": "q"}), {}, tmp_path / "out")
    tree = tmp_path / "mixed"
    tree.mkdir()
    (tree / "a.json").write_text(json.dumps({"field": {"topic": ["tag"]}}))
    (tree / "b.jsonl").write_text(
        json.dumps([{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]) + "\n" * 2
    )
    metrics = seed_only.run(config(path=str(tree), format="condor"), {}, tmp_path / "out")
    assert metrics == {"kept": 1.0, "rejected": 1.0, "bad": 0.0}
    (lost,) = pq.read_table(tmp_path / "out/rejected.parquet").to_pylist()
    assert (lost["reason"], lost["decision"]) == ("response_missing", "rejected")
    assert "a.json line 1: field / topic / tag" in lost["detail"]


def test_same_config_same_bytes_and_the_seed_draws(world, tmp_path):
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder, seed in zip(folders, (3, 3, 4), strict=True):
        seed_only.run(config(limit=6) | {"seed": seed}, {"seeds": world}, folder)
    one, two, three = map(sha256_file, folders)
    assert one == two != three
    seed_only.run(config(limit=6), {"seeds": world}, folders[0])  # again, over what an earlier run left
    assert sha256_file(folders[0]) == two


def test_faults_come_all_at_once(tmp_path):
    problems = seed_only.check({"seed": "x", "seeds": {"path": "nope", "formt": "auto"}, "extra": 1}, {})
    assert {p.key for p in problems} == {"seed", "seeds.formt", "extra"}
    assert [p.key for p in seed_only.check(config(path="nope.json"), {})] == ["seeds.path"]
    with pytest.raises(ConfigError):
        seed_only.run(config(path="nope.json"), {}, tmp_path)
    assert seed_only.external_files(config()) == {}
    (tmp_path / "s.jsonl").write_text("")
    assert seed_only.external_files(config(path=str(tmp_path / "s.jsonl"))) == {"seeds.path": tmp_path / "s.jsonl"}


def test_importing_the_stage_is_cheap():
    rooms = ("seed_only", "dedup.near_duplicates", "output.stats", "output.dataset")
    names = ", ".join(["gra.embedding.embed", *(f"gra.synthesis.{name}" for name in rooms)])
    code = f"import sys, {names}\n"
    code += "print([m for m in ('torch', 'numpy', 'pyarrow', 'datasets', 'yaml') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
