"""What an encoding lacks is written in other signs: never a traceback, and ASCII stays as it is."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.pipes import FALLBACK, json_text, outlive_reader, plain_text

ENCODINGS = ["ascii", "latin-1", "cp1252", "cp437", "koi8-r", "utf-8"]
ANY = st.text(st.characters())  # lone surrogates too: names of files may hold them


@given(ANY, st.sampled_from(ENCODINGS))
def test_any_text_can_be_printed_in_any_encoding(text: str, encoding: str) -> None:
    outlive_reader()
    written = text.encode(encoding, FALLBACK)
    assert plain_text(text).isascii()
    if text.isascii():
        assert written == text.encode("ascii")
        assert plain_text(text) == text
    if encoding == "utf-8" and not any("\ud800" <= sign <= "\udfff" for sign in text):
        assert written.decode() == text


def test_signs_of_tables_and_words_stay_legible() -> None:
    assert plain_text("┏━┳━┓│ ─┼─ 24.5 ±2.2 é ▶ “x” 日") == '+-+-+| -+- 24.5 +-2.2 e > "x" ??'
    assert "±─".encode("latin-1", FALLBACK) == b"\xb1-"  # what the encoding has, it keeps


def test_names_that_are_no_text_keep_their_bytes_where_they_can() -> None:
    name = b"caf\xe9\xff".decode("ascii", "surrogateescape")
    assert f"─{name}─".encode("ascii", FALLBACK) == b"-caf\xe9\xff-"
    assert name.encode("utf-8", FALLBACK) == b"caf??"


def test_json_is_escaped_rather_than_impoverished(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"folder": "日本 é \udcff", "n": 1}
    for encoding in ENCODINGS:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
        text = json_text(value)
        text.encode(encoding)
        assert json.loads(text) == value


@pytest.mark.parametrize("errors", ["", ":replace", ":strict"])
def test_a_command_prints_in_the_locale_it_is_given(errors: str) -> None:
    code = "from gra.pipes import outlive_reader; import sys; outlive_reader(); print('a─b'); print('c│d', file=sys.stderr)"
    run = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONIOENCODING": f"ascii{errors}"}, capture_output=True, check=True
    )
    assert run.stdout == (b"a?b\n" if errors == ":replace" else b"a-b\n")  # who chose an error handler gets that one
    assert run.stderr == b"c|d\n"
