"""CSV and TSV as seeds: rows over lines, delimiters, and broken rows that lose no other row."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seed_writers import load, pairs

from gra.errors import SeedError
from gra.models.openai.reply_text import answer_of

cells = (  # without the tokens of chat templates, which are cut off seeds: Hypothesis takes them from our source
    st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff"), max_size=20)
    .map(lambda text: f"x{text}")
    .filter(lambda text: not answer_of(text).cut)
)


def write(folder: Path, text: str | bytes, name: str = "a.csv") -> Path:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


@given(
    st.lists(st.tuples(cells, cells), min_size=1, max_size=5),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_what_csv_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], delimiter: str, end: str, quoted: bool
) -> None:
    held = io.StringIO()
    style = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    csv.writer(held, delimiter=delimiter, lineterminator=end, quoting=style).writerows([("question", "answer"), *rows])
    found = load(write(tmp_path_factory.mktemp("s"), held.getvalue()), limit=None)
    assert pairs(found) == [(question.strip(), answer.strip()) for question, answer in rows]
    assert found.bad == []


def test_quotes_with_line_ends_and_places(tmp_path: Path) -> None:
    text = 'instruction,input,output\r\n"Say ""hi"",\r\nplease",,hi\r\n\r\nSay ho,,"ho\n\nho"\r\n'
    found = load(write(tmp_path, text))
    assert pairs(found) == [('Say "hi",\r\nplease', "hi"), ("Say ho", "ho\n\nho")]
    assert [seed.place for seed in found.seeds] == ["line 2", "line 5"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("only one", "1 columns, the header has 2"),
        ("a,b,c", "3 columns, the header has 2"),
        ('"opened,b', "a quote"),
        ('"stray" quote,b', "not CSV"),
        ('a,"stray" quote', "not CSV"),
        (",b", "`question` is empty"),
        ("a,nan", "`answer` is empty"),
        ("a,\xff", "not UTF-8"),
        ("a,b\0c", "NUL"),
    ],
)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_broken_row_is_one_bad_record(tmp_path: Path, bad: str, reason: str, place: int) -> None:
    rows = [f'"Question, {i}",Answer {i}' for i in range(4)]
    lines = ["question,answer", *rows[:place], bad, *rows[place:]]
    data = "\n".join(lines).encode("latin-1")
    found = load(write(tmp_path, data + b"\n"))
    assert pairs(found) == [(f"Question, {i}", f"Answer {i}") for i in range(4)]
    assert [bad.place for bad in found.bad] == [f"line {place + 2}"]
    assert reason in found.bad[0].reason or (reason == "a quote" and "not CSV" in found.bad[0].reason)


def test_a_stray_quote_inside_a_text_of_several_lines_makes_no_seeds_of_its_lines(tmp_path: Path) -> None:
    text = 'question,answer\n"A text, of\nseveral, lines\nwith a "stray" quote, in it",A\nQ,B\n'
    found = load(write(tmp_path, text))
    assert ("Q", "B") in pairs(found)
    assert ("several", "lines") not in pairs(found)


def test_extra_empty_cells_doubled_names_and_no_header(tmp_path: Path) -> None:
    assert pairs(load(write(tmp_path, "question,answer\na,b,,\n"))) == [("a", "b")]
    assert pairs(load(write(tmp_path, ",question,answer,note,note\n0,a,b,c,d\n"))) == [("a", "b")]
    with pytest.raises(SeedError, match=r"columns here: What is 1\+1\?, 2"):
        load(write(tmp_path, "What is 1+1?,2\nWhat is 1+2?,3\n"))
    with pytest.raises(SeedError, match="no records"):
        load(write(tmp_path, "question,answer\n"))


def test_tables_with_tabs_and_plain_quotes(tmp_path: Path) -> None:
    text = 'question\tanswer\n"Hello" she said.\tYes\nWhat is "x"?\t"y" it is\n"quoted\ttab"\tC\n'
    assert pairs(load(write(tmp_path, text, "a.tsv"))) == [
        ('"Hello" she said.', "Yes"),
        ('What is "x"?', '"y" it is'),
        ("quoted\ttab", "C"),
    ]


def test_rows_that_are_absurdly_long_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gra.synthesis.seeds.csv_files.MAX_ROW", 500)
    text = "question,answer\na,b\n" + "x" * 3000 + ",y\n" + 'c,"d\n' + "e,f\n" * 300
    found = load(write(tmp_path, text), limit=None)
    assert pairs(found) == [("a", "b"), *[("e", "f")] * 300]
    assert [(bad.place, bad.reason.split(" ")[0]) for bad in found.bad] == [("line 3", "longer"), ("line 4", "a")]


def test_columns_of_numbers_stay_texts_and_chats_in_cells_are_read(tmp_path: Path) -> None:
    assert pairs(load(write(tmp_path, "question,answer\nAgent?,007\nTrue?,true\n"))) == [
        ("Agent?", "007"),
        ("True?", "true"),
    ]
    chat = '[{""role"": ""user"", ""content"": ""Q""}, {""role"": ""assistant"", ""content"": ""A""}]'
    assert pairs(load(write(tmp_path, f'id,messages\n1,"{chat}"\n'))) == [("Q", "A")]


def test_a_table_in_another_encoding_says_so(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match=r"not UTF-8 \(2 records: line 2, line 3\)"):
        load(write(tmp_path, "question,answer\nCafé,b\nà,d\n".encode("latin-1")))
