"""Folders as seeds: this project's data folders, save_to_disk, hub layout, files side by side, and which split is read."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest
from seed_writers import GOOD, jsonl, load, pairs, parquet

from gra.errors import SeedError
from gra.synthesis.seed_only import run as seed_only
from gra.synthesis.seeds.load import SeedSettings, check_seeds, seed_files

OTHER = [{"instruction": "Of the test.", "input": "", "output": "T"}] * 3
EXPECTED = [(record["instruction"], record["output"]) for record in GOOD]
ELSE = [("Of the test.", "T")] * 3


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A data folder as a stage of this project writes it."""
    output = tmp_path / "data" / "mine"
    seed_only({"seed": 0, "seeds": {"path": str(write(tmp_path / "a.jsonl", jsonl(GOOD)))}, "runtime": {}}, {}, output)
    assert (output / "rejected.parquet").is_file()
    return output


def test_a_data_folder_of_this_project_gives_its_kept_samples(ours: Path) -> None:
    found = load(ours)
    assert pairs(found) == EXPECTED
    assert any("data folder of this project" in note for note in found.notes)
    assert "data/train.parquet" in found.account()
    assert pairs(load("mine", base=ours.parent)) == EXPECTED
    assert pairs(load(ours / "data" / "train.parquet")) == EXPECTED
    assert seed_files(SeedSettings(path=str(ours))) == {"seeds.path": ours / "data" / "train.parquet"}
    assert check_seeds(SeedSettings(path=str(ours))) == []


def test_what_was_rejected_is_never_read(ours: Path) -> None:
    with pytest.raises(SeedError, match=r"samples that the committee rejected\n.*seeds.path=.*data/train.parquet"):
        load(ours / "rejected.parquet")
    (ours / "data" / "train.parquet").unlink()
    with pytest.raises(SeedError, match="its synthesis has not finished"):
        load(ours)
    (problem,) = check_seeds(SeedSettings(path=str(ours)))
    assert problem.key == "seeds.path"
    (ours / "stats.json").unlink()
    with pytest.raises(SeedError, match="no such file exists"):
        load(ours)
    (ours / "README.md").unlink()
    with pytest.raises(SeedError, match="no data file"):
        load(ours)


def test_the_label_simulated_follows_a_data_folder(ours: Path, tmp_path: Path) -> None:
    (ours / "SIMULATED").write_text("a simulated world")
    seed_only({"seed": 0, "seeds": {"path": str(ours)}, "runtime": {}}, {}, tmp_path / "next")
    assert (tmp_path / "next" / "SIMULATED").is_file()
    card = (tmp_path / "next" / "README.md").read_text()
    assert "is a data folder of this project" in card
    stats = json.loads((tmp_path / "next" / "stats.json").read_text())
    assert stats["seeds"]["read"] == 5
    assert "messages" in stats["seeds"]["columns"] or "instruction" in stats["seeds"]["columns"]


def test_save_to_disk(tmp_path: Path) -> None:
    train, test = datasets.Dataset.from_list(GOOD), datasets.Dataset.from_list(OTHER)
    train.save_to_disk(str(tmp_path / "one"))
    assert pairs(load(tmp_path / "one")) == EXPECTED
    train.save_to_disk(str(tmp_path / "shards"), num_shards=3)
    assert pairs(load(tmp_path / "shards")) == EXPECTED
    train.select([4, 2]).save_to_disk(str(tmp_path / "indices"))
    assert pairs(load(tmp_path / "indices")) == [EXPECTED[4], EXPECTED[2]]
    datasets.DatasetDict(train=train, test=test).save_to_disk(str(tmp_path / "two"))
    found = load(tmp_path / "two")
    assert pairs(found) == EXPECTED
    assert found.notes == ("reading split `train`; left out: test (to read another: seeds.split=test)",)
    assert pairs(load(tmp_path / "two", split="test")) == ELSE
    assert pairs(load(tmp_path / "two" / "test")) == ELSE
    with pytest.raises(
        SeedError, match=r"no split `dev`; splits here: train, test; choose one, e\.g\. seeds\.split=train"
    ):
        load(tmp_path / "two", split="dev")
    (tmp_path / "one" / "data-00000-of-00001.arrow").write_bytes(b"junk")
    with pytest.raises(SeedError, match="save_to_disk"):
        load(tmp_path / "one")


def test_hub_layout(tmp_path: Path) -> None:
    half = [GOOD[:2], GOOD[2:]]
    for number, part in enumerate(half):
        write(tmp_path / "a" / "data" / f"train-{number:05d}-of-00002.parquet", parquet(part))
    write(tmp_path / "a" / "README.md", "# A data set\n")
    assert pairs(load(tmp_path / "a")) == EXPECTED
    write(tmp_path / "a" / "data" / "test-00000-of-00001.parquet", parquet(OTHER))
    found = load(tmp_path / "a")
    assert pairs(found) == EXPECTED
    assert "left out: test" in found.notes[0]
    assert pairs(load(tmp_path / "a", split="test")) == ELSE
    assert check_seeds(SeedSettings(path=str(tmp_path / "a"))) == []


def test_missing_parts_of_a_data_set_are_told(tmp_path: Path) -> None:
    for part, of in ((0, 3), (2, 3)):
        (tmp_path / f"train-{part:05}-of-{of:05}.jsonl").write_text(jsonl(GOOD))
    found = load(tmp_path)
    assert any("only 2 of the 3 parts of `train` are here" in note for note in found.notes)
    (tmp_path / "train-00001-of-00003.jsonl").write_text(jsonl(GOOD))
    assert not any("parts" in note for note in load(tmp_path).notes)


def test_what_training_leaves_beside_data_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(jsonl(GOOD))
    for name in ("tokenizer.json", "eval_results.json", "special_tokens_map.json", "trainer_state.json"):
        (tmp_path / name).write_text("{}")
    assert load(tmp_path).notes == ()


@pytest.mark.parametrize("text", ["hello\nworld\n", "- instruction: Q\n  output: A\n", "const data = [{}]"])
def test_a_text_of_no_known_kind_is_shown_with_the_kinds_that_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(SeedError, match=r"begins with `.*supported are JSON, jsonl, CSV"):
        load(tmp_path / "a.txt")


def test_splits_that_have_other_names_are_asked_for(tmp_path: Path) -> None:
    for split in ("train_sft", "train_gen"):
        write(tmp_path / "data" / f"{split}-00000-of-00001.parquet", parquet(GOOD))
    with pytest.raises(SeedError, match=r"splits here: train_gen, train_sft; choose one, e.g. seeds.split=train_gen"):
        load(tmp_path)
    assert pairs(load(tmp_path, split="train_sft")) == EXPECTED


CARD = """---
license: mit
configs:
- config_name: default
  data_files:
  - split: train
    path: "main/part-*.jsonl"
  - split: test
    path: [main/held.jsonl]
- config_name: other
  data_files: other.jsonl
---
# Card
"""


def test_the_cards_configurations_say_which_files(tmp_path: Path) -> None:
    write(tmp_path / "README.md", CARD)
    write(tmp_path / "main" / "part-1.jsonl", jsonl(GOOD[:3]))
    write(tmp_path / "main" / "part-2.jsonl", jsonl(GOOD[3:]))
    write(tmp_path / "main" / "held.jsonl", jsonl(OTHER))
    write(tmp_path / "other.jsonl", jsonl(OTHER[:1]))
    found = load(tmp_path)
    assert pairs(found) == EXPECTED
    assert "reading configuration `default` of default, other" in found.notes
    assert pairs(load(tmp_path, split="test")) == ELSE
    assert pairs(load(tmp_path, config="other")) == ELSE[:1]
    with pytest.raises(SeedError, match=r"seeds\.config to one of: default, other"):
        load(tmp_path, config="third")


@pytest.mark.parametrize(
    "pattern",
    ["../secret.jsonl", "/etc/passwd", "https://127.0.0.1/a.jsonl", "hf://a/b.jsonl", "sub/../../secret.jsonl"],
)
def test_a_card_leads_nowhere_outside_its_folder(tmp_path: Path, pattern: str) -> None:
    write(tmp_path / "secret.jsonl", jsonl(OTHER))
    write(tmp_path / "set" / "README.md", f"---\nconfigs:\n- config_name: default\n  data_files: '{pattern}'\n---\n")
    write(tmp_path / "set" / "a.jsonl", jsonl(GOOD))
    with pytest.raises(SeedError, match="outside the folder"):
        load(tmp_path / "set")


def test_a_card_without_sense_is_ignored(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", jsonl(GOOD))
    for card in (
        "---\nconfigs: [1, {data_files: 5}]\n---\n",
        "---\n: [\n---\n",
        "---\nconfigs: yes\n---\n",
        "\xff",
        "---\n",
    ):
        write(tmp_path / "README.md", card)
        assert pairs(load(tmp_path)) == EXPECTED


def test_files_side_by_side(tmp_path: Path) -> None:
    write(tmp_path / "b.parquet", parquet(GOOD[3:]))
    write(tmp_path / "a.jsonl", jsonl(GOOD[:3]))
    write(tmp_path / "dataset_infos.json", "{}")
    write(tmp_path / "notes.txt", "none")
    found = load(tmp_path)
    assert pairs(found) == EXPECTED
    assert [seed.place for seed in found.seeds][2:4] == ["a.jsonl line 3", "b.parquet row 1"]
    write(tmp_path / "my_test_set.jsonl", jsonl(OTHER))
    found = load(tmp_path)
    assert pairs(found) == EXPECTED
    assert "my_test_set.jsonl" in found.notes[0]
    write(tmp_path / "train.jsonl", jsonl(GOOD[:1]))
    found = load(tmp_path)
    assert pairs(found) == EXPECTED[:1]
    assert "a.jsonl, b.parquet" in found.notes[0]


def test_only_one_split_or_folders_inside(tmp_path: Path) -> None:
    write(tmp_path / "a" / "test.jsonl", jsonl(GOOD))
    found = load(tmp_path / "a")
    assert (pairs(found), found.notes) == (EXPECTED, ("reading split `test`, the only one",))
    write(tmp_path / "b" / "one" / "x.jsonl", jsonl(GOOD))
    assert pairs(load(tmp_path / "b")) == EXPECTED
    write(tmp_path / "b" / "two" / "y.jsonl", jsonl(OTHER))
    with pytest.raises(SeedError, match=r"several folders inside it \(one, two\)\n    -> set seeds.path to one"):
        load(tmp_path / "b")
    write(tmp_path / "c" / "train" / "x.jsonl", jsonl(GOOD))
    write(tmp_path / "c" / "test" / "x.jsonl", jsonl(OTHER))
    assert pairs(load(tmp_path / "c")) == EXPECTED


def test_splits_inside_a_document(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", json.dumps({"train": GOOD, "test": OTHER}))
    found = load(path)
    assert (pairs(found), found.notes) == (
        EXPECTED,
        ("reading split `train`; left out: test (to read another: seeds.split=test)",),
    )
    assert pairs(load(path, split="test")) == ELSE
    with pytest.raises(SeedError, match=r"no split `dev`; splits here: train, test"):
        load(path, split="dev")
    write(path, json.dumps({"rows": [{"row": GOOD[0]}], "num_rows_total": 52002}))
    assert load(path).notes == ("the file holds 1 of the 52,002 rows of the data set",)
