"""An odd path is taken as it is typed, or answered with the words to type; words that the program prints can be typed."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from gra.synthesis.engine.sharding import rewrite
from gra.typed import spelt, to_type

ODD = [
    "/x/日本",
    "a=b",
    "x#y",
    "x(1)",
    "~foo",
    "a b",
    " a ",
    "a,b",
    "it's",
    'say "hi"',
    "C:\\data\\",
    "12",
    "1e5",
    "null",
    "true",
    "[x]",
    "{a: b}",
    "a: b",
    "*",
    "a\\,b",
    "-x",
    "${HOME}",
    "$HOME",
    "100%",
    "a;b&c|d",
    "`id`",
    "!x",
    "x\\'y",
    "é",
    "nan",
    "???",
    "\\${x}",
    "int(3)",
    "a\tb",
    '"q"',
    "'q'",
    "//",
    "a@b",
]
TEXTS = st.text(st.sampled_from("aZ0 /.~=#(){}[]<>,:;'\"\\$!&|*?%@-+_é日\t`^"), min_size=1, max_size=12)


def value(word: str) -> object:
    """What a config gets of an override, by Hydra's parser and OmegaConf's."""
    read = OverridesParser.create().parse_override(word)
    assert not read.is_sweep_override(), word
    return OmegaConf.to_container(OmegaConf.create({"v": read.value()}), resolve=True)["v"]


def from_shell(printed: str) -> list[str]:
    """The words that a POSIX shell makes of a printed command."""
    shown = subprocess.run(["sh", "-c", f"printf '%s\\0' {printed}"], capture_output=True, check=True)
    return shown.stdout.decode().split("\0")[:-1]


@given(TEXTS)
@example("a\\")
@example("null")
@example("${a}")
@example("\\\\${a}")
def test_what_is_printed_to_type_gives_that_text(text: str) -> None:
    for key in ("output", "seeds.columns.response", "+inputs.data_2"):
        (word,) = shlex.split(to_type(key, text))
        (passed,), faults = spelt([word])
        assert not faults
        assert value(passed) == text


def test_it_holds_in_a_real_shell() -> None:
    words = from_shell(" ".join(to_type("output", text) for text in ODD))
    assert [value(word) for word in spelt(words)[0]] == ODD


@given(TEXTS.filter(lambda t: t.strip()[:1] not in ("'", '"') and "${" not in t and t not in ("null", "???")))
def test_a_path_is_taken_as_typed_or_its_two_readings_are_told(text: str) -> None:
    (word,), faults = spelt([f"output={text}"])
    if not faults:
        assert value(word) == text
        return
    told = [word for word in shlex.split(faults[0].remedy.replace(", for", " for")) if word.startswith("output=")]
    assert text in [value(word) for word in told]  # one of the words to type gives what was typed


@given(st.lists(st.tuples(st.sampled_from(["output", "store", "seeds.path", "synthesis.tau"]), TEXTS), max_size=3))
def test_spelling_twice_changes_nothing(pairs: list[tuple[str, str]]) -> None:
    first, faults = spelt([f"{key}={text}" for key, text in pairs])
    if not faults:
        assert spelt(shlex.split(shlex.join(first))) == (first, [])


@pytest.mark.parametrize(
    "text", [t for t in ODD if t[:1] not in "\"'" and t not in ("null", "???", "${HOME}", "a\\,b", "//")]
)
def test_shards_find_a_folder_with_an_odd_name(text: str) -> None:
    _, words = rewrite(["shard=0/2", "round=2", f"output={text}"])
    words = spelt(words)[0]
    place = dict(word.split("=", 1) for word in words)
    stem = text.rstrip("/")
    assert value(f"k={place['output']}") == f"{stem}.shards/round-2/shard-0-of-2"
    assert value(f"k={place['+inputs.previous']}") == f"{stem}.shards/merged-1"
    assert "runtime.reuse" not in place  # a shard finds the other journals of its step by itself (shard_folders.py)


@pytest.mark.parametrize("text", ["{a}", '"a', "[a", "int(x y"])
def test_a_value_that_is_not_whole_is_answered_with_the_words_to_type(text: str) -> None:
    _, (fault,) = spelt([f"seeds.columns.response={text}"])
    (typed,) = [
        word for word in shlex.split(fault.remedy.partition(";")[0]) if word.startswith("seeds.columns.response=")
    ]
    assert value(typed) == text


def test_lists_of_odd_names_are_read() -> None:
    (word,), faults = spelt(["runtime.reuse=[/x/日本, a=b, x#y]"])
    assert not faults
    assert value(word) == ["/x/日本", "a=b", "x#y"]
    (word,), faults = spelt(["tracking.tags=[a#1, b(2)]"])
    assert not faults
    assert value(word) == ["a#1", "b(2)"]


def test_a_sweep_stays_a_sweep() -> None:
    assert spelt(["seed=0,1", "output=a,b"], multirun=True) == (["seed=0,1", "output=a,b"], [])
    (fault,) = spelt(["output=a=1,b=2"], multirun=True)[1]
    assert "several values: type" in fault.remedy
