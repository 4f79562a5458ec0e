"""Files of labelled instructions: every usable label is read once, bad lines are skipped, and faults name the file."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.errors import ConfigError
from gra.synthesis.task_filter.label_files import LONGEST, files, problems, read_labels

TASKS = [f"Write a poem about the number {n}." for n in range(25)]
OTHERS = [f"The number {n} is a number." for n in range(25)]
ROWS = [{"instruction": text, "task": True} for text in TASKS] + [{"instruction": t, "task": False} for t in OTHERS]


def file(folder: Path, rows: list[dict[str, object]], name: str = "labels.jsonl", more: bytes = b"") -> str:
    path = folder / name
    path.write_bytes("".join(json.dumps(row) + "\n" for row in rows).encode() + more)
    return str(path)


def test_the_labels_of_this_package_can_be_read() -> None:
    found = read_labels(["gra:labels/small_tasks.jsonl"])
    assert (len(found.tasks), len(found.others), found.skipped) == (429, 147, {})


@given(st.randoms(use_true_random=False))
def test_the_order_of_lines_and_files_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, rng: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("labels")
    rows = rng.sample(ROWS, len(ROWS))
    cut = rng.randrange(len(rows))
    names = [file(folder, rows[:cut], "a.jsonl"), file(folder, rows[cut:], "b.jsonl")]
    assert read_labels(names) == read_labels(names[::-1]) == read_labels([file(folder, ROWS * 2)])


def test_bad_lines_are_counted_and_lose_no_good_one(tmp_path: Path) -> None:
    both = [{"instruction": " Sing. ", "task": True}, {"instruction": "Sing.", "task": False}]
    none = [{"instruction": "Dance.", "task": None}, {"instruction": "Jump."}, {"instruction": "Run.", "task": 1}]
    no_text: list[dict[str, object]] = [
        {"task": True},
        {"instruction": "  ", "task": True},
        {"instruction": 5, "task": True},
    ]
    odd = b'not json\n["a list"]\n' + b"[" * 5000 + b"\n\n"
    found = read_labels([file(tmp_path, [*both, *none, *ROWS, *no_text], more=odd)])
    assert (len(found.tasks), len(found.others)) == (25, 25)
    assert found.skipped == {
        "labelled both as a task and as none": 1,
        "no JSON object with an instruction": 6,
        "no label": 3,
    }


def test_a_sheet_may_be_compressed_and_long_texts_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "sheet.jsonl.gz"
    rows = [*ROWS, {"instruction": "Say " + "a" * 9000, "task": True}]
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    assert max(map(len, read_labels([str(path)]).tasks)) == LONGEST


def test_a_byte_order_mark_and_an_endless_line_cost_no_label(tmp_path: Path) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    lines.insert(3, json.dumps({"instruction": "Sing.", "task": True, "note": "é" * 1_500_000}, ensure_ascii=False))
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    found = read_labels([str(path)])
    assert (found.tasks, found.others) == (tuple(sorted(TASKS)), tuple(sorted(OTHERS)))
    assert found.skipped == {"a line of more than 1 MiB": 1}


def test_every_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"x" * 1000)[:20])
    whole = gzip.compress(json.dumps(ROWS).encode())
    (tmp_path / "damaged.gz").write_bytes(whole[:20] + bytes(40) + whole[60:])
    (tmp_path / "latin.jsonl").write_bytes('{"instruction": "é", "task": true}\n'.encode("latin-1"))
    paths = [str(tmp_path / name) for name in ("absent.jsonl", "cut.gz", "damaged.gz", "latin.jsonl")] + [str(tmp_path)]
    found = problems([*paths, file(tmp_path, ROWS)])
    assert [problem.key for problem in found] == [f"synthesis.task_labels[{n}]" for n in range(5)]
    assert all(path in str(problem) for path, problem in zip(paths, found, strict=True))


def test_too_few_labels_are_refused(tmp_path: Path) -> None:
    said = "25 tasks and 0 other texts; a classifier needs 20 of each; skipped: 1 x no label"
    with pytest.raises(ConfigError, match=said):
        read_labels([file(tmp_path, [*ROWS[:25], {"instruction": "Sing.", "task": "yes"}])])
    assert problems(None) == []


def test_files_are_named_for_any_value_of_the_key(tmp_path: Path) -> None:
    assert files(None) == files("a.jsonl") == files({"a": 1}) == {}
    assert files([str(tmp_path), 3]) == {"synthesis.task_labels[0]": tmp_path}
