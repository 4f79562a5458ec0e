"""Folders of prompts of one's own, of either edition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted import MODELS, Scripted
from test_prompt_editions import values_of
from test_rounds import synthesize

from gra.errors import ConfigError
from gra.models.base import Reply
from gra.synthesis import prompts
from gra.synthesis.checks import check
from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.records import DIMENSIONS, Seed
from gra.synthesis.prompts import variables
from gra.synthesis.refining.exchange import draw_task, refine
from gra.synthesis.refining.settings import RefineSettings
from gra.synthesis.replies.reading import read
from gra.synthesis.scoring.examples import Shelf
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
USER = "{% block user %}{{ instruction }}{% endblock %}"


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
        ("review.jinja", USER + "{% block sytem %}x{% endblock %}", "block `sytem`; did you mean `system`?"),
        ("rewrite.jinja", "{% block user %}{{ {% endblock %}", "rewrite.jinja: line 1"),
        ("domains/coding.jinja", "{% block reviewr %}x{% endblock %}", "did you mean `reviewer`?"),
        ("examples.json", "[{]", "examples.json"),
        ("examples.json", '[{"domain": "coding"}]', "examples.json"),
    ],
)
def test_faults_of_a_folder_are_told_before_any_work(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert any(words in fault for fault in faults(tmp_path))


@pytest.mark.parametrize(
    ("name", "user", "words"),
    [
        (
            "respond.jinja",
            "{{ instructon }}",
            "`instructon` (block `user` of respond.jinja); did you mean `instruction`?",
        ),
        ("respond.jinja", "{% if slots == 'never' %}{{ respnse }}{% endif %}", "Variables there: instruction, slots"),
        ("rewrite.jinja", "{{ answer }}", "unknown variable `answer`"),
        ("review.jinja", "{% set mine = 1 %}{{ mine }}{{ reviews }}", "unknown variable `reviews`"),
        ("instruction.jinja", "{{ example.instruction }}", "unknown variable `example`"),
        ("instruction.jinja", "{% for record in records %}{{ record.titel }}{% endfor %}", "no attribute 'titel'"),
        ("instruction.jinja", "{{ keywords + 1 }}", "instruction.jinja: can only concatenate"),
        ("respond.jinja", "{% include '_style.jinja' %}", "_style.jinja, which does not exist"),
        ("domains/coding.jinja", None, "domains/coding.jinja: unknown variable `domain`"),
        ("_rubric.jinja", None, "unknown variable `reviewer`"),
    ],
)
def test_an_unknown_variable_is_told_before_any_call(tmp_path: Path, name: str, user: str | None, words: str) -> None:
    (tmp_path / "domains").mkdir()
    text = "{% block reviewer %}{{ domain }}{% endblock %}" if "domains" in name else "{{ reviewer }}"
    (tmp_path / name).write_text(text if user is None else f"{{% block user %}}{user}{{% endblock %}}")
    found = faults(tmp_path)
    assert found
    assert all(words in fault and str(tmp_path) in fault for fault in found), found


def test_what_a_template_sets_tests_or_includes_is_no_fault_and_a_mended_file_is_read_again(tmp_path: Path) -> None:
    own = tmp_path / "respond.jinja"
    own.write_text("{% block user %}{{ tone }}{% endblock %}")
    assert len(faults(tmp_path)) == 1
    own.write_text(
        "{% block user %}{% set tone = 'kind' %}{% for word in instruction.split() %}{{ word }} {% endfor %}"
        "{{ extra | default('') }}{% include '_style.jinja' %}{% include 'none.jinja' ignore missing %}{% endblock %}"
    )
    (tmp_path / "_style.jinja").write_text("Be {{ tone }}: {{ instruction | line }}")
    for name in ("README.md", ".gitignore", "respond.jinja~", "notes.json"):
        (tmp_path / name).write_text("mine")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "respond.jinja").write_text(OLD)
    assert faults(tmp_path) == []
    assert prompts.render("respond", str(tmp_path), instruction="Sing.")[0]["content"] == "Sing. Be kind: Sing."


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("responds.jinja", "did you mean `respond`?"),
        ("review.jinja2", "did you mean `review`?"),
        ("zz.jinja", "rename it, or remove it"),
        ("domains/codin.jinja", "did you mean `domains/coding`?"),
        ("domain/coding.jinja", "did you mean `domains/coding`?"),
        ("example.json", "did you mean `examples`?"),
    ],
)
def test_a_file_that_no_prompt_uses_is_told_with_the_right_names(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / "domains").mkdir()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(OLD)
    (fault,) = faults(tmp_path)
    assert f"{tmp_path / name}: no prompt uses this file" in fault
    assert hint in fault
    assert "annotate_seed.jinja, keywords.jinja" in fault


@pytest.mark.parametrize("edition", prompts.EDITIONS)
def test_the_variables_that_the_check_knows_are_those_that_a_run_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edition: str
) -> None:
    given: dict[str, set[str]] = {}
    render = prompts.render

    def noted(step: str, edition: str | None = None, **values: Any) -> Any:
        given.setdefault(step, set()).update(values)
        return render(step, edition, **values)

    monkeypatch.setattr(prompts, "render", noted)
    synthesize(Scripted(), tmp_path / "a.sqlite", prompts=edition, samples_per_round=5, delta=0.1)
    rules, seed = (
        Rules(0, SynthesisSettings(prompts=edition)),
        Seed("s", "Add 2 and 2.", "5", "", "coding", ("a",), "A sum."),
    )
    settings = RefineSettings(write="rewrite", check=False)
    next(refine(draw_task(seed, 0, MODELS, rules), settings, rules, Shelf(0, None)))
    assert {step: names - {"demonstrations"} for step, names in given.items()} == {
        step: set(variables.values(step)) for step in (*prompts.STEPS, prompts.REWRITE)
    }


def test_a_template_that_fails_with_some_values_alone_ends_the_run_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "keywords.jinja").write_text("{% block user %}# Task: propose keywords {{ taken[0] }}{% endblock %}")
    assert faults(tmp_path) == []
    with pytest.raises(ConfigError, match=r"keywords\.jinja: .*has no element 0"):
        synthesize(Scripted(), tmp_path / "a.sqlite", prompts=str(tmp_path))


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
