"""Seeds: every known shape, real files, bad records by place, damage, ids and subsets that do not move."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.errors import SeedError
from gra.settings import parse
from gra.synthesis.seeds.load import SeedSettings, check_seeds, load_seeds, seed_files

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data" / "seeds"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real seed sets (../shared/data/seeds) are not here")

GOOD = [{"instruction": f"Name the number after {i}.", "input": "", "output": str(i + 1)} for i in range(20)]


def load(path, seed=0, base=None, **values):
    return load_seeds(SeedSettings(path=str(path), **values), seed, base)


def write(path: Path, records, lines=True, packed=False) -> Path:
    data = ("\n".join(map(json.dumps, records)) if lines else json.dumps(records, indent=1)).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


@real
@pytest.mark.parametrize(
    ("file", "known", "total", "bad"),
    [
        ("alpaca/alpaca_data.json.gz", "alpaca", 51_974, 28),
        ("wizardlm/WizardLM_testset.jsonl.gz", "wizardlm", 218, 0),
        ("condor/world_knowledge_tree.json.gz", "condor", 811, 0),
        ("self_instruct/seed_tasks.jsonl.gz", "self_instruct", 175, 0),
        ("self_instruct/user_oriented_instructions.jsonl.gz", "self_instruct", 252, 0),
    ],
)
def test_real_sets_load_and_are_recognised(file, known, total, bad):
    named = load(SHARED / file, format=known, limit=None)
    assert (named.total, len(named.bad)) == (total, bad)
    assert load(SHARED / file, limit=None).seeds == named.seeds
    assert len({s.id for s in named.seeds}) == total
    assert all(s.instruction for s in named.seeds)


def test_alpaca_joins_instruction_and_input_and_lists_empty_outputs(tmp_path):
    more = [{"input": "8, 3, 5"}, {"input": "Noinput"}, {"output": " "}, {"input": "9", "output": ""}]
    raw = [record | change for record, change in zip(GOOD, [*more, *[{}] * 16], strict=True)]
    path = write(tmp_path / "alpaca_data.json.gz", raw, lines=False, packed=True)
    found = load(path, format="alpaca", limit=None, max_bad=2)
    by_place = {seed.place: seed.instruction for seed in found.seeds}
    assert by_place["record 1"] == f"{raw[0]['instruction']}\n\n8, 3, 5"
    assert by_place["record 2"] == raw[1]["instruction"]
    assert [bad.place for bad in found.bad] == ["record 3", "record 4"]
    with pytest.raises(SeedError, match=r"2 of 20 records are bad \(seeds\.max_bad=1\)"):
        load(path, format="alpaca", max_bad=1)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "lines"), [("a.jsonl", True), ("a.json", True), ("a.json", False), ("a.gz", False), ("plain", True)]
)
def test_content_decides_not_the_name(tmp_path, name, lines, packed):
    found = load(write(tmp_path / name, GOOD, lines, packed))
    assert [s.instruction for s in found.seeds] == [g["instruction"] for g in GOOD]
    assert found.seeds[3].place == ("line 4" if lines else "record 4")


def test_a_first_line_that_is_broken_is_one_bad_record(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"instruction": "a", \n' + "\n".join(map(json.dumps, GOOD)))
    found = load(path)
    assert (found.total, [b.place for b in found.bad]) == (20, ["line 1"])


def test_bad_records_are_listed_with_their_lines(tmp_path):
    lines = [json.dumps(g).encode() for g in GOOD[:3]]
    lines += [
        b'{"instruction": "x", "output": "\xff"}',
        b'{"instruction": "x"',
        b"[1, 2]",
        b"7",
        b'{"instruction": 5, "output": "y"}',
        b'{"instruction": "x"}',
        b'{"instruction": "  ", "output": "y"}',
        b'{"instruction": "a\\u0000b", "output": "y"}',
        b'{"instruction": "a\\ud800b", "output": "y"}',
        json.dumps({"instruction": "x" * 100_001, "output": "y"}).encode(),
        b"",
        b'{"instruction": "x", "output": ["y", "z"]}',
        b"[" * 100_000,
        b'{"instruction": "x", "output": ' + b"9" * 5000 + b"}",
    ]
    path = tmp_path / "seeds.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))
    found = load(path)
    reasons = {int(b.place.split()[1]): b.reason for b in found.bad}
    expected = {
        4: "not UTF-8",
        5: "not JSON",
        6: "a list",
        7: "a number",
        8: "`instruction` is a number",
        9: "no column `output`",
        10: "empty",
        11: "NUL",
        12: "surrogate",
        13: "100,001 characters",
        15: "a list, not a text",
        16: "not usable JSON",
        17: "not usable JSON",
    }
    assert reasons.keys() == expected.keys()
    assert all(expected[n] in reasons[n] for n in expected), reasons
    assert "columns here: instruction" in reasons[9]
    assert found.total == 3
    with pytest.raises(SeedError) as error:
        load(path, max_bad=12)
    message = str(error.value)
    assert "13 of 16 records are bad" in message
    assert len(re.findall(r"\(\d+ records?: line", message)) == 10
    assert "no column `output`" in message
    assert "seeds.max_bad" in message


def test_files_that_cannot_be_read_at_all(tmp_path):
    path = tmp_path / "a.json"
    for data, what in [
        (b"[1, 2", "not JSON"),
        (b'["\xff"]', "not UTF-8 at line 1"),
        (b"", "no records"),
        (gzip.compress(b"[]" * 99)[:-9], "damaged"),
        (b"\x1f\x8bnonsense", "damaged"),
        (b"PAR1junk", "parquet"),
        (b"[]", "no records"),
        (b"[[[[", "not JSON"),
    ]:
        path.write_bytes(data)
        with pytest.raises(SeedError, match=what):
            load(path)
    with pytest.raises(SeedError, match="no such file"):
        load(tmp_path / "absent.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SeedError, match="no data file"):
        load(tmp_path / "empty")
    with pytest.raises(SeedError, match=r"seeds\.path"):
        load_seeds(SeedSettings(), 0)


def test_too_long_lines_are_skipped_without_being_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("gra.synthesis.seeds.json_files.MAX_LINE", 200)
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(GOOD[0]) + "\n" + "x" * 1000 + "\n" + json.dumps(GOOD[1]))
    found = load(path)
    assert ([s.place for s in found.seeds], [b.place for b in found.bad]) == (["line 1", "line 3"], ["line 2"])


def test_known_shapes(tmp_path):
    v2 = {"idx": "a", "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}
    sft = {
        "conversations": [
            {"role": "system", "content": "S"},
            {"role": "user", "content": "Q"},
            {"role": "assistant", "content": "A"},
        ]
    }
    for shape, record in [
        ("wizardlm", v2),
        ("auto", v2),
        ("condor", sft),
        ("auto", {"messages": sft["conversations"]}),
        ("condor", sft["conversations"]),
        ("wizardlm", {"instruction": "Q", "output": "A"}),
        ("alpaca", {"instruction": "Q", "input": "<noinput>", "output": "A"}),
        ("auto", {"instruction": "Q", "response": "A"}),
        (
            "self_instruct",
            {"instruction": "Q", "instances": [{"input": "", "output": "A"}, {"input": "b", "output": "B"}]},
        ),
    ]:
        seed = load(write(tmp_path / "a.jsonl", [record, record]), format=shape).seeds[0]
        assert (seed.instruction, seed.response) == ("Q", "A"), (shape, record)
    test_set = {"idx": 1, "Skill": "Math", "Difficulty": 1, "Instruction": "Q"}
    assert load(write(tmp_path / "a.jsonl", [test_set])).seeds[0].response == ""
    tree = load(write(tmp_path / "a.json", {"F {x}": {"T": ["a", "b"]}}, lines=False), format="condor")
    assert [s.place for s in tree.seeds] == ["record 1: F {x} / T / a", "record 1: F {x} / T / b"]
    assert "a" in tree.seeds[0].instruction
    assert "F {x}" in tree.seeds[0].instruction


def test_column_map_domains_and_ids(tmp_path):
    records = [
        {"q": "Q", "x": None, "a": "A", "d": "Coding", "n": 7},
        {"q": "R", "x": "in", "a": "B", "d": "", "n": "k"},
    ]
    records += [{"q": "S", "x": "", "a": "C", "d": "cooking", "n": 8}, {"q": "T", "x": "", "a": "C", "d": "", "n": "7"}]
    columns = {"instruction": "q", "input": "x", "response": "a", "domain": "d", "id": "n"}
    found = load(write(tmp_path / "a.jsonl", records), columns=columns)
    assert [(s.id, s.instruction, s.domain) for s in found.seeds] == [("7", "Q", "coding"), ("k", "R\n\nin", None)]
    assert [b.place for b in found.bad] == ["line 3", "line 4"]
    assert "earlier record" in found.bad[1].reason
    with pytest.raises(SeedError, match=r"no column `question` \(columns here: q, x, a, d, n\)"):
        load(tmp_path / "a.jsonl", columns={"instruction": "question"})
    with pytest.raises(SeedError, match="not of a known format"):
        load(tmp_path / "a.jsonl")


def test_parquet_folder_and_hub(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "set"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(GOOD), folder / "b.parquet")
    whole = load(folder / "b.parquet")
    assert len(whole.seeds) == 20
    assert whole.seeds[1].place == "row 2"
    hub = load(f"hf:{folder}")  # `datasets` takes a folder where it takes a hub id
    assert hub.seeds == whole.seeds
    write(folder / "a.jsonl", [{"instruction": "Q", "output": "A"}])
    assert [s.place for s in load(folder).seeds][:2] == ["a.jsonl line 1", "b.parquet row 1"]
    with pytest.raises(SeedError, match="hub data set"):
        load("hf:no-such-owner/no-such-set")
    assert load("b.parquet", base=folder).seeds == whole.seeds


@given(st.integers(0, 99), st.integers(2, 25), st.integers(2, 25))
@settings(max_examples=25, deadline=None)
def test_ids_and_subsets_do_not_depend_on_limit(tmp_path_factory, seed, one, two):
    path = write(tmp_path_factory.mktemp("s") / "a.jsonl", [*GOOD, GOOD[0], {**GOOD[0], "output": "zero"}])
    every = load(path, seed, limit=None)
    assert every.duplicates == 2
    assert len({s.id for s in every.seeds}) == 22
    assert every.seeds[20].id == every.seeds[0].id + "-2"
    small, large = (load(path, seed, limit=n).seeds for n in sorted((one, two)))
    assert len(small) == min(min(one, two), 22)
    assert set(small) <= set(large) <= set(every.seeds)
    assert [s for s in every.seeds if s in set(large)] == large


def test_the_seed_draws_the_subset(tmp_path):
    path = write(tmp_path / "a.jsonl", GOOD)
    assert load(path, 1, limit=10).seeds == load(path, 1, limit=10).seeds != load(path, 2, limit=10).seeds


def test_check_names_key_and_remedy(tmp_path):
    write(tmp_path / "alpaca_data.json", GOOD)
    known, _ = parse(
        SeedSettings,
        {"path": str(tmp_path / "alpaca_dat.json"), "format": "alpaca", "columns": {"instruction": "x"}},
        "seeds",
    )
    assert known is not None
    columns, path = check_seeds(known)
    assert (columns.key, path.key) == ("seeds.columns", "seeds.path")
    assert "alpaca_data.json" in path.remedy
    assert check_seeds(SeedSettings(path="seeds/seeds.jsonl"), base_pending=True) == []
    assert check_seeds(SeedSettings(path="alpaca_data.json"), base=tmp_path) == []
    assert "exists, but has no 'nowhere'" in check_seeds(SeedSettings(path=str(tmp_path / "nowhere/a.json")))[0].remedy
    assert check_seeds(SeedSettings(path="hf:a/b")) == []
    assert "tatsu-lab/alpaca" in check_seeds(SeedSettings(format="alpaca"))[0].remedy
    _, faults = parse(SeedSettings, {"limit": 1, "max_bad": -1, "colums": {}}, "seeds")
    assert {f.key for f in faults} == {"seeds.limit", "seeds.max_bad", "seeds.colums"}
    assert seed_files(SeedSettings(path=str(tmp_path / "alpaca_data.json"))) == {
        "seeds.path": tmp_path / "alpaca_data.json"
    }
    assert seed_files(SeedSettings(path="hf:a/b")) == {}


@pytest.mark.parametrize("name", ["alpaca", "wizardlm", "condor", "self_instruct", "custom"])
def test_config_files_fit_the_settings(name):
    file = ROOT / "conf" / "seeds" / f"{name}.yaml"
    found, faults = parse(SeedSettings, yaml.safe_load(file.read_text()), "seeds")
    assert faults == []
    assert found is not None
    assert [p.key for p in check_seeds(found)] == ["seeds.path"]
    assert file.read_text().startswith("# gra synthesize seeds=" + name)
    assert (found.license is None) == (name == "custom")
