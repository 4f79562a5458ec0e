"""Several runs by one command: arms and their trainings, contrasts, the paper's rows and claims, readings, forms, power."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from altered_scores import edit
from score_folder import write_scores

from gra import cli
from gra.compare.experiment import compare
from gra.compare.paper.tables import BENCHMARKS
from gra.compare.several import arms_of
from gra.compare.tables.csv_export import read_csv
from gra.compare.written import RECORD
from gra.errors import ConfigError

SUITE = (
    "gsm8k",
    "math_chat",
    "humaneval_chat",
    "mbpp_chat",
    "hellaswag_chat",
    "arc_challenge_chat",
    "gpqa_diamond_chat",
)
SUITE = (*SUITE, "bbh_chat", "mmlu_chat", "ifeval_chat")
TASKS = dict.fromkeys(SUITE, 60)
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def gra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gra", "compare", *map(str, words), "--resamples", "400"])
        code = cli.main()
        return code, *capsys.readouterr()

    return run


def scores(folder: Path, skill: float, seed: int, tasks: dict[str, int] = TASKS, simulated: bool = False) -> Path:
    return write_scores(folder, skill, seed, tasks, simulated=simulated)


def lines_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_three_arms_and_a_contrast(gra: Command, tmp_path: Path) -> None:
    runs = [
        f"{name}={scores(tmp_path / name, skill, place)}"
        for place, (name, skill) in enumerate({"a": 0.2, "b": 0.0, "c": -0.1}.items())
    ]
    code, text, _ = gra(*runs, "--contrast", "b-c", "--output", tmp_path / "out")
    assert code == 0
    assert all(len(line) <= 120 for line in text.splitlines())
    for words in ("Comparison of 3 runs", "a minus arm", "detectable", "b-c", "mean of 10"):
        assert words in text
    assert "Tokens are input plus output" not in text  # nothing is known of the data
    contrast = lines_of((tmp_path / "out" / "contrasts.csv").read_text())
    table = read_csv((tmp_path / "out" / "table.csv").read_text())
    means = {str(line["arm"]): float(str(line["mean"])) for line in table}
    assert float(contrast[0]["difference"]) == pytest.approx(means["b"] - means["c"])
    assert float(contrast[0]["detectable"]) > (float(contrast[0]["high"]) - float(contrast[0]["low"])) / 2
    code, text, _ = gra(*runs, "--reference", "c", "--format", "csv")
    assert [line["arm"] for line in read_csv(text) if line["reference"]] == ["c"]
    code, _, said = gra(*runs, "--contrast", "b-none")
    assert (code, "is not a difference of arms" in said) == (2, True)


def test_folders_of_one_name_are_trainings(gra: Command, tmp_path: Path) -> None:
    runs = [
        f"{name}={scores(tmp_path / f'{name}{n}', skill, 10 * n + len(name))}"
        for name, skill in (("a", 0.1), ("bb", 0.0))
        for n in range(2)
    ]
    code, text, _ = gra(*runs, "--format", "csv")
    assert code == 0
    assert [(line["arm"], line["replicates"], line["interval_over"]) for line in read_csv(text)] == [
        ("a", 2, None),
        ("bb", 2, "items and trainings"),
    ]


def test_beside_the_paper(gra: Command, tmp_path: Path) -> None:
    few = {task: 60 for task in SUITE if task != "mmlu_chat"}
    runs = [
        f"gra={scores(tmp_path / 'g', 0.1, 1)}",
        f"distilled_72b={scores(tmp_path / 'd', 0.0, 2, few)}",
        f"mine={scores(tmp_path / 'm', 0.0, 3, simulated=True)}",
        f"other={scores(tmp_path / 'o', 0.0, 4)}",
    ]
    words = (
        "--paper",
        "llama-3.1-8b/Condor",
        "--paper-row",
        "mine=Llama-3.1-8B/Alpaca/vanilla",
        "--output",
        tmp_path / "out",
    )
    code, text, said = gra(*runs, *words)
    assert code == 0
    hint = "the paper's tables have no row `other`: they leave this arm out\n    -> --paper-row other=vanilla | dist"
    assert said.startswith(hint)
    assert said.count("have no row") == 1
    assert all(len(line) <= 120 for line in text.splitlines())
    assert "51.16 (printed 51.60)" in (tmp_path / "out" / "paper.md").read_text()
    assert "Beside the paper's tables" not in text, "written, and long"
    listed = text.partition("\nwritten: ")[2].replace("\n", " ").strip().split(", ")
    assert sorted(listed) == sorted(map(str, (tmp_path / "out").glob("[!.]*")))
    whole = (tmp_path / "out" / "claims.md").read_text()
    (counted,) = [line for line in text.splitlines() if "claims not run: " in line]
    count = sum(" | not run | " in line for line in whole.split("**Parts**")[0].splitlines())
    assert (int(counted.split()[0]), text.count("not run  ")) == (count, 0)
    code, shown, _ = gra(*runs, *words[:-2])
    assert (code, "51.16 (printed 51.60)" in shown, "--output DIR writes them all" in shown) == (0, True, True)
    assert len(text.splitlines()) < len(shown.splitlines()) < 250
    code, shown, said = gra(*runs, *words, "--format", "latex")
    assert (code, "written" in shown, "written: " in said) == (0, False, True)
    found = {(line["arm"], line["benchmark"]): line for line in lines_of((tmp_path / "out" / "paper.csv").read_text())}
    assert {arm for arm, _ in found} == {"gra", "distilled_72b", "mine"}
    assert all((("gra", name) in found) for name in BENCHMARKS)
    one = found["gra", "gsm8k"]
    assert float(one["paper"]) == pytest.approx(0.6558)
    assert float(one["delta"]) == pytest.approx(float(one["ours"]) - 0.6558)
    error = 1.959964 * (0.6558 * (1 - 0.6558) / 1319) ** 0.5
    expected = ((float(one["ours"]) - float(one["ours.low"])) ** 2 + error**2) ** 0.5
    assert float(one["delta"]) - float(one["delta.low"]) == pytest.approx(expected, rel=1e-4)
    lacking = found["distilled_72b", "mmlu"]
    assert (lacking["ours"], lacking["delta"], lacking["detectable"]) == ("-", "-", "-")
    assert found["distilled_72b", "mean"]["delta"] == "-"
    assert found["distilled_72b", "(general)"]["delta"] == "-"
    assert found["distilled_72b", "mean of 9"]["delta"] != "-"
    wide = lines_of((tmp_path / "out" / "table1.csv").read_text())
    assert [line["Scores"] for line in wide] == [*("paper", "ours") * 2, "paper", "ours (simulated)"]
    assert [line["Arm"] for line in wide[4:]] == ["mine", "mine"], "the paper's numbers are not simulated"
    assert [wide[0][name] for name in ("gsm8k", "mean")] == ["65.6", "51.2"]
    assert wide[3]["mmlu"] == "-", "not measured"
    assert wide[1]["gsm8k"] == f"{100 * float(one['ours']):.1f}"
    latex = (tmp_path / "out" / "table1.tex").read_text()
    assert latex.count("\\toprule") == 1
    first, *rest = latex.splitlines()
    assert (first, rest[:3]) == (r"% needs \usepackage{booktabs}", [r"\begin{table}", r"\centering", r"\small"])
    assert r"\label{tab:gra-table1}" in rest
    assert "`" not in latex
    assert r"the reading of \texttt{paper}." in latex
    every = {path.stem: path.read_text() for path in (tmp_path / "out").glob("*.tex")}
    assert all(f"\\label{{tab:gra-{name}}}" in text for name, text in every.items()), "after its caption"
    assert r"\label{tab:gra-claims-2}" in every["claims"]
    simulated = found["mine", "gsm8k"]
    assert (simulated["simulated"], simulated["label"], simulated["opendataarena"]) == (
        "true",
        "mine",
        "0.2565",
    )
    assert found["gra", "gsm8k"]["opendataarena"] == "-"
    claims = (tmp_path / "out" / "claims.md").read_text()
    assert "(simulated)" in claims.splitlines()[0]
    judged = {line["says"]: line for line in lines_of((tmp_path / "out" / "claims.csv").read_text())}
    assert judged["average of Llama-3.1-8B/Condor/gra"]["verdict"] in ("holds", "open", "fails")
    assert judged["average of Llama-3.1-8B/Condor/distilled_72b"]["verdict"] == "not run"  # MMLU is missing
    assert judged["average of Qwen2.5-7B/Alpaca/gra"]["verdict"] == "not run"
    code, _, said = gra(*runs, "--paper", "Llama-3.1-8B/Condor", "--paper-column", "mmlu=nothing")
    assert (code, "no run has a task `nothing`" in said) == (2, True)
    code, _, said = gra(runs[3], runs[2], "--paper", "Llama-3.1-8B/Condor")
    assert (code, "is a row of the paper's tables" in said) == (2, True)


def test_the_projects_own_names_of_arms_are_rows(gra: Command, tmp_path: Path) -> None:
    one = {"gsm8k": 60}
    names = ("gra", "seed_only", "large_own", "gra_3", "Llama-3.1-8B/Condor/vanilla")
    runs = [f"{name}={scores(tmp_path / str(place), 0.0, place, one)}" for place, name in enumerate(names)]
    words = ("--paper", "qwen2.5-7b/Alpaca", "--output", tmp_path / "out")
    code, _, said = gra(*runs, *words)
    assert (code, said) == (0, "")
    lines = lines_of((tmp_path / "out" / "paper.csv").read_text())
    rows = {line["arm"]: line["row"].removeprefix("Qwen2.5-7B/Alpaca/") for line in lines}
    assert rows == dict(zip(names, ("gra", "vanilla", "distilled_72b", "gra_30k", names[4]), strict=True))
    note = "seed_only is Qwen2.5-7B/Alpaca/vanilla, large_own is Qwen2.5-7B/Alpaca/distilled_72b, gra_3 is"
    assert note in (tmp_path / "out" / "table1.md").read_text().replace("\\_", "_")
    code, _, said = gra(f"vanilla={tmp_path / '0'}", *runs[1:3], "--paper-row", "large_own=gra", *words)
    assert (code, said.count("have no row")) == (0, 1)
    assert "the paper's tables have no row `seed_only`" in said  # vanilla has that row
    code, _, said = gra(runs[0], runs[3], "--paper", "all", "--paper-row", f"gra={names[4]}")
    assert (code, "--paper-row gra_3=Qwen2.5-7B/Alpaca/vanilla | or another MODEL/SEED_DATA/DATA" in said) == (0, True)


def test_runs_without_a_benchmark_of_the_paper_are_told_how_to_name_one(gra: Command, tmp_path: Path) -> None:
    runs = [f"{name}={scores(tmp_path / name, 0.0, 1, {'quiz_x': 60, 'quiz_y': 60})}" for name in ("gra", "vanilla")]
    code, text, said = gra(*runs, "--paper", "Qwen2.5-7B/Alpaca")
    assert (code, "The layout of the paper's Table 1" in text) == (0, True)
    assert "no task of these runs (quiz_x, quiz_y) is a column of the paper" in said
    assert "-> --paper-column gsm8k=TASK" in said
    code, _, said = gra(*runs, "--paper", "Qwen2.5-7B/Alpaca", "--paper-column", "gsm8k=quiz_x")
    assert (code, said) == (0, "")


def test_claims_of_runs_are_their_contrasts(gra: Command, tmp_path: Path) -> None:
    """A claim over three seed sets is the contrast of the arms' means; with good runs A1 holds."""
    named = {
        f"Qwen2.5-7B/{seed}/{data}": 0.25 * (data == "gra")
        for seed in ("Alpaca", "WizardLM", "Condor")
        for data in ("gra", "distilled_72b")
    }
    runs = [
        f"{name}={scores(tmp_path / str(place), skill, place)}" for place, (name, skill) in enumerate(named.items())
    ]
    sides = {data: "+".join(name for name in named if name.endswith(f"/{data}")) for data in ("gra", "distilled_72b")}
    code, _, _ = gra(
        *runs, "--paper", "all", "--contrast", f"{sides['gra']}-{sides['distilled_72b']}", "--output", tmp_path / "out"
    )
    assert code == 0
    claims = {line["says"]: line for line in lines_of((tmp_path / "out" / "claims.csv").read_text())}
    first = claims["GRA beats the 72B model on Qwen2.5-7B, mean over the seed sets"]
    contrast = lines_of((tmp_path / "out" / "contrasts.csv").read_text())[0]
    assert float(first["value"]) == pytest.approx(float(contrast["difference"]))
    assert float(first["low"]) == pytest.approx(float(contrast["low"]), abs=0.01)
    assert first["verdict"] == "holds"
    assert claims["72B data add little to 32B data on Qwen2.5-7B"]["verdict"] == "not run"


def test_verified_scores_are_no_training_and_stand_beside_the_strict_ones(gra: Command, tmp_path: Path) -> None:
    folders = {place: scores(tmp_path / place, skill, 3) for place, skill in (("a", 0.0), ("a-v", 0.1), ("b", 0.0))}
    edit(folders["a-v"], how={"reading": "verified", "verifier": "judge-7b"})
    a, verified, b = (f"{place[0]}={folder}" for place, folder in folders.items())
    code, text, _ = gra(a, verified, b, "--output", tmp_path / "out")
    assert (code, "judge-7b" in text) == (0, False)  # the table shows the strict scores
    (first, second) = lines_of((tmp_path / "out" / "readings.csv").read_text())
    strict, seen = (json.loads((folders[place] / "scores.json").read_text())["mean"] for place in ("a", "a-v"))
    assert (float(first["strict"]), float(first["verified"])) == pytest.approx((strict, seen))
    assert second["verified"] in ("", "-")
    code, text, _ = gra(f"only={folders['a-v']}", b)  # the verified ones alone: said in the row, and below
    assert (code, "only (verified by judge-7b)" in " ".join(text.split())) == (0, True)
    assert "read differently, judge-7b / strict" in " ".join(text.split())
    code, text, _ = gra(folders["a-v"], folders["b"])  # two folders without names, in detail
    assert (code, "read differently, judge-7b / strict" in " ".join(text.split())) == (0, True)
    (tmp_path / "b").rename(tmp_path / "a" / "a-v")  # the same last name, but no name was given
    assert len(arms_of([str(tmp_path / "a-v"), str(tmp_path / "a" / "a-v")], None)) == 2
    with pytest.raises(ConfigError, match="runs are read by a verifier too"):
        arms_of([a, f"a={tmp_path / 'a' / 'a-v'}", verified], None)


def test_readings_side_by_side(gra: Command, tmp_path: Path) -> None:
    strict = {
        name: scores(tmp_path / name, skill, place)
        for place, (name, skill) in enumerate({"gra": 0.1, "vanilla": 0.0}.items())
    }
    reread = {
        name: scores(tmp_path / f"{name}-oc", skill + 0.05, place)
        for place, (name, skill) in enumerate({"gra": 0.1, "vanilla": 0.0}.items())
    }
    for folder in reread.values():
        edit(folder, how={"reading": "opencompass"})
    runs = [f"{name}={folder}" for found in (strict, reread) for name, folder in found.items()]
    code, text, _ = gra(*runs, "--paper", "Qwen2.5-7B/Alpaca", "--output", tmp_path / "out")
    assert code == 0
    assert "Readings of the same replies" in text
    (first, _) = lines_of((tmp_path / "out" / "readings.csv").read_text())
    means = {
        kind: json.loads((folder["gra"] / "scores.json").read_text())["mean"]
        for kind, folder in (("strict", strict), ("opencompass", reread))
    }
    assert {kind: float(first[kind]) for kind in means} == pytest.approx(means)
    (mean,) = [
        line
        for line in lines_of((tmp_path / "out" / "paper.csv").read_text())
        if (line["arm"], line["benchmark"]) == ("gra", "mean")
    ]
    assert mean["reading"] == "opencompass"  # the paper's numbers were read so
    assert float(mean["ours"]) == pytest.approx(means["opencompass"])
    assert [arm.replicate for arm in arms_of(runs, None)] == [None, None]
    with pytest.raises(ConfigError, match="re-read all of them"):
        arms_of([*runs, f"gra={scores(tmp_path / 'second', 0.1, 9)}"], None)


@pytest.mark.parametrize(
    ("form", "sign"), [("markdown", "| Arm | "), ("latex", r"\toprule"), ("csv", "arm,label,"), ("terminal", "──")]
)
def test_forms(gra: Command, tmp_path: Path, form: str, sign: str) -> None:
    one, other = (scores(tmp_path / name, 0.1, place, {"gsm8k": 60, "quiz_x": 60}) for place, name in enumerate("ab"))
    code, text, _ = gra(one, other, "--format", form)
    assert (code, sign in text) == (0, True)
    assert text.count("\n") > 2


def test_power_from_runs(gra: Command, tmp_path: Path) -> None:
    runs = [
        f"{name}={scores(tmp_path / f'{name}{n}', 0.0, 10 * n + len(name))}" for name in ("a", "bb") for n in range(2)
    ]
    code, text, _ = gra(*runs, "--power", "3", "--output", tmp_path / "out")
    assert (code, "needed for 3" in text, "correlate by" in text, "(here 2 and 2)" in text) == (0, True, True, True)
    plan = lines_of((tmp_path / "out" / "power.csv").read_text())
    by_trainings = [float(line["detectable"]) for line in plan if line["noise"] == "0.0"]
    assert by_trainings[1:] == sorted(by_trainings[1:], reverse=True)
    code, _, said = gra(*runs, "--format", "csv", "--output", tmp_path / "out")
    assert (code, said.splitlines()[-1].endswith("wrote them: power.csv, power.md, power.tex")) == (0, True)
    code, _, said = gra(f"a={tmp_path / 'a0'}", "--power")
    assert (code, "needs two evaluated arms" in said) == (1, True)


def test_words_that_are_no_runs(gra: Command, tmp_path: Path) -> None:
    one = scores(tmp_path / "a", 0.0, 1)
    (tmp_path / "empty").mkdir()
    code, _, said = gra(f"a={one}", f"b={tmp_path / 'empty'}", one)
    assert (code, "empty` holds no evaluation" in said) == (2, True)
    code, _, said = gra(f"a={one}", f"b={one}", "--json")
    assert (code, "two unnamed folders" in said) == (2, True)


def test_an_experiments_comparison_has_the_same_sheets(make_arm: Any, tmp_path: Path) -> None:
    arms = [
        make_arm(name, skill=skill, seed=place, tasks=TASKS)
        for place, (name, skill) in enumerate({"gra": 0.2, "vanilla": 0.0}.items())
    ]
    options = {"resamples": 400, "contrasts": ["vanilla-gra"], "paper": {"block": "Qwen2.5-7B/Condor"}}
    text = compare(arms, title="t", reference="gra", output=tmp_path / "out", options=options)
    names = {f"{name}.{form}" for name in ("contrasts", "table1", "paper", "claims") for form in ("md", "csv", "tex")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {
        "table.md",
        "table.csv",
        "table.tex",
        "report.html",
        RECORD,
    }
    assert "Beside the paper's tables" in text
    assert "have no row" not in text
    judged = {line["says"]: line for line in lines_of((tmp_path / "out" / "claims.csv").read_text())}
    assert judged["the adjudicator keeps a disputed sample"]["verdict"] == "holds"  # from stats.json
    options["paper"] = {"block": "Qwen2.5-7B/Condor", "rows": {"vanilla": "Qwen2.5-7B/Alpaca/vanilla"}}
    arms.append(make_arm("mine", skill=0.0, seed=9, tasks=TASKS))
    text = compare(arms, title="t", reference="gra", output=tmp_path / "out", options=options)
    assert "-> ++experiment.compare.paper.rows.mine=vanilla | " in text
    with pytest.raises(ConfigError, match="paper"):
        compare(arms, title="t", reference="gra", output=tmp_path / "x", options={"paper": {"blok": "x"}})


def test_names_of_folders_that_do_not_exist_are_no_keys(gra: Command, tmp_path: Path) -> None:
    code, text, said = gra(f"gra={tmp_path / 'a'}", f"vanilla={tmp_path / 'b'}", "--paper", "Qwen2.5-7B/Alpaca")
    assert (code, text) == (2, "")
    assert f"{tmp_path / 'a'}` does not exist" in said
    assert f"{tmp_path / 'b'}` does not exist" in said
