"""`gra report` on any folders: what it recognises, what belongs together, what it says of a lone folder, what it refuses."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from report_page import unpacked

from gra.compare.report import samples as packing
from gra.compare.report.command import main, write_beside
from gra.compare.report.folders import arms_of
from gra.compare.report.judgements import agreement, correlation, judged, preferences
from gra.errors import ConfigError

FEW = {"world_sums": 40, "world_words": 60}


def written(words: list[str], capsys: pytest.CaptureFixture[str], **more: Any) -> str:
    assert main([*words, "--no-map"], **more) == 0  # the map: test_report_coverage.py
    path, _, said = capsys.readouterr().out.partition(": ")
    assert "open it in a browser" in said
    return Path(path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("step", "lead", "there", "absent"),
    [
        ("data", "The committee kept 12 of 20 proposals (60.0 %).", 'id="committee"', 'id="scores"'),
        ("model", "the training loss went from ", 'id="training"', 'id="committee"'),
        ("scores", " % over 2 benchmarks, 95 % interval ", 'id="scores"', 'id="differences"'),
    ],
)
def test_a_lone_folder_has_a_page(
    step: str, lead: str, there: str, absent: str, make_arm: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_arm("gra", steps=(step,), tasks=FEW, kept=12, dropped=8).folders[step]
    page = written([str(folder)], capsys)
    assert (folder / "report.html").is_file()
    assert lead in page
    assert there in page
    assert absent not in page
    assert "default-src 'none'" in page


def test_a_probe_has_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    auc = {"value": 0.8, "low": 0.7, "high": 0.9}
    models = {"a <b>": {"auc": auc, "severity": None}, "b": {"auc": auc | {"low": 0.4}, "usable": "?"}, "c": []}
    found = {"models": models, "words": ["b <i>cannot</i> tell"], "faults": ["one fault"]}
    (tmp_path / "probe.json").write_text(json.dumps(found))
    page = written([str(tmp_path)], capsys)
    assert "1 of 2 models tell right answers from wrong ones" in page
    assert "<td>a &lt;b&gt;</td><td>-</td><td>0.80 [0.70, 0.90]</td>" in page
    assert "b &lt;i&gt;cannot&lt;/i&gt; tell" in page
    assert "one fault" in page


def test_a_stage_writes_it_under_the_name_it_will_have(make_arm: Any) -> None:
    folder = make_arm("gra", steps=("data",), kept=12, dropped=8).folders["data"]
    partial = folder.with_name("mine.partial")
    folder.rename(partial)
    assert write_beside(partial, "mine") == partial / "report.html"
    page = (partial / "report.html").read_text()
    assert "Data: mine" in page
    assert ".partial" not in page
    assert write_beside(partial / "data", "other") is None


def test_folders_of_a_chain_are_one_arm_and_others_are_compared(
    make_arm: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A manifest's inputs are followed while they are what they were; named twice, a folder is there once."""
    gra, other = (
        make_arm(name, tasks=FEW, kept=12, dropped=8, seed=seed) for seed, name in enumerate(("gra", "other"))
    )
    for arm in (gra, other):
        before = None
        for step in ("data", "model", "scores"):
            folder = arm.folders[step]
            inputs = {"before": {"folder": str(before), "hash": f"hash of {before.name}"}} if before else {}
            (folder / "manifest.json").write_text(json.dumps({"hash": f"hash of {folder.name}", "inputs": inputs}))
            before = folder
    words = [str(gra.folders["scores"]), str(gra.folders["data"]), f"other={other.folders['scores']}"]
    page = written([*words, "--output", str(tmp_path / "out.html")], capsys)
    assert "Comparison of 2 arms" in page
    assert f"{gra.folders['scores'].name} is " in page
    assert page.count("<polyline") == 2, "both trainings are found"
    assert len(unpacked(page)) == 20
    (gra.folders["model"] / "manifest.json").write_text(json.dumps({"hash": "trained again"}))
    assert (
        page.count("<polyline") - written([*words, "--output", str(tmp_path / "o.html")], capsys).count("<polyline")
        == 1
    )


def test_a_page_of_other_folders_is_not_replaced_unless_it_is_named(
    make_arm: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (make_arm(name, steps=("data",), kept=4, dropped=2).folders["data"] for name in ("one", "two"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    first = written([str(one), str(two)], capsys)
    assert written([str(one), str(two)], capsys) == first == Path("report.html").read_text(), "the same again"
    with pytest.raises(ConfigError, match=r"report\.html is there and shows other folders\n    -> name another page"):
        main([f"three={one}", "--no-map"])
    assert Path("report.html").read_text() == first
    assert written([f"three={one}", "--output", "report.html"], capsys) != first


def test_folders_of_one_name_are_trainings_of_one_arm(make_arm: Any, tmp_path: Path) -> None:
    words = []
    for name, seed in (("gra", 1), ("gra", 2), ("other", 3), ("other", 4)):
        arm = make_arm(f"{name}{seed}", tasks=FEW, seed=seed, steps=("model", "scores"))
        words += [
            f"{name}={arm.folders['scores']}",
            f"{name}={arm.folders['model']}",
            f"{name}={arm.folders['scores']}",
        ]
    arms = arms_of(words)
    assert [(arm.name, arm.replicate, sorted(arm.folders)) for arm in arms] == [
        (name, place, ["model", "scores"]) for name in ("gra", "other") for place in (0, 1)
    ]
    assert main([*words, "--output", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "Comparison of 2 arms" in page
    assert "Intervals are over items and training runs." in page


def test_what_holds_nothing_is_refused_with_what_would_do(make_arm: Any, tmp_path: Path) -> None:
    folder = make_arm("gra", steps=("data", "model"), kept=12, dropped=8).folders["data"]
    with pytest.raises(ConfigError) as error:
        main([str(folder.parent), str(tmp_path / "nowhere")])
    assert "inside of it: data-gra-None, model-gra-None" in str(error.value)
    assert "nowhere`: no such folder" in str(error.value)


def test_an_arm_that_nobody_reviewed_shows_no_passes(make_arm: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_arm("single", steps=("data",), kept=12, dropped=0).folders["data"]
    stats = json.loads((folder / "stats.json").read_text())
    steps = {"keywords": {}, "respond": {}}
    changed = {"replies": {"slm-a": steps}, "reasons": {}, "health": {"reviewers": {}, "samples": 0}, "proposals": 12}
    (folder / "stats.json").write_text(json.dumps(stats | changed))
    page = written([str(folder)], capsys)
    assert "Kept without a review: 12 of 12 proposals" in page
    assert "Passed the" not in page
    (folder / "stats.json").write_text(json.dumps(stats | changed | {"replies": {"slm-a": steps | {"check": {}}}}))
    page = written([str(folder)], capsys)
    assert "Passed the instruction check" in page
    assert "Passed the gate" not in page
    (folder / "stats.json").write_text(json.dumps(stats | changed | {"calls": 0}))
    assert "no model wrote or judged them" in written([str(folder)], capsys)


def test_wrong_kept_samples_are_marked(make_arm: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the audit, or else by the judge, which sees simulated data only."""
    arm = make_arm("gra", steps=("data", "audit"), kept=12, dropped=8)
    data, audit = arm.folders["data"], arm.folders["audit"]
    ids = pq.read_table(data / "data" / "train.parquet")["id"].to_pylist()
    found = json.loads((audit / "audit.json").read_text()) | {"wrong_ids": ids[:2], "unknown_ids": ids[2:3]}
    (audit / "audit.json").write_text(json.dumps(found))
    page = written([f"gra={data}", f"gra={audit}", "--output", str(tmp_path / "page.html")], capsys)
    marks = {row["id"]: row["wrong"] for row in unpacked(page)}
    assert [marks[name] for name in ids[:4]] == [True, True, None, False]
    assert {row["wrong"] for row in unpacked(page) if not row["kept"]} == {None}
    page = written([str(data)], capsys, judge=lambda _instruction, response: "7" not in response)
    assert {row["wrong"] for row in unpacked(page) if row["kept"]} == {True, False}
    (data / "SIMULATED").unlink()
    assert {row["wrong"] for row in unpacked(written([str(data)], capsys, judge=lambda *_: False))} == {None}


def test_a_page_stays_small_and_says_what_it_leaves_out(
    make_arm: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_arm("gra", steps=("data",), kept=60, dropped=30).folders["data"]
    monkeypatch.setattr(packing, "ROWS_SIZE", 9000)
    page = written([str(folder)], capsys)
    rows = unpacked(page)
    assert 20 < len(rows) < 60
    assert f"{len(rows)} of 90 samples" in page
    assert {row["reason"] for row in rows} >= {"duplicate", "below_tau", "adjudicated_out"}, "rare ones are there"
    assert "adjudicated" in {row["decision"] for row in rows}
    assert len(unpacked(written([str(folder), "--samples", "7"], capsys))) == 7


def test_texts_that_nothing_compresses_stay_below_five_megabytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(0)
    texts = [
        "".join(chr(97 + byte % 26) if byte > 25 else chr(0x4E00 + byte) for byte in rng.randbytes(4000))
        for _ in range(60)
    ]
    rows = [
        {
            "id": f"r1-{n:06d}",
            "instruction": texts[n % 60] + str(n),
            "response": texts[n * 7 % 60][n % 50 :],
            "decision": "accepted",
        }
        for n in range(700)
    ]
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / "train.parquet")
    page = written([str(tmp_path)], capsys)
    assert 200 < len(unpacked(page)) < 700
    assert len(page.encode()) < 5_000_000


def test_prompts_and_replies_of_the_journal_are_in_the_page(make_arm: Any, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    folder = make_arm("gra", steps=("data",), kept=3, dropped=0).folders["data"]
    sample = pq.read_table(folder / "data" / "train.parquet")["id"][0].as_py()
    request = json.dumps({"messages": [{"role": "user", "content": "Write </script> something."}]})
    with sqlite3.connect(folder / "journal.sqlite") as journal:
        journal.execute("CREATE TABLE calls(sample, step, role, model, attempt, request, text, error, at)")
        row = (sample, "respond", "generator", "slm-a", 0, request, "x" * 20_000, None, 1.0)
        journal.execute(f"INSERT INTO calls VALUES ({','.join('?' * 9)})", row)
    journal.close()
    page = written([str(folder)], capsys)
    calls = dict(unpacked(page, "calls"))
    assert len(calls) == 3
    assert calls[sample][0]["messages"] == [["user", "Write </script> something."]]
    assert calls[sample][0]["reply"].endswith("[cut: 8,000 more characters]")
    (folder / "journal.sqlite").write_bytes(b"no database at all, but long enough" * 20)
    assert unpacked(written([str(folder)], capsys), "calls") == []


def test_a_preference_is_what_severity_does_not_explain(tmp_path: Path) -> None:
    """`harsh` gives 2 points less than `kind` to everybody, and a further 1 less to what `other` wrote."""
    rows = []
    for place in range(120):
        writer, level = ("first", "other")[place % 2], 4 + place % 5
        gap = 2 + (writer == "other")
        scores = [{"model": "kind", "score": float(level)}, {"model": "harsh", "score": float(level - gap)}]
        rows.append({"id": str(place), "domain": "d", "generator": writer, "scores": scores})
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / "train.parquet")
    from gra.compare.arms import Arm

    found = judged(Arm("a", "A", None, {"data": tmp_path}))
    told = preferences(found)
    assert told is not None
    assert told["writers"] == ["first", "other"]
    assert {name: [cell["text"] for cell in cells] for name, cells in told["lines"]} == {
        "harsh": ["+1.0", "-1.0"],
        "kind": ["-1.0", "+1.0"],
    }
    square = agreement(found)
    assert square is not None
    assert 0.9 < float(square["lines"][0][1][1]["text"]) < 1
    assert agreement(found[:5]) is None  # too few samples of any pair: no square of dashes
    assert correlation([(1.0, 2.0)] * 50) is None
    assert correlation([(float(x), -2.0 * x) for x in range(30)]) == pytest.approx(-1)


def test_a_model_given_as_a_path_brings_its_training_and_data_unless_it_was_trained_again(make_arm: Any) -> None:
    arm = make_arm("gra", tasks=FEW, kept=12, dropped=8)
    folders = arm.folders
    scores, model = folders["scores"] / "manifest.json", folders["model"] / "manifest.json"
    (folders["model"] / "model").mkdir(exist_ok=True)

    def made(trained: str) -> list[str]:
        path = str(folders["model"] / "model")
        scores.write_text(json.dumps({"inputs": {}, "start": "2026-01-01T10:00", "config": {"model": {"path": path}}}))
        old = json.loads(model.read_text()) if model.exists() else {}
        model.write_text(json.dumps({**old, "end": trained}))
        return sorted(arms_of([str(folders["scores"])])[0].folders)

    assert "model" in made("2026-01-01T09:59")
    assert made("2026-01-01T10:01") == ["scores"]
