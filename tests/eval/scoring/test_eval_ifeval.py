"""IFEval's checks with no download, on replies whose verdict is plain, and on hostile ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from gra.eval.scoring import ifeval

KEYS = ("prompt_level_strict_acc", "inst_level_strict_acc", "prompt_level_loose_acc", "inst_level_loose_acc")


def doc(*instructions: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    names, kwargs = [name for name, _ in instructions], [given for _, given in instructions]
    return {"key": 1, "prompt": "Do so.", "instruction_id_list": names, "kwargs": kwargs}


def sentences(relation: str, count: int) -> tuple[str, dict[str, Any]]:
    return "length_constraints:number_sentences", {"relation": relation, "num_sentences": count}


COMMA = ("punctuation:no_comma", {"num_words": None})  # the hub's copy shows absent keys as null
JSON = ("detectable_format:json_format", {})
CAPITALS = ("change_case:capital_word_frequency", {"capital_relation": "at least", "capital_frequency": 2})
PLACES = ("detectable_content:number_placeholders", {"num_placeholders": 1})
POSTSCRIPT = ("detectable_content:postscript", {"postscript_marker": "P.S."})
BULLETS = ("detectable_format:number_bullet_lists", {"num_bullets": 1})
TITLE = ("detectable_format:title", {})
HASHES = ("keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": "at least"})
GERMAN = ("language:response_language", {"language": "de"})


@pytest.mark.parametrize(
    ("item", "reply", "strict", "loose"),
    [
        (doc(COMMA), "No comma here.", True, True),
        (doc(COMMA), "Sure, here it is:\nNo comma here.", False, True),  # loose: without the first line
        (doc(COMMA, JSON), "Nothing of the kind.", False, False),
        (doc(sentences("less than", 3)), "Dr. Smith left at 5 p.m. on Jan. 3rd. He was late.", True, True),
        (doc(sentences("at least", 3)), "Is it? Yes! It is... Then we agree.", True, True),
        (doc(sentences("at least", 3)), "One. Two.", False, False),
        (doc(CAPITALS), "This is VERY GOOD.", True, True),
        (doc(CAPITALS), "This is VERY good.", False, False),
        (doc(GERMAN), "Das ist ein ganz einfacher Satz auf Deutsch, und noch einer dazu.", True, True),
        (doc(HASHES), "#one #two", True, True),
        (doc(HASHES), "any letters at all, over and over: aeiou bcdfg", False, False),
        (doc(COMMA), "", False, False),
    ],
)
def test_plain_verdicts(item: dict[str, Any], reply: str, strict: bool, loose: bool) -> None:
    found = ifeval.judge(item, [reply])
    assert tuple(found) == KEYS
    assert (found[KEYS[0]], found[KEYS[2]]) == (strict, loose)
    assert len(found[KEYS[1]]) == len(item["instruction_id_list"])


def test_the_share_of_instructions_is_over_all_items() -> None:
    assert ifeval.share_of_instructions([[True, False], [True], [True]]) == 0.75


@pytest.mark.parametrize(
    "text", ["[", "{", " ", "\n", "*", "<", "p", "P.S. ", "\0", "a.", "[x", "A", "\t- ", "。", "1."]
)
def test_a_hostile_reply_is_judged_in_time_and_breaks_nothing(text: str) -> None:
    began = time.monotonic()
    everything = doc(COMMA, JSON, CAPITALS, PLACES, POSTSCRIPT, BULLETS, TITLE, GERMAN, sentences("at least", 3))
    found = ifeval.judge(everything, [text * (3_000_000 // len(text))])
    assert found[KEYS[0]] is False
    assert time.monotonic() - began < 20


def test_json_nested_too_deep_follows_no_instruction() -> None:
    deep = "".join(f"[{n}," for n in range(5000))
    assert ifeval.judge(doc(JSON, TITLE), [deep]) == dict(zip(KEYS, [False, [False, False]] * 2, strict=True))


def test_the_splitter_is_ours_where_nltk_has_none(tmp_path: Path) -> None:
    import nltk

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nltk.data, "path", [])
        assert ifeval.prepare() == "gra's abbreviations"
        assert ifeval.prepare() == "gra's abbreviations"
        assert nltk.data.path == [str(ifeval.OWN)]
        theirs = tmp_path / "nltk_data" / "tokenizers" / "punkt_tab"
        theirs.mkdir(parents=True)
        (theirs / "english").symlink_to(ifeval.OWN / "tokenizers" / "punkt_tab" / "english")
        patch.setattr(nltk.data, "path", [str(tmp_path / "nltk_data")])
        assert ifeval.prepare() == "nltk punkt_tab"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Mr. and Mrs. Hall live at 12 Oak Ave. near St. Paul's. They like it.", 2),
        ("It grew in the U.S. and in the U.K. for years, e.g. in Kent.", 1),
        ("I waited... The bus never came. So I walked!", 3),
        ("It costs $3.50 or 4.20 Euro. That is a lot?! Yes.", 3),
        ('"Stop." He left. J. R. R. Tolkien wrote it.', 3),
        ("1. First.\n2. Second, i.e. the last.", 4),  # as nltk's own has it: the numbers of a list stand alone
        ("No full stop at all", 1),
    ],
)
def test_sentences_as_a_reader_counts_them(text: str, count: int) -> None:
    import nltk

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nltk.data, "path", [str(ifeval.OWN)])
        splitter = nltk.tokenize.PunktTokenizer("english")
    assert len(splitter.tokenize(text)) == count, splitter.tokenize(text)
