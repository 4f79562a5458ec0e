"""Decontamination: what is found and what is not, benchmark files of every schema, and a committee that copies an item."""

from __future__ import annotations

import gzip
import json
import logging
import signal
import zlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import MODELS, Scripted, good_reply

from gra.chain.fingerprint import fingerprint, identity
from gra.errors import ConfigError
from gra.fileio import sha256_file
from gra.models.base import Request
from gra.synthesis import stage
from gra.synthesis.benchmark_items import check_sources, read_items, sources, unknown_folders
from gra.synthesis.decontaminate import Index, Item, words
from gra.synthesis.decontaminate_settings import DecontaminateSettings

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "benchmarks"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the public benchmark files are not beside the repository")
RULES = DecontaminateSettings()
FILES = ("data/train.parquet", "rejected.parquet", "stats.json", "decontamination.json", "README.md")
DUCKS = "Janet\u2019s ducks lay 16 eggs per day. She eats three for breakfast and bakes muffins for her friends with four."

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
    built = index("What is the largest organ of the human body?", "Why is the sky blue?", "Say yes.", "One two three four five six")
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
    prefix = index(*(f"{frame} again and again" for _ in range(11)), f"{frame} again")  # a whole item of nothing but boilerplate
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
@pytest.mark.parametrize("name", sorted(p.name for p in SHARED.iterdir() if p.is_dir()) if SHARED.is_dir() else ["none"])
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
    assert {Path(p).name for p in stage.external_files({"synthesis": {"decontaminate": {"data_dir": str(SHARED)}}})
            .values()} >= {"test.jsonl.gz", "snarks.jsonl.gz"}  # fmt: skip


GPQA = {
    "Record ID": "rec7", "Question": f"{DUCKS} How many eggs are left?\n", "Correct Answer": "nine", "Incorrect Answer 1": "ten",
    "Incorrect Answer 2": "eleven", "Incorrect Answer 3": "twelve",
}  # fmt: skip
MATH = {
    "problem": "A made-up circle has radius $r$ and its area is nine. What is $r^2 \\pi$?", "level": "Level 1", "type": "Geometry",
    "solution": "The area of a circle of radius $r$ is $\\pi r^2$, which we are told is $\\boxed{9}$.",
}  # fmt: skip


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
    path = write(tmp_path / "mine.jsonl.gz", [{"frage": DUCKS, "antwort": "18", "nr": "q7"}, {"frage": "Why?", "antwort": "So."}])
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
    chosen = DecontaminateSettings(data_dir=str(tmp_path), benchmarks=("gsm8k", "mmlu"), files=[{"path": "/nowhere.jsonl"}])
    faults = check_sources(chosen, {"benchmarks": tmp_path})
    assert [p.key.removeprefix("synthesis.decontaminate.") for p in faults] == ["benchmarks", "files.0.path", "inputs.benchmarks"]
    assert unknown_folders(DecontaminateSettings(data_dir=str(tmp_path))) == ["secret_bench"]
    assert check_sources(DecontaminateSettings(data_dir=str(tmp_path / "none")), {})[0].message.startswith("no such folder")
    assert check_sources(DecontaminateSettings(data_dir=str(tmp_path / "none"), enabled=False), {}) == []
    assert check_sources(DecontaminateSettings(), {"benchmarks": None}) == []  # a step that has not run yet
    for wrong in ({"short_ngram": 20}, {"min_words": 9}):
        with pytest.raises(ValueError, match=r"words|ngram"):
            DecontaminateSettings(**wrong)


def config(tmp_path: Path, **rules: Any) -> dict[str, Any]:
    seeds = write(tmp_path / "seeds.jsonl", [{"instruction": f"seed {i} says", "output": f"answer {i}"} for i in range(20)])
    return {
        "seed": 0,
        "seeds": {"path": str(seeds), "format": "jsonl", "name": "s", "license": "mit",
                  "columns": {"instruction": "instruction", "response": "output"}},
        "pool": {"_target_": "test_decontaminate.connect", "models": list(MODELS)},
        "synthesis": {"rounds": 2, "samples_per_round": 12, "max_proposals": 400, "dedup": {"model": "hash"},
                      "decontaminate": rules},
        "runtime": {"concurrency": 8},
    }  # fmt: skip


def copier(request: Request) -> str:
    """A generator that, now and then, writes down a benchmark item it has seen."""
    mark = zlib.crc32(request.canonical)
    if request.schema_name == "instruction" and mark % 3 == 0:
        return json.dumps({"instruction": f"Task {mark}. {DUCKS.upper()} How many are left?"})
    return good_reply(request)


def connect(_pool: dict[str, Any], _runtime: dict[str, Any]) -> Scripted:
    return Scripted(copier)


def synthesize(tmp_path: Path, name: str, inputs: dict[str, Path] | None = None, **rules: Any) -> Path:
    output = tmp_path / name
    output.mkdir()
    stage.run(config(tmp_path, **rules), inputs or {}, output)
    return output


def test_a_copied_item_is_caught_and_the_round_refilled(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    made = tmp_path / "world"
    write(made / "benchmarks" / "ducks.jsonl", [{"id": "d1", "question": "Unlike anything, really.", "answer": "no"},
                                                {"id": "d2", "question": DUCKS, "answer": "9"}])  # fmt: skip
    out = synthesize(tmp_path, "a", {"benchmarks": made})
    kept = pq.read_table(out / "data" / "train.parquet").to_pylist()
    assert [sum(r["round"] == n for r in kept) for n in (1, 2)] == [12, 12]
    assert not any("JANET" in r["instruction"] for r in kept)
    caught = [r for r in pq.read_table(out / "rejected.parquet").to_pylist() if r["reason"] == "contaminated"]
    assert caught
    assert all(r["detail"].startswith("ducks/d2: ") and "JANET" in r["instruction"] for r in caught)
    stats, report = (json.loads((out / name).read_text()) for name in ("stats.json", "decontamination.json"))
    assert stats["contaminated"] == stats["reasons"]["contaminated"] == report["removed"] == len(caught)
    assert stats["accepted"] == stats["kept"] + stats["contaminated"] + stats["duplicates"] + stats["surplus"]
    hits = report["benchmarks"]["ducks"]["hits"]
    assert [h["sample"] for h in hits] == [r["id"] for r in caught]
    assert {(h["item"], h["n"]) for h in hits} == {("d2", 13)}
    assert report["benchmarks"]["ducks"]["items"] == 2
    card = (out / "README.md").read_text()
    assert "Decontamination: 13-gram overlap (short items: 8-gram or whole) with 1 of 2 items of ducks" in card

    again = synthesize(tmp_path, "b", {"benchmarks": made})
    for file in FILES:
        assert sha256_file(out / file) == sha256_file(again / file), file


def test_without_decontamination_the_card_says_so(tmp_path, monkeypatch, caplog):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    folder = write(tmp_path / "suite" / "gsm8k" / "test.jsonl", [{"question": DUCKS, "answer": "9"}]).parents[1]
    off = synthesize(tmp_path, "off", enabled=False, data_dir=str(folder))
    said = json.loads((off / "stats.json").read_text())["decontamination"]
    assert said == "none, switched off (synthesis.decontaminate.enabled=false)"
    assert "**Decontamination: none, switched off" in (off / "README.md").read_text()
    assert str(folder) not in (off / "README.md").read_text()
    assert any("JANET" in r["instruction"] for r in pq.read_table(off / "data" / "train.parquet").to_pylist())
    with caplog.at_level(logging.WARNING, "gra.synthesis.screen"):
        nothing = synthesize(tmp_path, "nothing")
    assert sum("no benchmarks given" in r.message for r in caplog.records) == 1
    assert "**Decontamination: none, no benchmarks given" in (nothing / "README.md").read_text()
    assert json.loads((nothing / "decontamination.json").read_text())["decontamination"] == "none, no benchmarks given"
    on = synthesize(tmp_path, "on", data_dir=str(folder))
    hits = json.loads((on / "decontamination.json").read_text())["benchmarks"]["gsm8k"]["hits"]
    assert {h["item"] for h in hits} == {"test:1"}


def test_the_benchmarks_content_is_part_of_the_fingerprint_their_place_is_not(tmp_path):
    def print_of(folder: Path) -> str:
        chosen = config(tmp_path, data_dir=str(folder))
        files = {k: sha256_file(p) for k, p in stage.external_files(chosen).items()}
        return fingerprint(identity("s", 1, chosen, {}, files, stage.NOT_HASHED))

    here, there, other = (
        write(tmp_path / name / "gsm8k" / "test.jsonl", [{"question": q, "answer": "9"}]).parents[1]
        for name, q in (("here", DUCKS), ("there", DUCKS), ("other", "Else?"))
    )
    assert print_of(here) == print_of(there) != print_of(other)
    off = config(tmp_path, enabled=False, data_dir=str(other))
    assert not any("decontaminate" in key for key in stage.external_files(off))


def test_scripted_screening_does_not_depend_on_concurrency(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    made = tmp_path / "world"
    write(made / "benchmarks" / "ducks.jsonl", [{"question": DUCKS, "answer": "9"}])
    prints = []
    for concurrency in (1, 64):
        output = tmp_path / str(concurrency)
        output.mkdir()
        chosen = config(tmp_path)
        chosen["runtime"] = {"concurrency": concurrency}
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        stage.run(chosen, {"benchmarks": made}, output)
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
        prints.append([sha256_file(output / file) for file in FILES])
    assert prints[0] == prints[1]
