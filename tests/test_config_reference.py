"""The page of all keys and the JSON schema are what the settings classes say, and leave no class and no key out."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import markdown
import pytest
from hydra import compose, initialize_config_dir
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from pydantic.json_schema import models_json_schema
from settings_classes import settings_classes

from gra.config_reference import tables
from gra.config_reference.__main__ import files
from gra.config_reference.page import render, shown_definitions, slug
from gra.config_reference.schema import Schema, whole_schema
from gra.config_reference.tables import EXECUTORS, GROUPS, backends
from gra.config_reference.words import code, prose
from gra.paths import conf_dir
from gra.settings import parse

ROOT = Path(__file__).parents[1]
FILES = files()
SCHEMA = whole_schema()


@pytest.mark.parametrize("name", FILES)
def test_the_committed_file_is_what_is_generated(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == FILES[name], "run: python -m gra.config_reference"


def missing_classes() -> set[str]:
    """The settings classes whose keys the page lacks, by their names in a schema of all classes."""
    _, everything = models_json_schema([(one, "validation") for one in settings_classes()])
    return set(everything["$defs"]) - shown_definitions()


def test_the_page_has_every_settings_class() -> None:
    assert missing_classes() == set()
    assert set(SCHEMA["$defs"]) == shown_definitions()


def test_a_settings_class_that_belongs_nowhere_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(tables.ITEMS, "probe.sources.*")
    assert missing_classes() == {"KnownSettings"}


def rows() -> dict[str, list[list[str]]]:
    """The cells of each row of the page, by its key."""
    found: dict[str, list[list[str]]] = {}
    for line in FILES["configuration.md"].splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            found.setdefault(cells[0].strip("`"), []).append(cells)
    return found


def test_every_row_has_a_key_a_type_a_default_and_a_description() -> None:
    wrong = [cells for many in rows().values() for cells in many if len(cells) != 4 or not (cells[1] and cells[3])]
    assert wrong == []
    assert ["`sft.lora.rank`", "whole number of at least 1", "`16`", "Rank of the adapters (NS)."] in rows()[
        "sft.lora.rank"
    ]
    assert rows()["sft.learning_rate"][0][2] == "required"
    assert rows()["synthesis.decoding.review.max_tokens"][0][2] == "`1024`"
    assert rows()["synthesis.decoding.keywords.max_tokens"][0][2] == "`256`", "the step's default, not the class's"


def unlisted(config: dict[str, Any], place: str, known: set[str]) -> Iterator[str]:
    """The keys of a config below `place` that have no row; `*` counts for any name, and a free mapping's keys need none."""
    if not any(key.startswith(f"{place}.") for key in known):
        return
    for name, value in config.items():
        key = f"{place}.{name}" if f"{place}.{name}" in known else f"{place}.*"
        if key not in known and not any(one.startswith(f"{key}.") for one in known):
            yield f"{place}.{name}"
        elif isinstance(value, dict):
            yield from unlisted(value, key, known)


@pytest.mark.parametrize("group", [*GROUPS, "pool", "cluster"])
def test_every_key_of_a_config_file_is_on_the_page(group: str) -> None:
    known = set(rows())
    found = {
        path.name: list(unlisted(tables.written(path), group, known)) for path in (conf_dir() / group).glob("*.yaml")
    }
    assert {name: keys for name, keys in found.items() if keys} == {}


def test_a_key_without_a_row_is_seen() -> None:
    known = {"a.b", "a.b.c", "a.d", "a.e", "a.e.*.f"}
    config = {"b": {"c": 1, "x": 2}, "d": {"free": 3}, "e": {"any": {"f": 4, "y": 5}}, "z": 6}
    assert list(unlisted(config, "a", known)) == ["a.b.x", "a.e.*.y", "a.z"]


def test_links_of_the_page_lead_to_its_headings() -> None:
    text = render()
    headings = [slug(line.lstrip("# ")) for line in text.splitlines() if re.match(r"#+ ", line)]
    assert len(headings) == len(set(headings))
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= set(headings)


def cell(text: str) -> str:
    """What a reader sees of a table's second cell."""
    built = markdown.markdown(f"| a | b | c |\n| --- | --- | --- |\n| 1 | {text} | 3 |", extensions=["tables"])
    cells = re.findall(r"<td>(.*?)</td>", built, flags=re.DOTALL)
    assert len(cells) == 3, built
    return html.unescape(re.sub(r"</?(code|em|strong)>", "", cells[1]))


@example("&#1")
@example("Weights & Biases [a](b) _target_ <b> | &lt;")
@given(st.text("a_*|<>&[]()\\{}#;1!\"' ", min_size=1).map(lambda text: " ".join(text.split())).filter(bool))
def test_a_description_is_read_as_it_is_written(text: str) -> None:
    assert cell(prose(text)) == text


@example("&#1")
@example("Weights & Biases [a](b) _target_ <b> | &lt;")
@given(st.text("a_*|<>&[]\\{}#;1^$", min_size=1))
def test_code_is_read_as_it_is_written(text: str) -> None:
    built = cell(code(text))
    assert built == text


def definitions() -> Iterator[tuple[str, str, Schema]]:
    for name, definition in SCHEMA["$defs"].items():
        for field, schema in definition["properties"].items():
            yield name, field, schema


def test_what_is_not_required_has_its_default_in_the_schema() -> None:
    """Those made by a factory too."""
    without = [(name, field) for name, field, schema in definitions() if "default" not in schema]
    assert [one for one in without if one[1] not in SCHEMA["$defs"][one[0]].get("required", ())] == []
    assert SCHEMA["$defs"]["Mail"]["properties"]["type"]["default"] == ["FAIL", "END"]


def composed(*words: str) -> dict[str, Any]:
    with initialize_config_dir(str(conf_dir()), version_base=None):
        found = OmegaConf.to_container(compose("chain", [*words]), resolve=True)
    assert isinstance(found, dict)
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def faults(config: Any) -> list[str]:
    validators = pytest.importorskip("jsonschema", reason="jsonschema is not installed: the schema is not tried")
    return [error.json_path for error in validators.Draft202012Validator(SCHEMA).iter_errors(config)]


EXPERIMENTS = [
    ["experiment=quickstart"],
    ["experiment=small"],
    ["experiment=quickstart", "cluster=slurm"],
    ["experiment=small", "cluster=slurm"],
]
NAMED = ["pool.models=[a,{name: b, parameters: 7}]", "pool.base_url=http://h/v1", "student.model=m", "seeds.path=p"]


@pytest.mark.parametrize("words", [*EXPERIMENTS, ["experiment=my_seeds", *NAMED]], ids=" ".join)
def test_the_schema_takes_what_the_commands_take(words: list[str]) -> None:
    assert faults(composed(*words)) == []


@pytest.mark.parametrize("group", [*GROUPS, "pool", "cluster"])
def test_the_schema_refuses_an_unknown_key_and_a_wrong_value(group: str) -> None:
    config = composed("experiment=quickstart", "probe=default", "cluster=slurm")
    models = GROUPS | {"pool": backends()[config["pool"]["_target_"]], "cluster": EXECUTORS["slurm"]}
    assert faults(config) == []
    assert parse(models[group], config[group])[1] == []
    plain = {key for key, value in config[group].items() if not isinstance(value, dict | list)} - {
        "_target_",
        "executor",
    }
    for key in ("no_such_key", min(plain)):
        wrong = config | {group: config[group] | {key: {"a": ["mapping"]}}}
        assert faults(wrong) == [f"$.{group}"]
        assert parse(models[group], wrong[group])[1] != []


def test_a_pool_of_a_users_own_backend_is_left_unchecked() -> None:
    assert faults({"pool": {"_target_": "mine.connect", "models": ["a"], "whatever": 1}}) == []
    assert faults({"pool": {"_target_": "gra.models.openai.backend.connect", "models": ["a"], "whatever": 1}}) != []
