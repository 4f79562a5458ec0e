"""Seeds: the same records in every layout, encoding and compression are the same seeds; damage and hostile files are told."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seed_writers import ENCODINGS, GOOD, PACKERS, TABLES, TEXTS, Records, by_arrow, delimited, jsonl, load, pairs

from gra.errors import SeedError
from gra.models.openai.reply_text import answer_of
from gra.synthesis.seeds.text import MISSING

INPUT = 'The input, "quoted";\nover\tlines'
words = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\ufeff", exclude_categories=("Cs",)), min_size=1, max_size=40
)
texts = words.filter(lambda text: text.strip().lower() not in MISSING and not answer_of(text.strip()).cut)
records = st.lists(
    st.fixed_dictionaries({"instruction": texts, "input": st.sampled_from(["", INPUT]), "output": texts}),
    min_size=3,
    max_size=6,
)


def as_seeds(given: Records) -> list[tuple[str, str]]:
    return [
        (
            record["instruction"].strip() + (f"\n\n{record['input']}" if record["input"] else ""),
            record["output"].strip(),
        )
        for record in given
    ]


@pytest.mark.parametrize("name", TEXTS)
def test_every_layout_gives_the_same_seeds(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(TEXTS[name](GOOD))
    found = load(path)
    assert pairs(found) == as_seeds(GOOD)
    assert (found.bad, found.total) == ([], 5)
    assert [seed.id for seed in found.seeds] == [
        seed.id for seed in load(write(tmp_path, "b.jsonl", jsonl(GOOD).encode())).seeds
    ]


def write(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@given(records, st.sampled_from(sorted(TEXTS)), st.sampled_from(sorted(ENCODINGS)), st.sampled_from(sorted(PACKERS)))
@settings(max_examples=100)
def test_layout_encoding_and_compression_do_not_change_the_seeds(
    tmp_path_factory: pytest.TempPathFactory, given: Records, name: str, encoding: str, packer: str
) -> None:
    if name == "splits.json":
        given = [record for record in given if record["output"] != "of the test"] or GOOD
    data = TEXTS[name](given).encode(ENCODINGS[encoding])
    path = write(tmp_path_factory.mktemp("s"), name + packer, PACKERS[packer](data))
    found = load(path, limit=None)
    assert pairs(found) == as_seeds(given)
    assert found.bad == []


@given(records, st.sampled_from(sorted(TABLES)), st.sampled_from(sorted(PACKERS)))
@settings(max_examples=30)
def test_tables_give_the_same_seeds(
    tmp_path_factory: pytest.TempPathFactory, given: Records, name: str, packer: str
) -> None:
    path = write(tmp_path_factory.mktemp("s"), name + packer, PACKERS[packer](TABLES[name](given)))
    assert pairs(load(path, limit=None)) == as_seeds(given)


@pytest.mark.parametrize("value", [float("nan"), None, "nan", "NaN", "None", "null", "NULL", "", "  ", "<NA>"])
def test_missing_text_in_every_spelling_is_missing(tmp_path: Path, value: object) -> None:
    given = [{**GOOD[0], "input": value}, GOOD[1], {**GOOD[2], "output": value}]
    found = load(write(tmp_path, "a.jsonl", jsonl(given).encode()))
    assert pairs(found) == as_seeds([GOOD[0], GOOD[1]])
    assert [(bad.place, bad.reason) for bad in found.bad] == [("line 3", "`output` is empty")]
    if isinstance(value, str):
        assert pairs(load(write(tmp_path, "a.csv", delimited(given).encode()))) == pairs(found)
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {name: pa.array([record[name] for record in given], pa.string()) for name in ("instruction",)}
        columns |= {
            "input": pa.array([value, None, None], pa.float64()),
            "output": pa.array(["It is 1.", "It is 2.", None]),
        }
        pq.write_table(pa.table(columns), tmp_path / "a.parquet")
        assert pairs(load(tmp_path / "a.parquet")) == pairs(found)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_a_broken_line_of_another_encoding_is_one_bad_record(tmp_path: Path, encoding: str) -> None:
    lines = [json.dumps(record).encode(encoding) for record in GOOD[:1]]
    endless = (
        encoding.replace("utf-16", "utf-16-le")
        if encoding == "utf-16"
        else "utf-32-le"
        if encoding == "utf-32"
        else encoding
    )
    end = "\n".encode(endless)
    unit = len(end)
    broken = json.dumps(GOOD[1]).encode(endless)
    spoilt = (
        broken[: unit * 20] + (b"\xff\xdf\x00\x00"[:unit] if "le" in endless else b"\xdf\xff") + broken[unit * 20 :]
    )
    data = end.join([*lines, spoilt, *(json.dumps(record).encode(endless) for record in GOOD[2:])])
    found = load(write(tmp_path, "a.jsonl", data))
    assert pairs(found) == as_seeds([GOOD[0], *GOOD[2:]])
    assert [bad.place for bad in found.bad] == ["line 2"]
    assert found.bad[0].reason.startswith(f"not {'UTF-16' if '16' in encoding else 'UTF-32'}")


def test_archives_web_pages_and_pointers_are_told_by_name(tmp_path: Path) -> None:
    inner = jsonl(GOOD).encode()
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        info = tarfile.TarInfo("a.jsonl")
        info.size = len(inner)
        archive.addfile(info, io.BytesIO(inner))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as packed:
        packed.writestr("a.jsonl", inner)
    for name, data, what in [
        ("a.tar", held.getvalue(), r"an archive\n    -> unpack it"),
        ("a.tar.gz", gzip.compress(held.getvalue()), r"an archive\n    -> unpack it"),
        ("hidden.jsonl.xz", lzma.compress(held.getvalue()), r"a tar archive\n    -> unpack it"),
        ("a.zip", zipped.getvalue(), r"an archive\n    -> unpack it"),
        ("a.jsonl", zipped.getvalue(), "a zip archive"),
        ("b.jsonl", b"SQLite format 3\0...", "SQLite"),
        ("c.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n", "git lfs pull"),
        ("d.json", b"<!DOCTYPE html><html></html>", "web page"),
    ]:
        with pytest.raises(SeedError, match=what):
            load(write(tmp_path, name, data))


@pytest.mark.parametrize("packer", [".gz", ".bz2", ".xz", ".zst", ".lz4"])
def test_damaged_compression_is_told_and_never_half_read(tmp_path: Path, packer: str) -> None:
    data = PACKERS[packer](jsonl(GOOD * 200).encode())
    with pytest.raises(SeedError, match="the compressed file is damaged"):
        load(write(tmp_path, f"a.jsonl{packer}", data[: len(data) * 2 // 3]))


def test_several_packed_parts_and_marks_inside_files_joined_end_to_end(tmp_path: Path) -> None:
    parts = [jsonl([record]).encode("utf-8-sig") for record in GOOD]
    for name, data in [
        ("a.jsonl", b"".join(parts)),
        ("a.jsonl.gz", b"".join(map(gzip.compress, parts))),
        ("a.jsonl.zst", b"".join(by_arrow(part, "zstd") for part in parts)),
    ]:
        assert pairs(load(write(tmp_path, name, data))) == as_seeds(GOOD)


def test_an_array_is_read_element_by_element(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size does not matter: no more than a few chunks are ever held."""
    monkeypatch.setattr("gra.synthesis.seeds.json_window._CHUNK", 100)
    monkeypatch.setattr("gra.synthesis.seeds.json_window.MAX_DOCUMENT", 1000)
    path = write(tmp_path, "a.json", json.dumps(GOOD * 100).encode())
    assert load(path, limit=None).total == 500
    path = write(tmp_path, "a.json", json.dumps([*GOOD, {"instruction": "x" * 5000, "output": "y"}]).encode())
    with pytest.raises(SeedError, match="convert it to jsonl"):
        load(path)


def test_a_broken_object_among_joined_ones_is_one_bad_record(tmp_path: Path) -> None:
    parts = [json.dumps(record, indent=1) for record in GOOD]
    parts[2] = parts[2].replace('"output": ', '"output" ')
    found = load(write(tmp_path, "a.json", "\n".join(parts).encode()))
    assert pairs(found) == as_seeds([*GOOD[:2], *GOOD[3:]])
    assert [bad.place for bad in found.bad] == ["record 3 (line 11)"]


LAYOUTS: dict[str, Callable[[Any], str]] = {
    "one line": json.dumps,
    "pretty": lambda r: json.dumps(r, indent=2),
    "a record a line": lambda r: "[\n" + ",\n".join(map(json.dumps, r)) + "\n]",
}
SPOILT = {
    "a colon": ('"output":', '"output"'),
    "a quote": ("It is", 'It "is'),
    "an escape": ("It is", "It \\is"),
    "a line end": ("It is", "It\nis"),
    "a string's end": ('."', "."),
    "a comma": ('", "input"', '" "input"'),
    "a brace": ("}", ""),
    "a comment": ('"output":', '// x "output":'),
}
NESTED = [{**record, "steps": [{"id": 1}, {"id": 2}, {"id": 3}]} for record in GOOD]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("what", SPOILT)
@pytest.mark.parametrize("records", [GOOD, NESTED])
@pytest.mark.parametrize("broken", [0, 2, 4])
def test_a_syntax_error_in_an_array_is_one_bad_record(
    tmp_path: Path, layout: str, what: str, records: Any, broken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gra.synthesis.seeds.json_window._CHUNK", 100)
    text, (old, new) = LAYOUTS[layout](records), SPOILT[what]
    at = text.index(f"after {broken}.")
    if what == "a comma" and layout == "pretty":
        old, new = '",\n', '"\n'
    path = write(tmp_path, "a.json", (text[:at] + text[at:].replace(old, new, 1)).encode())
    if layout == "one line" and (broken == 0 or (broken == 4 and records is NESTED)):  # nobody can tell what follows
        with pytest.raises(SeedError, match="not JSON"):
            load(path)
        return
    found = load(path)
    assert pairs(found) == [(r["instruction"], r["output"]) for n, r in enumerate(GOOD) if n != broken]
    assert len(found.bad) == 1
    assert "not JSON" in found.bad[0].reason
    assert found.bad[0].place.startswith(f"record {broken + 1} (line ")


def test_two_syntax_errors_and_commas_too_many_or_missing(tmp_path: Path) -> None:
    text = json.dumps(GOOD, indent=1)
    spoilt = text.replace("It is 2.", 'It "is 2.').replace("It is 3.", 'It "is 3.')
    found = load(write(tmp_path, "a.json", spoilt.encode()))
    assert [seed.response for seed in found.seeds] == ["It is 1.", "It is 4.", "It is 5."]
    assert "record at line 17" in found.bad[0].reason
    assert len(load(write(tmp_path, "b.json", (text[:-2] + ",\n]").encode())).seeds) == 5
    assert len(load(write(tmp_path, "c.json", text.replace("},", "}", 1).encode())).seeds) == 5


def test_an_array_that_is_cut_off_is_refused_with_its_line(tmp_path: Path) -> None:
    text = json.dumps(GOOD * 3, indent=1)
    with pytest.raises(SeedError, match="not JSON"):
        load(write(tmp_path, "b.jsonl", text[: len(text) // 2].encode()))


def test_columns_of_unequal_lengths_are_refused_with_their_lengths(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", json.dumps({"instruction": ["a", "b"], "output": ["c"]}).encode())
    with pytest.raises(SeedError, match=r"different lengths: `instruction` 2, `output` 1"):
        load(path)
    rows = {"rows": [{"row": GOOD[0]}, {"row": GOOD[1], "truncated_cells": ["output"]}]}
    found = load(write(tmp_path, "a.json", json.dumps(rows).encode()))
    assert [bad.reason for bad in found.bad] == [
        "its cells are truncated by the server (truncated_cells); fetch the file itself"
    ]


@given(st.binary(max_size=300))
@settings(max_examples=150)
def test_any_bytes_are_seeds_or_a_seed_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    for name in ("a.jsonl", "a.csv", "a.json"):
        with contextlib.suppress(SeedError):  # any other exception fails the test
            assert load(write(tmp_path_factory.mktemp("s"), name, data)).seeds


def test_texts_as_bytes_and_lines_with_the_comma_of_an_array(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        name: pa.array([record[name].encode() for record in GOOD], pa.binary()) for name in ("instruction", "output")
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert pairs(load(tmp_path / "a.parquet")) == as_seeds(GOOD)
    columns["output"] = pa.array([b"\xff", *[b"x"] * 4], pa.binary())
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert [(bad.place, bad.reason) for bad in load(tmp_path / "a.parquet").bad] == [
        ("row 1", "`output` is not UTF-8 (byte 1)")
    ]
    found = load(write(tmp_path, "a.jsonl", ",\n".join(map(json.dumps, GOOD)).encode()))
    assert pairs(found) == as_seeds(GOOD)
    assert found.seeds[1].place == "line 2"


def test_a_text_that_no_column_of_parquet_may_hold_is_one_bad_record(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    broken = pa.array([b"It is \xff", *[record["output"].encode() for record in GOOD[1:]]], pa.binary()).view(
        pa.string()
    )
    table = pa.table({"instruction": [record["instruction"] for record in GOOD], "output": broken})
    pq.write_table(table, tmp_path / "a.parquet")
    found = load(tmp_path / "a.parquet")
    assert pairs(found) == as_seeds(GOOD[1:])
    assert [bad.place for bad in found.bad] == ["row 1"]
