"""Decontamination: what is found and what is not, benchmark files of every schema, and a committee that copies an item."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.errors import ConfigError
from gra.synthesis import stage
from gra.synthesis.decontamination.ngram_index import Index, Item, words
from gra.synthesis.decontamination.settings import DecontaminateSettings
from gra.synthesis.decontamination.sources import check_sources, read_items, sources, unknown_folders

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "benchmarks"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the public benchmark files are not beside the repository"
)
RULES = DecontaminateSettings()
FILES = ("data/train.parquet", "rejected.parquet", "stats.json", "decontamination.json", "README.md")
DUCKS = (
    "Janet\u2019s ducks lay 16 eggs per day. She eats three for breakfast and bakes muffins for her friends with four."
)

word = st.text("abcdefgxyz0123\u00e9\u00fc\u0436", min_size=1, max_size=8)
item_words = st.lists(word.map(lambda w: "i" + w), min_size=13, max_size=40)
other_words = st.lists(word.map(lambda w: "o" + w), max_size=30)  # no word in common with an item's
letters = st.sampled_from("abcdef")
gap = st.sampled_from([" ", ", ", "\n\n", " - ", "... ", ") (", "\t", " **", "** ", "; "])


def index(*questions: str, answers: tuple[str, ...] = (), **rules: Any) -> Index:
    return Index([Item("b", str(i), q, answers) for i, q in enumerate(questions)], DecontaminateSettings(**rules))


@settings(deadline=None)  # the first call loads numpy
@given(item_words, other_words, other_words, st.data())
def test_a_planted_13_gram_is_found_whatever_case_and_punctuation(item, before, after, data):
    begin = data.draw(st.integers(0, len(item) - 13))
    planted = item[begin : begin + 13]
    cased = [data.draw(st.sampled_from([w, w.upper(), w.capitalize()])) for w in planted]
    marks = data.draw(st.lists(gap, min_size=13, max_size=13))
    copied = "".join(w + mark for w, mark in zip(cased, marks, strict=True))
    text = f"{' '.join(before)}. {copied} {' '.join(after)}"
    built = index("which of these is the first", " ".join(item))
    for hit in (built.find(text), built.find("", text), built.find(text, "x")):
        assert hit is not None
        assert (hit.benchmark, hit.item, hit.n) == ("b", "1", 13)
        assert hit.ngram in " ".join(words(" ".join(item)))
        assert hit.ngram in " ".join(words(text))


@given(st.lists(st.lists(letters, min_size=8, max_size=25), min_size=1, max_size=5), st.lists(letters, max_size=60))
def test_hits_are_exactly_the_runs_in_common(items, text):
    """Against the definition, spelled out; a text that shares no 8 words in a row with any item never hits."""
    built = index(*(" ".join(item) for item in items), max_items=None)

    def runs(said, n):
        return {tuple(said[i : i + n]) for i in range(len(said) - n + 1)}

    expected = any(runs(item, n) & runs(text, n) for item in items for n in [13 if len(item) >= 13 else 8])
    assert (built.find(" ".join(text)) is not None) == expected
    if not any(runs(item, 8) & runs(text, 8) for item in items):
        assert built.find(" ".join(text)) is None


def test_short_items_and_answers():
    built = index(
        "What is the largest organ of the human body?",
        "Why is the sky blue?",
        "Say yes.",
        "One two three four five six",
    )
    assert built.find("Tell me: what is THE largest organ, of the human nose").n == 8
    assert built.find("what is the largest organ of a human body") is None
    assert built.find("Explain why is the sky blue, briefly.").ngram == "why is the sky blue"
    assert built.find("why is the sky so blue") is None
    assert built.find("Say yes.", "Say yes.") is None
    assert built.coverage()["b"].not_compared == 1
    assert built.find("one two three four", "five six") is None  # no run goes from the instruction into the response
    only_whole = index("What is the largest organ of the human body?", short_ngram=None)
    assert only_whole.find("what is the largest organ of the human nose") is None
    assert only_whole.find("what is the largest organ of the human body").n == 9
    solution = " ".join(f"step{i}" for i in range(13))
    solved = index("How many?", answers=("yes it is the right one of all nine", solution))
    assert solved.find("yes it is the right one of all nine") is None
    assert solved.find("so", solution).n == 13
    both = index("Why is the sky blue?", answers=(solution,))
    assert both.find("why is the sky blue")
    assert both.find(solution)


def test_boilerplate_of_a_benchmark_is_no_hit_but_its_items_are():
    frame = "read the following paragraph with great care and then answer the question that comes after it"
    items = [f"{frame} number{i}" for i in range(11)]
    built = index(*items)
    assert built.find(frame) is None
    assert built.find(f"{frame} number7").item == "7"
    assert index(*items[:10]).find(frame).item == "0"
    same = index(*[frame] * 11)
    assert same.find(frame) is None
    assert same.coverage()["b"].not_compared == 11
    # a whole item of nothing but boilerplate
    prefix = index(*(f"{frame} again and again" for _ in range(11)), f"{frame} again")
    assert prefix.find(f"please {frame} again").item == "11"


def test_empty_and_hostile_texts():
    assert Index([], RULES).find("anything at all", "") is None
    assert Index([], RULES).coverage() == {}
    built = index("", "...", DUCKS)
    assert built.find("", "") is None
    assert built.find("\udcff\x00 <b>" * 10_000) is None
    assert built.find("x" * 1_000_000 + " " + DUCKS).item == "2"
    assert words("Janet's \uff24\uff35\uff23\uff2b_s __init__ 1,000") == ["janets", "duck_s", "init", "1", "000"]
    assert words("Stra\u00dfe") == ["strasse"]


def test_the_same_items_and_texts_give_the_same_hit():
    items = [" ".join(f"w{zlib.crc32(f'{i}/{k}'.encode()) % 50}" for k in range(30)) for i in range(200)]
    texts = [f"{items[i][:100]} {items[i + 1][20:140]}" for i in range(150)]
    once, again = index(*items), index(*items)
    assert [once.find(t) for t in texts] == [again.find(t) for t in texts]


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps(r) + "\n" for r in records).encode()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


@needs_shared
@pytest.mark.parametrize(
    "name", sorted(p.name for p in SHARED.iterdir() if p.is_dir()) if SHARED.is_dir() else ["none"]
)
def test_every_public_benchmark_file_is_read_whole(name):
    files = set((SHARED / name).rglob("*.jsonl.gz"))
    chosen = DecontaminateSettings(data_dir=str(SHARED), benchmarks=(name,), splits="all")
    found = sources(chosen)
    assert {s.path for s in found} == files
    items = [list(read_items(source)) for source in found]
    for source, here in zip(found, items, strict=True):
        assert len(here) == gzip.decompress(source.path.read_bytes()).count(b"\n")
        assert all(item.question.strip() for item in here)
        assert len({item.id for item in here}) == len(here)
    scored = sources(DecontaminateSettings(data_dir=str(SHARED), benchmarks=(name,)))
    assert 0 < len(scored) <= len(found)
    probe = max((item for s in scored for item in read_items(s)), key=lambda item: len(item.question))
    built = Index((item for s in scored for item in read_items(s)), chosen)
    assert built.find(f"Answer this. {probe.question.upper()}").benchmark == probe.benchmark


@needs_shared
def test_the_whole_folder_needs_no_list_of_benchmarks():
    chosen = DecontaminateSettings(data_dir=str(SHARED))
    assert unknown_folders(chosen) == []
    assert check_sources(chosen, {}) == []
    assert {s.benchmark.split("/")[0] for s in sources(chosen)} == {p.name for p in SHARED.iterdir()}
    assert {
        Path(p).name for p in stage.external_files({"synthesis": {"decontaminate": {"data_dir": str(SHARED)}}}).values()
    } >= {"test.jsonl.gz", "snarks.jsonl.gz"}


GPQA = {
    "Record ID": "rec7",
    "Question": f"{DUCKS} How many eggs are left?\n",
    "Correct Answer": "nine",
    "Incorrect Answer 1": "ten",
    "Incorrect Answer 2": "eleven",
    "Incorrect Answer 3": "twelve",
}
MATH = {
    "problem": "A made-up circle has radius $r$ and its area is nine. What is $r^2 \\pi$?",
    "level": "Level 1",
    "type": "Geometry",
    "solution": "The area of a circle of radius $r$ is $\\pi r^2$, which we are told is $\\boxed{9}$.",
}


@pytest.mark.parametrize(
    ("place", "record", "item"),
    [
        ("gpqa/gpqa_diamond/train.jsonl.gz", GPQA, ("gpqa/gpqa_diamond/train", "rec7")),
        ("gpqa/diamond.jsonl", GPQA, ("gpqa/diamond", "rec7")),
        ("gpqa_diamond/train.jsonl", {**GPQA, "Record ID": None}, ("gpqa_diamond/train", "1")),
        ("math/test.jsonl.gz", MATH, ("math", "test:1")),
        ("hendrycks_math/geometry/test.jsonl.gz", MATH, ("hendrycks_math/geometry", "test:1")),
    ],
)
def test_gpqa_and_math_are_read_in_the_hubs_schema(tmp_path, place, record, item):
    write(tmp_path / place, [record])
    write(tmp_path / "math" / "train.jsonl", [{"problem": "learning from this is fair", "solution": "so"}])
    chosen = DecontaminateSettings(data_dir=str(tmp_path))
    assert (unknown_folders(chosen), check_sources(chosen, {})) == ([], [])
    (source,) = sources(chosen)
    assert source.path == tmp_path / place
    (found,) = read_items(source)
    texts = [record[key] for key in ("Question", "Correct Answer", "problem", "solution") if key in record]
    assert (found.benchmark, found.id, [found.question, *found.answers]) == (*item, texts)
    for text in texts:
        assert Index([found], chosen).find(f"Answer: {text}") or len(words(text)) < chosen.min_words
    write(tmp_path / place, [{"question": "q"}])
    with pytest.raises(ConfigError, match="line 1: not a record of"):
        list(read_items(source))


def test_files_of_your_own_with_named_fields(tmp_path):
    path = write(
        tmp_path / "mine.jsonl.gz", [{"frage": DUCKS, "antwort": "18", "nr": "q7"}, {"frage": "Why?", "antwort": "So."}]
    )
    good = {"path": str(path), "question": "frage", "answer": "antwort"}
    assert [i.id for s in sources(DecontaminateSettings(files=[good])) for i in read_items(s)] == ["1", "2"]
    (source,) = sources(DecontaminateSettings(files=[{**good, "id": "nr", "name": "mine"}]))
    with pytest.raises(ConfigError, match=r"mine.jsonl.gz, line 2: not a record of mine \(KeyError: 'nr'\)"):
        list(read_items(source))
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ConfigError, match="cannot be read"):
        list(read_items(source))


def test_check_names_every_fault_at_once(tmp_path):
    write(tmp_path / "gsm8k" / "test.jsonl", [{"question": DUCKS, "answer": "18"}])
    write(tmp_path / "secret_bench" / "test.jsonl", [{"q": "x"}])
    chosen = DecontaminateSettings(
        data_dir=str(tmp_path), benchmarks=("gsm8k", "mmlu"), files=[{"path": "/nowhere.jsonl"}]
    )
    faults = check_sources(chosen, {"benchmarks": tmp_path})
    assert [p.key.removeprefix("synthesis.decontaminate.") for p in faults] == [
        "benchmarks",
        "files.0.path",
        "inputs.benchmarks",
    ]
    assert unknown_folders(DecontaminateSettings(data_dir=str(tmp_path))) == ["secret_bench"]
    assert check_sources(DecontaminateSettings(data_dir=str(tmp_path / "none")), {})[0].message.startswith(
        "no such folder"
    )
    assert check_sources(DecontaminateSettings(data_dir=str(tmp_path / "none"), enabled=False), {}) == []
    assert check_sources(DecontaminateSettings(), {"benchmarks": None}) == []  # a step that has not run yet
    for wrong in ({"short_ngram": 20}, {"min_words": 9}):
        with pytest.raises(ValueError, match=r"words|ngram"):
            DecontaminateSettings(**wrong)
