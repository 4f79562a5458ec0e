"""Whole comparisons over made-up store folders: table, CSV, report; and what is missing, broken or hostile in them."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from report_page import unpacked

from gra.compare.experiment import compare
from gra.compare.reading.scores import load
from gra.compare.report import funnel
from gra.compare.statistics.power import detectable
from gra.compare.tables import csv_export, table
from gra.compare.tables.rows import build

ATTACK = "<script>document.title='owned'</script><img src=x onerror=alert(1)> & \"quoted\" \x1b[31m</div></details>"
FEW = {"world_sums": 40, "world_words": 60}


def four_arms(make_arm, replicate=None, **options):
    seed = (replicate or 0) * 10
    return [
        make_arm("seed", label="seed only", skill=-0.1, seed=seed + 1, replicate=replicate, wrong=0.002, **options),
        make_arm("one", label="one SLM", skill=-0.02, seed=seed + 2, replicate=replicate, wrong=0.3, **options),
        make_arm("gra", label="GRA", skill=0.06, seed=seed + 3, replicate=replicate, wrong=0.1, **options),
        make_arm("large", label="distilled", skill=0.05, seed=seed + 4, replicate=replicate, wrong=0.05, **options),
    ]


def run(arms, output: Path, **options) -> str:
    return compare(arms, title="Test", reference="gra", output=output, options={"resamples": 500, **options})


def built(arms, reference="gra"):
    return build(arms, title="Test", reference=reference, resamples=500, level=0.95, seed=0)


class Outline(HTMLParser):
    """Tags, the addresses they name, and event handlers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action", "data")
        ]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_comparison_writes_table_csv_and_report(make_arm, tmp_path):
    output = tmp_path / "out"
    text = run(four_arms(make_arm), output)
    assert sorted(path.name for path in output.iterdir()) == ["report.html", "table.csv", "table.md", "table.tex"]
    assert all(len(line) <= 120 for line in text.splitlines())
    assert text.splitlines()[0] == "Test (simulated)"
    for words in ("GRA minus arm", "Wrong", "30.0", "2.25M", "reference"):
        assert words in text
    lines = list(csv.DictReader(io.StringIO((output / "table.csv").read_text())))
    assert [line["arm"] for line in lines] == ["seed", "one", "gra", "large"]
    assert {line["simulated"] for line in lines} == {"true"}


def test_bytes_are_the_same_for_the_same_folders_wherever_they_are(make_arm, tmp_path):
    arms = four_arms(make_arm)
    run(arms, tmp_path / "a")
    elsewhere = tmp_path / "moved"
    (tmp_path / "seed-None").parent.joinpath("gra-None").rename(elsewhere)
    moved = {step: elsewhere / path.name for step, path in arms[2].folders.items()}
    arms[2] = dataclasses.replace(arms[2], folders=moved)
    run(arms, tmp_path / "b")
    for name in ("table.md", "table.csv", "report.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    page = (tmp_path / "a" / "report.html").read_text()
    assert str(tmp_path) not in page
    assert "some-host" not in page


def test_values_in_the_table_are_those_of_the_folders(make_arm):
    arms = four_arms(make_arm)
    comparison = built(arms)
    scores = load(arms[1].folders["scores"])
    row = comparison.rows[1]
    assert {task: cell.value for task, cell in row.cells.items()} == pytest.approx(
        {t: s.value for t, s in scores.tasks.items()}
    )
    reference = comparison.rows[2]
    assert row.difference.mean.value == pytest.approx(reference.mean - row.mean)
    assert row.facts.tokens == 15 * 150_000
    assert row.facts.samples == 120
    for key in ("tolerant", "extraction"):
        assert getattr(row, key) == pytest.approx(
            sum(getattr(task, key) for task in scores.tasks.values()) / len(scores.tasks)
        )
    assert reference.difference is None


def test_replicates_become_one_row_with_their_spread(make_arm, tmp_path):
    arms = [arm for replicate in (0, 1, 2) for arm in four_arms(make_arm, replicate, tasks=FEW, kept=20, dropped=6)]
    comparison = built(arms)
    assert [(row.name, row.replicates) for row in comparison.rows] == [
        ("seed", 3),
        ("one", 3),
        ("gra", 3),
        ("large", 3),
    ]
    row = comparison.rows[0]
    means = [sum(s.value for s in load(arm.folders["scores"]).tasks.values()) / 2 for arm in arms[::4]]
    assert row.mean == pytest.approx(sum(means) / 3)
    assert row.spread > 0
    assert row.difference.over_trainings
    text = run(arms, tmp_path / "out")
    assert "over items and training runs" in text
    assert "±" in text
    assert "Replicates are averaged." in (tmp_path / "out" / "report.html").read_text()


def test_missing_steps_show_as_a_dash_never_as_zero(make_arm, tmp_path):
    arms = [
        make_arm("gra", label="GRA", steps=("scores",), tasks=FEW),
        make_arm("none", label="nothing yet", steps=(), tasks=FEW),
        make_arm("data", label="data only", steps=("data", "audit"), tasks=FEW, kept=20, dropped=0),
        make_arm("half", label="one benchmark", steps=("scores",), tasks={"world_sums": 40}),
    ]
    text = run(arms, tmp_path / "out")
    cells = {
        name: line.split()[-4:] for line in text.splitlines() for name in ("nothing yet", "data only") if name in line
    }
    assert cells["nothing yet"] == ["-", "-", "-", "-"]
    lines = {line["arm"]: line for line in csv_export.read_csv((tmp_path / "out" / "table.csv").read_text())}
    empty = {
        key: value for key, value in lines["none"].items() if key not in ("arm", "label", "reference", "simulated")
    }
    assert empty.pop("replicates") == 0  # counts of what is there are true zeros
    assert empty.pop("data_sets") == 0
    assert set(empty.values()) == {None}
    assert lines["half"]["mean"] is None  # a mean over fewer benchmarks would not be the same mean
    assert lines["half"]["task.world_sums"] is not None
    assert lines["half"]["mean.difference"] is None
    assert lines["data"]["samples"] == 20
    assert lines["gra"]["tokens"] is None
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Learning curves" not in page
    assert "<td>-</td>" in page


def test_a_row_is_about_the_finished_replicates_and_says_so(make_arm, tmp_path):
    arms = [make_arm("gra", label="GRA", replicate=place, seed=place, tasks=FEW) for place in (0, 1)]
    arms += [make_arm("part", label="in part", replicate=0, seed=3, wrong=0.2, tasks=FEW)]
    arms += [make_arm("part", label="in part", replicate=1, steps=("data",), kept=20, dropped=6)]
    arms += [make_arm("none", label="not begun", replicate=place, steps=()) for place in (0, 1)]
    text = " ".join(run(arms, tmp_path / "out").split())
    assert "its row shows those that are (in part: 1 of 2)." in text
    row = {row.name: row for row in built(arms).rows}["part"]
    assert (row.replicates, row.facts.samples, row.facts.wrong_share) == (1, 120, pytest.approx(0.2))
    lines = csv_export.read_csv((tmp_path / "out" / "table.csv").read_text())
    assert [line["simulated"] for line in lines] == [True, True, True]  # also of the arm that is not begun
    assert "| not begun |" in (tmp_path / "out" / "table.md").read_text()
    assert "| GRA |" in (tmp_path / "out" / "table.md").read_text()  # the heading says that all are simulated


def test_comparison_without_any_scores_still_tells_of_the_data(make_arm, tmp_path):
    text = run([make_arm("gra", label="GRA", steps=("data",), kept=20, dropped=6)], tmp_path / "out")
    assert re.search(r"GRA +- +reference", text)
    assert "From proposals to samples" in (tmp_path / "out" / "report.html").read_text()


def test_unknown_token_counts_are_not_summed(make_arm):
    arm = make_arm("gra", steps=("data", "scores"), tasks=FEW, kept=20, dropped=6)
    path = arm.folders["data"] / "stats.json"
    stats = json.loads(path.read_text())
    stats["tokens"]["slm-b"] = {"reviewer": {"in": None, "out": None, "calls": 3}}
    path.write_text(json.dumps(stats))
    assert built([arm]).rows[0].facts.tokens is None
    path.write_text(json.dumps({**stats, "tokens": {}, "calls": 0}))
    assert built([arm]).rows[0].facts.tokens == 0  # seed data: known to have made no call


def test_csv_keeps_every_number_to_the_last_bit(make_arm):
    comparison = built(four_arms(make_arm, tasks=FEW, kept=20, dropped=6))
    lines = csv_export.read_csv(csv_export.csv_text(comparison))
    for row, line in zip(comparison.rows, lines, strict=True):
        assert (line["arm"], line["label"], line["reference"]) == (row.name, row.label, row.reference)
        assert (line["mean"], line["wrong_share"]) == (row.mean, row.facts.wrong_share)
        for task, cell in row.cells.items():
            assert (line[f"task.{task}"], line[f"task.{task}.n"]) == (cell.value, cell.n)
            if row.difference:
                found = row.difference.tasks[task]
                names = ("difference", "low", "high", "p")
                assert tuple(line[f"task.{task}.{name}"] for name in names) == dataclasses.astuple(found)[:4]
                assert line[f"task.{task}.detectable"] == detectable(found, comparison.level)
                assert line[f"task.{task}.p_holm"] >= found.p


def test_simulated_is_said_wherever_the_result_shows(make_arm, tmp_path):
    real = {"simulated": False, "config": {}}
    arms = [
        make_arm("gra", label="GRA", tasks=FEW, steps=("scores",), manifest=real),
        make_arm("b", tasks=FEW, steps=("scores",)),
    ]
    run(arms, tmp_path / "mixed")
    for name in ("table.md", "table.csv", "report.html"):
        assert "simulated" in (tmp_path / "mixed" / name).read_text()
    assert "| b (simulated) |" in (tmp_path / "mixed" / "table.md").read_text()
    lines = csv_export.read_csv((tmp_path / "mixed" / "table.csv").read_text())
    assert [line["simulated"] for line in lines] == [False, True]
    run(arms[:1], tmp_path / "real")
    for name in ("table.md", "report.html"):
        assert "imulated" not in (tmp_path / "real" / name).read_text().split("<body>")[-1]


def test_hostile_texts_are_only_ever_text(make_arm, tmp_path):
    review = [
        {"model": ATTACK, "scores": None, "strengths": ATTACK, "weaknesses": "\ud800" + ATTACK, "missing": ATTACK}
    ]
    texts = {"response": ATTACK * 100, "instruction": ATTACK, "domain": ATTACK, "reviews_json": json.dumps(review)}
    texts |= {
        "checks_json": json.dumps([{"model": ATTACK, "verdicts": {ATTACK: False}, "comment": ATTACK}]),
        "generator": ATTACK,
    }
    arm = make_arm("gra", label="GRA | <b>" + ATTACK, tasks=FEW, kept=8, dropped=6, texts=texts)
    harmless = make_arm("b", label="plain", tasks=FEW, kept=8, dropped=6)
    text = run([arm, harmless], tmp_path / "out", samples=14)
    page = (tmp_path / "out" / "report.html").read_text()
    outline = Outline(page)
    shown = json.dumps(unpacked(page))
    assert shown.count("owned") > 5
    assert outline.tags.count("script") == 4  # its own, and three that hold data
    assert len(re.findall(r"<script>", page)) == 1
    assert "img" not in outline.tags
    assert not outline.handlers
    assert all(address.startswith("#") for address in outline.addresses)
    assert "http:" not in page.replace("http-equiv", "")
    assert "https:" not in page
    assert outline.tags.count("details") == page.count("</details>")
    assert "\x1b" not in page + text
    assert "[cut:" in shown
    markdown = (tmp_path / "out" / "table.md").read_text()
    assert "<script" not in markdown
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines()[2:6]}) == 1


def test_the_policy_allows_the_reports_own_script_and_no_other(make_arm, tmp_path):
    import base64
    import hashlib

    run([make_arm("gra", tasks=FEW, kept=8, dropped=6)], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_report_tells_reviews_gate_and_reasons(make_arm, tmp_path):
    run([make_arm("gra", label="GRA")], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    rows = unpacked(page)
    assert len(rows) == 200
    assert "All 200 samples" in page
    assert sum(row["kept"] for row in rows) == 120
    assert {one["model"] for row in rows if row["adjudication"] for one in [row["adjudication"]]} == {"slm-e"}
    assert '"tau": 8.0' in page
    page += json.dumps(rows)
    for words in (
        "too close to a sample that was kept",
        "mean score below tau",
        "Does not show the carry.",
        "reasonableness",
        "0123456789abcdef",
        "ffffffffffff",
        "torch 2.13.0",
    ):
        assert words in page, words


def test_data_without_written_reviews_is_shown_with_its_scores(make_arm, tmp_path):
    arm = make_arm("gra", label="GRA", tasks=FEW, kept=20, dropped=6)
    for path in (arm.folders["data"] / "data" / "train.parquet", arm.folders["data"] / "rejected.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["reviews_json", "checks_json", "adjudication_json"]), path)
    run([arm], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    (first, *_) = unpacked(page)[0]["reviews"]
    assert first["model"] == "slm-b"
    assert None not in first["scores"]
    assert first["strengths"] == ""


def test_funnel_ends_at_what_was_kept():
    found = funnel.from_counts(
        100, {"instruction_rejected": 20, "below_tau": 15, "duplicate": 5, "novel_reason": 2}, {}
    )
    assert [stage.count for stage in found.stages] == [100, 100, 80, 80, 65, 60, 58]
    assert found.stages[-1].lost == (("novel_reason", 2),)


def test_wide_tables_are_cut_into_blocks_that_fit(make_arm):
    names = "gsm8k math humaneval mbpp hellaswag arc_challenge gpqa_diamond bbh mmlu_pro ifeval".split()
    arms = [
        make_arm(n, label=f"{n}: an arm with a rather long label", steps=("scores",), tasks=dict.fromkeys(names, 30))
        for n in "ab"
    ]
    for width in (80, 120):
        text = table.terminal(built(arms, "a"), width)
        assert all(len(line) <= width for line in text.splitlines())
        found = text.replace("\n", " ")
        assert all(name.split("_")[0] in found for name in names)
        assert text.count("…") == 0


def test_comparison_is_quick_and_light(make_arm, tmp_path):
    """In a process of its own: neither torch nor pandas is imported, and the quickstart's size takes under 3 seconds of CPU."""
    arms = four_arms(make_arm)
    code = f"""
import sys, time
from pathlib import Path
start = time.process_time()
from gra.compare.arms import Arm
from gra.compare.experiment import compare
folders = {[{step: str(path) for step, path in arm.folders.items()} for arm in arms]!r}
names = {[arm.name for arm in arms]!r}
arms = [Arm(n, n, None, {{s: Path(p) for s, p in f.items()}}) for n, f in zip(names, folders)]
compare(arms, title="t", reference="gra", output=Path({str(tmp_path / "out")!r}), options={{}})
print(time.process_time() - start, *(m for m in ("torch", "pandas", "transformers", "matplotlib", "scipy") if m in sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    seconds, *heavy = result.stdout.split()
    assert heavy == []
    assert float(seconds) < 3
