"""The help page of a command: words for every key, only its own groups, any width, faulty words beside --help."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gra.chain.config.overrides import compose_sound
from gra.cli import main
from gra.cli_help import PAGES
from gra.config_reference.command_help import groups_of, key_rows, page

COMMITTEE = {"seeds", "pool", "synthesis"}
TRAINING = {"student", "sft", "tracking"}
USED = {
    **dict.fromkeys(("synthesize", "merge"), COMMITTEE | {"tracking"}),
    "refine": COMMITTEE | {"refine", "tracking"},
    "probe": COMMITTEE | {"probe"},
    **dict.fromkeys(("prepare", "train"), TRAINING),
    "eval": {"suite", "tracking"},
    "fetch": {"suite"},
    **dict.fromkeys(
        ("run", "plan", "compare", "submit"),
        COMMITTEE | TRAINING | {"probe", "refine", "suite", "world", "cluster", "experiment"},
    ),
}
CHOICES = [(name, "") for name in PAGES] + [
    ("synthesize", "pool=small"),
    ("synthesize", "pool=simulated"),
    ("synthesize", "pool=paper"),
    ("synthesize", "pool=phased_transformers"),
    ("train", "sft=full_zero3"),
    ("train", "student=tiny"),
    ("eval", "suite=paper"),
    ("run", "experiment=quickstart"),
    ("submit", "experiment=small cluster=slurm"),
]


def keys_without_words(command: str, words: list[str]) -> list[str]:
    app = PAGES[command].app
    made = compose_sound(app, words, groups_of(app))
    assert made.problems == []
    rows = [row for block in key_rows(app, made.config, chain=app == "chain") for row in block]
    assert len(rows) > 3
    return [key for key, _, text in rows if len(text.split()) < 2]


@pytest.mark.parametrize(("command", "words"), CHOICES)
def test_every_key_has_a_description(command: str, words: str) -> None:
    assert keys_without_words(command, words.split()) == []


def test_a_key_without_a_description_is_seen() -> None:
    assert keys_without_words("train", ["+sft.no_such_key=1"]) == ["sft.no_such_key"]


@pytest.mark.parametrize("command", PAGES)
def test_a_page_names_the_groups_of_its_command_and_no_others(command: str) -> None:
    listed = page(command, [], 120).partition("\ngroups")[2].partition("\n\n")[0]
    assert set(re.findall(r"^  (\w+) ", listed, re.MULTILINE)) == USED[command]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", PAGES)
def test_a_page_fits_its_width(command: str, width: int) -> None:
    lines = page(command, [], width).splitlines()
    assert [line for line in lines if len(line) > width] == []
    assert lines[0].startswith(f"usage: gra {command} ")
    assert max(map(len, lines)) > width - 10, "it uses the width"


def test_the_page_shows_the_config_of_the_groups_that_were_chosen() -> None:
    text = page("synthesize", ["pool=small", "synthesis.tau=7"], 100)
    assert "small*" in text
    assert "servers*" not in text
    assert "pool.serve.restarts=3 " in text
    assert "synthesis.tau=7 " in text
    assert "pool.serve.restarts" not in page("synthesize", [], 100)
    assert "stages'" not in text
    assert "synthesis.tau" not in page("run", [], 100), "an experiment's page leaves stages' keys to the stages"


@pytest.mark.parametrize(("given", "most"), [("70", 70), (None, 100)])
def test_a_page_is_as_wide_as_the_terminal(given: str | None, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if given is not None:
        monkeypatch.setenv("COLUMNS", given)
    run = subprocess.run([sys.executable, "-m", "eval", "--help"], capture_output=True, text=True, check=True)
    assert most - 8 < max(map(len, run.stdout.splitlines())) <= most


def test_a_repeated_description_is_shown_once() -> None:
    text = page("synthesize", [], 120)
    assert text.count("Longest reply in tokens") == 1
    assert "synthesis.decoding.review={temperature: 0.0, top_p: 1.0, max_tokens: 1024}" in text


def test_a_folder_of_ones_own_adds_its_options(tmp_path: Path) -> None:
    (tmp_path / "sft").mkdir()
    (tmp_path / "sft" / "mine.yaml").write_text("defaults: [lora]\nlearning_rate: 0.5\n")
    text = page("train", ["--config-dir", str(tmp_path), "sft=mine"], 100)
    assert "lora, mine*, paper" in text
    assert "sft.learning_rate=0.5 " in text


FAULTY = {
    "synthesis.tua=3": "did you mean `synthesis.tau`",
    "pool=smal": "did you mean pool=small",
    "tau 7": "tau: not key=value",
    "pool=[": "pool=[: ",
    "~sft": "sft: ",
    "pool=null": "pool: ",
    "--sede": "--sede: unknown flag",
    "=": "(no key): ",
}


@pytest.mark.parametrize("words", FAULTY)
def test_a_faulty_word_beside_help_is_named_and_the_rest_is_shown(words: str) -> None:
    text = page("synthesize", [*words.split(), "seeds=starter"], 100)
    assert "starter*" in text
    assert FAULTY[words] in text.partition("left out here")[2]


@pytest.mark.parametrize("words", ["seed=0,1 -m", "merge round=1", "shard=0/4 round=1", "--cfg job", "-cd", "--cfg"])
def test_words_that_the_command_takes_are_no_faults(words: str) -> None:
    assert "left out here" not in page("synthesize", words.split(), 100)


@given(st.lists(st.text(st.sampled_from("-=~+ :.a1[]{}$'pool"), max_size=6), max_size=3))
@example(["+="])  # Hydra fails with an assertion
def test_any_words_beside_help_give_a_page(words: list[str]) -> None:
    assert page("fetch", words, 80).startswith("usage: gra fetch ")


@pytest.mark.parametrize(
    ("command", "example"), [(name, one) for name, told in PAGES.items() for _, one in told.examples]
)
def test_the_examples_compose(
    command: str, example: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert example.startswith(f"{command} ")
    monkeypatch.setattr("sys.argv", ["gra", *shlex.split(example), "--help"])
    assert main() == 0
    assert "left out here" not in capsys.readouterr().out
    printed = " ".join(page(command, [], 80).partition("\nexamples:")[2].replace("\\\n", " ").split())
    assert f"gra {example}" in printed


def test_flags_beside_help_are_no_faults(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for line in (
        "compare experiment=quickstart --items-only --contrast a-b --power 3 -h",
        "submit --dry-run --live --help",
    ):
        monkeypatch.setattr("sys.argv", ["gra", *line.split()])
        assert main() == 0
        shown = capsys.readouterr().out
        assert "left out here" not in shown
        assert ("experiment.compare.power=3 " in shown) == ("--power" in line)


def test_a_page_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['gra', 'train', '--help']; from gra.cli import main; code = main();"
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow', 'scipy', 'lm_eval'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "usage: gra train" in run.stdout
