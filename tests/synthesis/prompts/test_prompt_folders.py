"""Folders of prompts of one's own, of either edition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_prompt_editions import values_of

from gra.models.base import Reply
from gra.synthesis import prompts
from gra.synthesis.checks import check
from gra.synthesis.committee.records import DIMENSIONS
from gra.synthesis.replies.reading import read
from gra.synthesis.settings import SynthesisSettings
from gra.synthesis.stage import external_files

OLD = (
    "{% block system %}You judge.{% endblock %}{% block user %}# Task: review a response\n{{ instruction | fence }}\n"
    "{{ response | fence }}{% endblock %}"
)
NEW = (
    "{% block reply %}text{% endblock %}{% block example_user %}About {{ example.keywords[0] }}{% endblock %}"
    "{% block example_assistant %}{{ example.instruction }}{% endblock %}{% block user %}About {{ keywords[0] }}{% endblock %}"
)


def config(folder: str | None) -> dict[str, Any]:
    pool = {"_target_": "gra.simulation.backend.connect", "models": ["slm-a", "slm-b", "slm-c", "slm-d", "slm-e"]}
    return {"seed": 0, "seeds": {"path": __file__}, "pool": pool, "synthesis": {"prompts": folder}, "runtime": {}}


def faults(folder: Path | str | None) -> list[str]:
    found = check(config(None if folder is None else str(folder)), {})
    return [f"{fault.message}; {fault.remedy}" for fault in found if fault.key == "synthesis.prompts"]


def test_a_folder_of_single_message_prompts_works_as_before(tmp_path: Path) -> None:
    (tmp_path / "review.jinja").write_text(OLD)
    own = str(tmp_path)
    assert faults(tmp_path) == []
    assert prompts.render("review", own, **values_of()["review"])[0]["content"] == "You judge."
    for step in prompts.STEPS:
        assert prompts.style(step, own) == "classic"
        assert not prompts.has_examples(step, own)
        if step != "review":
            assert prompts.render(step, own, **values_of()[step]) == prompts.render(
                step, "classic", **values_of()[step]
            )
    review = {"strengths": "a", "weaknesses": "b", **dict.fromkeys(DIMENSIONS, 8)}
    assert read("review", Reply(json.dumps(review)), values=values_of()["review"], style="classic").fault is None


def test_a_folder_of_the_second_edition_takes_the_rest_from_turns(tmp_path: Path) -> None:
    (tmp_path / "instruction.jinja").write_text(NEW)
    (tmp_path / "domains").mkdir()
    (tmp_path / "domains" / "coding.jinja").write_text("{% block reviewer %}Look at the code twice.{% endblock %}")
    own = str(tmp_path)
    assert faults(tmp_path) == []
    assert prompts.style("instruction", own) == "text"
    assert prompts.render("instruction", own, **values_of()["instruction"])[-1]["content"] == "About salt"
    assert "Look at the code twice." in prompts.render("check", own, **values_of()["check"])[-1]["content"]
    seen = prompts.render("keywords", own, **values_of()["keywords"])
    assert seen == prompts.render("keywords", "turns", **values_of()["keywords"])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("review.jinja", "{% block system %}x{% endblock %}", "the block `user` is missing"),
        ("review.jinja", "{% block reply %}text{% endblock %}{% block user %}x{% endblock %}", "must be json"),
        ("keywords.jinja", "{% block reply %}yaml{% endblock %}{% block user %}x{% endblock %}", "json or text"),
        ("keywords.jinja", "{% block example_user %}x{% endblock %}{% block user %}x{% endblock %}", "go together"),
        ("keywords.jinja", "{% block user %}{{ {% endblock %}", "keywords.jinja"),
        ("examples.json", "[{]", "examples.json"),
        ("examples.json", '[{"domain": "coding"}]', "examples.json"),
    ],
)
def test_faults_of_a_folder_are_told_before_any_work(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    assert any(words in fault for fault in faults(tmp_path))


def test_what_is_no_edition_is_told_and_null_is_the_default() -> None:
    assert any("turns, classic" in fault for fault in faults("no/such/folder"))
    assert faults(None) == faults("turns") == faults("classic") == []
    assert SynthesisSettings.model_validate({"prompts": None}).prompts == SynthesisSettings().prompts == prompts.DEFAULT


def test_all_files_that_shape_the_messages_are_hashed() -> None:
    classic, turns = (set(external_files(config(name))) for name in ("classic", "turns"))
    assert {name for name in classic if "prompts" in name} == {f"synthesis.prompts/{step}" for step in prompts.STEPS}
    assert turns > classic
    assert {"synthesis.prompts/domains/coding.jinja", "synthesis.prompts/examples.json"} <= turns
    assert len({prompts.digest(name) for name in prompts.EDITIONS}) == 2
    assert prompts.digest(None) == prompts.digest(prompts.DEFAULT)
