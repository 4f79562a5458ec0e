"""Seeds, replies and server answers written to do harm, and configurations that are wrong in many ways at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.errors import SeedError
from gra.models.base import Reply, Request
from gra.synthesis.checks import check
from gra.synthesis.committee.calls import Call
from gra.synthesis.engine.journal import Journal
from gra.synthesis.output import inspect
from gra.synthesis.prompts import fence
from gra.synthesis.seeds.load import SeedSettings, load_seeds
from gra.wellformed import printable, well_formed


@given(st.text())
def test_well_formed_text_is_left_alone_and_any_text_becomes_well_formed(text: str) -> None:
    assert well_formed(text) == text
    broken = text + "\ud800"
    assert well_formed(broken).encode() == (text + "\ufffd").encode()
    assert not set(printable(text)) & {chr(c) for c in range(32) if c not in (9, 10)}


@pytest.mark.parametrize(
    "tag", ["</response>", "</response >", "</ response>", "<REVIEW>", '<review id="1">', "< /instruction>"]
)
def test_no_spelling_of_our_tags_survives(tag: str) -> None:
    fenced = fence(f"a {tag} b")
    assert fenced == f"a {tag.replace('<', chr(60) + chr(92), 1)} b"


def test_replies_cannot_steer_the_terminal_or_the_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = Request("m[/b]", ({"role": "user", "content": "[bold]x\x1b]0;title\x07"},), 0.0, 1.0, 1, 0)
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.record(Call("s", "keywords", "generator", 0, request), Reply("[/red]\x1b[2J", finish="[/b]"), 0.0)
    assert inspect.main([str(tmp_path), "--sample", "s"]) == 0
    assert inspect.main([str(tmp_path), "--list"]) == 0
    shown = capsys.readouterr().out
    assert "[/red]" in shown
    assert "\x1b" not in shown


def test_a_seed_may_not_be_called_like_a_sample(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_text(
        '{"id": "r1-000000", "instruction": "a", "output": "b"}\n{"id": "mine", "instruction": "c", "output": "d"}\n'
    )
    settings = SeedSettings(path=str(path), columns={"instruction": "instruction", "response": "output", "id": "id"})
    assert {seed.id for seed in load_seeds(settings, 0).seeds} == {"seed-r1-000000", "mine"}


def test_faults_of_all_groups_are_told_together(tmp_path: Path) -> None:
    config = {
        "seed": "zero",
        "seeds": {"path": str(tmp_path / "none.json")},
        "pool": {
            "_target_": "gra.models.openai.backend.connect",
            "models": ["a", "b"],
            "base_url": "http://127.0.0.1:1/v1",
        },
        "synthesis": {"tau": 30, "reviewers": 9, "roundz": 2, "max_proposals": 1, "samples_per_round": 5},
        "runtime": {"concurrency": 0, "embed_workers": -2},
    }
    told = {problem.key for problem in check(config, {})}
    assert told >= {
        "seed",
        "seeds.path",
        "synthesis.tau",
        "synthesis.roundz",
        "synthesis.reviewers",
        "synthesis.max_proposals",
        "runtime.concurrency",
        "runtime.embed_workers",
    }


def test_real_models_on_the_simulated_worlds_seeds_are_labelled_simulated(tmp_path: Path) -> None:
    from gra import labels

    (tmp_path / "world" / "seeds").mkdir(parents=True)
    (tmp_path / "world" / "SIMULATED").write_text("a simulated world")
    assert labels.simulated([tmp_path / "world" / "seeds"])
    assert not labels.simulated([tmp_path, None])


def test_names_in_seeds_and_cards_cannot_steer_the_terminal_or_grow_without_end(tmp_path: Path) -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(12)
    )
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "README.md").write_text(f"---\n{bomb}configs:\n- config_name: *m\n  data_files: *m\n---\n")
    (tmp_path / "set" / "a.jsonl").write_text('{"instruction": "a", "output": "b"}\n')
    assert load_seeds(SeedSettings(path=str(tmp_path / "set")), 0).total == 1
    path = tmp_path / "a.json"
    for text in (
        '{"train\\u001b[2J": [{"instruction": "a"}], "test\\u001b[2J": [{"instruction": "a"}]}',
        '{"in\\u001b[2J": "a", "out\\u001b[2J": "b"}',
        '{"instruction": ["a"], "output\\u001b[2J": ["b", "c"]}',
        '{"messages": [{"role": "x\\u001b[2J", "content": "a"}]}',
        '{"messages": [{"role": "user", "content": [{"type": "x\\u001b[2J"}]}]}',
    ):
        path.write_text(text)
        with pytest.raises(SeedError) as error:
            load_seeds(SeedSettings(path=str(path)), 0)
        assert "\x1b" not in str(error.value)
