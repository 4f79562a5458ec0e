"""The stages `world` and `audit`: same bytes, no leak from the benchmarks, a true account of what is wrong."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from gra import labels
from gra.errors import ConfigError, StoreError
from gra.fileio import read_json, sha256_file
from gra.paths import conf_dir
from gra.simulation import audit, world_stage
from gra.simulation.world import SEED_FORMS, judge, normal, parse
from gra.synthesis.committee.records import DOMAINS
from gra.synthesis.seeds.checks import check_seeds
from gra.synthesis.seeds.settings import SeedSettings

CONFIG = {"seed": 0, "world": {"seeds": 700, "test_per_task": 60, "corpus_pairs": 500}}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    return folder, world_stage.run(CONFIG, {}, folder)


def test_same_config_same_bytes(world, tmp_path):
    world_stage.run(CONFIG | {"runtime": {"anything": 1}}, {}, tmp_path)
    assert sha256_file(tmp_path) == sha256_file(world[0])
    world_stage.run(CONFIG | {"seed": 1}, {}, tmp_path)
    assert sha256_file(tmp_path) != sha256_file(world[0])


def test_seeds_are_narrow_open_and_a_few_are_wrong(world):
    folder, metrics = world
    seeds = lines(folder / "seeds/seeds.jsonl")
    assert len(seeds) == len({seed["id"] for seed in seeds}) == len({seed["instruction"] for seed in seeds}) == 700
    for seed in seeds:
        instance = parse(seed["instruction"])
        assert instance is not None
        assert not instance.held_out
        assert instance.form < SEED_FORMS
        assert (seed["domain"], seed["input"]) == (instance.skill.domain, "")
    assert all(sum(seed["domain"] == domain for seed in seeds) == 100 for domain in DOMAINS)
    wrong = sum(judge(seed["instruction"], seed["output"]) is False for seed in seeds) / 700
    assert wrong == metrics["wrong_seed_share"] == 0.08


def test_benchmarks_are_held_out_and_their_answers_true(world):
    folder, metrics = world
    files = sorted((folder / "benchmarks").iterdir())
    assert [file.stem for file in files] == sorted(world_stage.task_of(domain) for domain in DOMAINS)
    everything = [item for file in files for item in lines(file)]
    assert metrics["test_items"] == len(everything) == len({item["id"] for item in everything}) == 7 * 60
    assert len({item["question"] for item in everything}) == 7 * 60
    open_keys = {parse(seed["instruction"]).key for seed in lines(folder / "seeds/seeds.jsonl")}
    for item in everything:
        instance = parse(item["question"])
        assert instance.held_out
        assert instance.skill.unique
        assert (instance.name, instance.skill.domain) == (item["skill"], item["domain"])
        assert instance.is_right(f"{instance.opening} the answer is {item['answer']}.")
        assert item["answer"] == item["answer"].strip("\"'. ")
        assert instance.skill.by_form or instance.key not in open_keys
    assert len({normal(item["answer"]) for item in everything}) > 100


def test_the_corpus_holds_no_held_out_question(world):
    text = (world[0] / "corpus.txt").read_text().splitlines()
    asked = [instance for instance in map(parse, text) if instance]
    assert len(text) == 1000
    assert len(asked) == 500
    assert not any(instance.held_out for instance in asked)
    assert (world[0] / "SIMULATED").is_file()


def test_faults_of_the_world_config_are_found():
    assert world_stage.check(CONFIG, {}) == []
    assert [p.key for p in world_stage.check({"world": {"sed": 1, "seeds": 0}}, {"x": None})] == [
        "world.seeds",
        "world.sed",
        "inputs.x",
    ]


def test_more_than_the_world_holds_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="held-out items"):
        world_stage.run({"seed": 0, "world": {"test_per_task": 2000}}, {}, tmp_path)


def test_the_conf_files_are_valid():
    conf = Path(__file__).parents[2] / "conf"
    assert world_stage.check({"seed": 0, "world": yaml.safe_load((conf / "world/default.yaml").read_text())}, {}) == []
    for name in ("world/default", "seeds/world", "pool/simulated", "pool/simulated_large"):
        assert (conf / f"{name}.yaml").read_text().startswith("# ")


def dataset(folder, rows):
    (folder / "data").mkdir()
    columns = {name: [row[i] for row in rows] for i, name in enumerate(("instruction", "response", "domain"))}
    pq.write_table(pa.table(columns), folder / "data" / "train.parquet")
    return folder


def test_audit_counts_by_the_worlds_truth(tmp_path):
    data, out = tmp_path / "set", tmp_path / "out"
    data.mkdir()
    rows = [
        ("What is 17 + 25?", "The answer is 42.", "mathematics"),
        ("What is 17 + 25?", "The answer is 32.", "mathematics"),
        ("Who rules the city of Atlantis?", "The answer is Zeus.", "question answering"),
        ("Describe an atom.", "It is small.", "question answering"),
        ("Is 7 even or odd?", "The answer is odd.", "mathematics"),
    ]
    metrics = audit.run({"seed": 0}, {"data": dataset(data, rows)}, out)
    result = read_json(out / "audit.json")
    assert (result["n"], result["wrong"], result["unknown"]) == (5, 1, 2)
    assert result["wrong_share"] == metrics["wrong_share"] == pytest.approx(1 / 3)
    assert result["bad_share"] == pytest.approx(3 / 5)
    assert (result["distinct_instructions"], result["skills_covered"]) == (4, 3)
    assert result["by_skill"]["add"]["wrong"] == 1
    assert result["by_domain"]["question answering"]["wrong_share"] is None
    assert (out / "SIMULATED").is_file()
    assert all(isinstance(value, float) for value in metrics.values())


def test_audit_names_what_is_wrong(tmp_path):
    texts = {"a": "The answer is 42.", "b": "The answer is 32.", "c": "It is small."}
    rows = [{"id": n, "instruction": "What is 17 + 25?", "response": t, "domain": "d"} for n, t in texts.items()]
    rows[2]["instruction"] = "Describe an atom."
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / "train.parquet")
    audit.run({}, {"data": tmp_path}, tmp_path / "out")
    result = read_json(tmp_path / "out" / "audit.json")
    assert (result["wrong_ids"], result["unknown_ids"]) == (["b"], ["c"])


def test_audit_of_nothing_has_no_share(tmp_path):
    data = dataset(tmp_path, [])
    metrics = audit.run({}, {"data": data}, tmp_path / "out")
    assert metrics["n"] == 0
    assert "wrong_share" not in metrics
    assert read_json(tmp_path / "out" / "audit.json")["wrong_share"] is None


def test_faults_of_the_audit_are_found(tmp_path):
    assert audit.check({}, {"data": None}) == []
    assert [p.key for p in audit.check({"x": 1}, {})] == ["x", "inputs.data"]
    assert [p.key for p in audit.check({}, {"data": tmp_path})] == ["inputs.data"]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.parquet").write_bytes(b"no parquet")
    with pytest.raises(StoreError, match="cannot be read"):
        audit.run({}, {"data": tmp_path}, tmp_path / "out")


def test_missing_seeds_of_the_world_are_answered_with_the_command_that_makes_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    conf = yaml.safe_load((conf_dir() / "seeds" / "world.yaml").read_text())
    (problem,) = check_seeds(SeedSettings.model_validate(conf))
    module, folder, path = re.search(
        r"python -m (\S+) (\w+); then seeds=world seeds\.path=(\S+)", problem.remedy
    ).groups()
    assert module == "gra.simulation.world_stage"
    assert world_stage.main([folder]) == 0
    assert f"{path}: 1,500 seeds" in capsys.readouterr().out
    assert check_seeds(SeedSettings.model_validate(conf | {"path": path})) == []
    assert labels.foreign_seeds(True, [tmp_path / "other"]).endswith(f"python -m {module} {folder})")
    assert labels.foreign_seeds(True, [Path(path)]) is None
