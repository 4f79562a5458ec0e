"""The seeds that come with the package: read without a loss, right by every rule that applies, found wherever it is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from gra import paths
from gra.eval.sandbox.run import SandboxError, isolation, run_all
from gra.models.base import Reply
from gra.paths import conf_dir, located
from gra.synthesis import prompts
from gra.synthesis.committee.records import DOMAINS, Record
from gra.synthesis.decontamination.ngram_index import Index
from gra.synthesis.decontamination.settings import DecontaminateSettings
from gra.synthesis.decontamination.sources import read_items, sources
from gra.synthesis.replies.echoes import words
from gra.synthesis.replies.overlap import covered
from gra.synthesis.replies.reading import read
from gra.synthesis.seeds.load import SeedSettings, check_seeds, load_seeds, seed_files

FILE = conf_dir() / "seeds" / "starter.jsonl"
RECORDS: list[dict[str, Any]] = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]
PROGRAMS = [record for record in RECORDS if "tests" in record]
BENCHMARKS = Path(__file__).parents[3].parent / "shared" / "data" / "benchmarks"
_SUM = re.compile(r"(?<![\w.])(\d[\d./]*(?: [-+*/] \d[\d./]*)+) = (\d[\d.]*\d|\d)(/\d+)?")
PER_DOMAIN, MOST_SENTENCES, MOST_ALIKE = 18, 5, 0.5


def settings() -> SeedSettings:
    return SeedSettings.model_validate(yaml.safe_load((conf_dir() / "seeds" / "starter.yaml").read_text("utf-8")))


def asked(record: dict[str, Any]) -> str:
    return "\n\n".join(part for part in (record["instruction"], record["input"]) if part)


def names(records: list[dict[str, Any]]) -> list[str]:
    return [record["instruction"][:50] for record in records]


def test_they_are_read_without_a_loss() -> None:
    assert check_seeds(settings()) == []
    found = load_seeds(settings(), seed=0)
    assert (found.bad, found.duplicates, found.total, found.license) == ([], 0, 7 * PER_DOMAIN, "apache-2.0")
    assert Counter(seed.domain for seed in found.seeds) == dict.fromkeys(DOMAINS, PER_DOMAIN)
    assert [(seed.instruction, seed.response) for seed in found.seeds] == [(asked(r), r["response"]) for r in RECORDS]


def test_their_form_is_short_and_varied() -> None:
    for record in RECORDS:
        assert set(record) - {"answer", "tests"} == {
            "instruction",
            "input",
            "response",
            "domain",
            "keywords",
            "summary",
        }
        assert 4 <= len(record["summary"].split()) <= 16, record["summary"]
        assert 6 <= len(record["instruction"].split()) <= 40, record["instruction"]
        if "tests" not in record:
            ends = re.findall(r"(?<!\b\d)(?<!\bM[rs])(?<!\bMrs)[.!?]+[\"']?(?=\s|$)", record["response"])
            assert len(ends) <= MOST_SENTENCES, record["response"]
    first = Counter(record["instruction"].split()[0] for record in RECORDS)
    assert first.most_common(1)[0][1] <= len(RECORDS) // 10, first.most_common(3)


def test_no_two_are_alike() -> None:
    assert len({record["response"] for record in RECORDS}) == len(RECORDS)
    for one, other in combinations(RECORDS, 2):
        mine, others = set(words(asked(one))), set(words(asked(other)))
        alike = len(mine & others) / len(mine | others)
        assert alike <= MOST_ALIKE, (one["instruction"], other["instruction"], alike)


def test_exact_answers_stand_in_the_responses() -> None:
    exact = [record for record in RECORDS if "answer" in record]
    assert len(exact) + len(PROGRAMS) >= 60
    assert {r["domain"] for r in exact} == {"coding", "mathematics", "question answering", "reasoning"}
    for record in exact:
        assert len(record["answer"].split()) <= 2
        assert re.search(rf"(?<!\w){re.escape(record['answer'])}(?!\w)", record["response"]), record["response"]


@pytest.mark.parametrize(
    "record", [r for r in RECORDS if r["domain"] == "mathematics"], ids=lambda r: r["instruction"][:40]
)
def test_sums_are_right(record: dict[str, Any]) -> None:
    sums = _SUM.findall(record["response"])
    words_alone = record["answer"] in ("20:15", "4,800", "3/8")  # a time, a rounding, a share
    assert sums or words_alone
    for left, right, below in sums:
        exact = eval(re.sub(r"\d+(?:\.\d+)?", r"Fraction('\g<0>')", left))  # of digits and signs alone
        assert exact == Fraction(right + below), f"{left} = {right}{below}"


def test_programs_pass_their_tests() -> None:
    try:
        isolation()
    except SandboxError as error:
        pytest.skip(str(error))
    assert len(PROGRAMS) >= 15
    codes = []
    for record in PROGRAMS:
        match = re.fullmatch(r"```python\n(.*)\n```", record["response"], re.DOTALL)
        assert match is not None, record["response"]
        assert len(record["tests"]) >= 2
        assert all(test.startswith("assert ") for test in record["tests"])
        codes.append(match[1])
    whole = ["\n".join([code, *record["tests"]]) for code, record in zip(codes, PROGRAMS, strict=True)]
    empty = [
        re.sub(r"\n    .*", "\n    pass", code, flags=re.DOTALL) + "\n" + record["tests"][0]
        for code, record in zip(codes, PROGRAMS, strict=True)
    ]
    verdicts = run_all(whole + empty, workers=2)
    assert [v.said for v in verdicts[: len(whole)] if not v.passed] == []
    assert [
        r["tests"][0] for r, v in zip(PROGRAMS, verdicts[len(whole) :], strict=True) if v.passed
    ] == []  # tests can fail


def test_what_programs_print_is_the_answer() -> None:
    printing = [r for r in RECORDS if r["domain"] == "coding" and "print(" in r["input"]]
    assert len(printing) == 2
    for record in printing:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", record["input"]], capture_output=True, text=True, timeout=60
        )
        assert done.stdout.strip() == record["answer"]


def test_the_checks_of_replies_take_them() -> None:
    """Were a model to write them, no check would refuse them; nor do two share so much that one were a copy of the other."""
    other = Record(
        "s1",
        "Explain how tides come about in simple words.",
        "The moon pulls.",
        "reasoning",
        ("tides", "moon", "pull"),
        "Explaining how the moon makes the tides rise and fall twice a day.",
    )
    for record in RECORDS:
        shown = {
            "domain": record["domain"],
            "records": (other,),
            "show": "metadata",
            "keywords": ("sea", "salt", "water"),
        }
        said = read(
            "instruction",
            Reply(json.dumps({"instruction": asked(record)})),
            prompt=prompts.render("instruction", None, **shown),
            values=shown,
        )
        assert said.fault is None
        assert said.value.instruction == asked(record)
        given = {"domain": record["domain"], "instruction": asked(record)}
        reply = read(
            "respond", Reply(record["response"]), prompt=prompts.render("respond", None, **given), values=given
        )
        assert (reply.fault, reply.value) == (None, record["response"])
    for one, two in combinations(RECORDS, 2):
        assert covered(asked(one), asked(two)) < 0.5, names([one, two])


@pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="the public benchmark files are not beside the repository")
def test_they_hold_nothing_of_a_benchmark() -> None:
    of_all = DecontaminateSettings(data_dir=str(BENCHMARKS), splits="all")
    index = Index((item for source in sources(of_all) for item in read_items(source)), of_all)
    hits = [(asked(r), hit) for r in RECORDS if (hit := index.find(asked(r), r["response"])) is not None]
    assert hits == []


def test_the_file_is_found_wherever_the_package_is(tmp_path: Path) -> None:
    """As a wheel lays it out (conf/ as gra/_conf), from a folder that has nothing to do with it."""
    root = conf_dir().parent if conf_dir().name == "conf" else conf_dir().parents[1]
    site = tmp_path / "site"
    shutil.copytree(Path(paths.__file__).parent, site / "gra", ignore=shutil.ignore_patterns("__pycache__", "_conf"))
    shutil.copytree(conf_dir(), site / "gra" / "_conf")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import yaml; from gra.paths import conf_dir; from gra.synthesis.seeds.load import SeedSettings, load_seeds, seed_files\n"
        "found = SeedSettings.model_validate(yaml.safe_load((conf_dir() / 'seeds' / 'starter.yaml').read_text('utf-8')))\n"
        "print(len(load_seeds(found, 0).seeds), *seed_files(found).values())"
    )
    command = [sys.executable, "-I", "-c", program, str(site)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["126", str(site / "gra" / "_conf" / "seeds" / "starter.jsonl")], done.stderr
    assert str(root) not in (conf_dir() / "seeds" / "starter.yaml").read_text("utf-8")


def test_a_packaged_path_is_never_inside_an_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = conf_dir() / "seeds" / "starter.jsonl"
    assert located("gra:seeds/starter.jsonl") == file
    assert seed_files(settings()) == {"seeds.path": file}
    assert len(load_seeds(settings(), 0, base=tmp_path).seeds) == len(RECORDS)
    missing = settings().model_copy(update={"path": "gra:seeds/startr.jsonl"})
    (problem,) = check_seeds(missing, base=None, base_pending=True)  # seen before the input is there
    assert "no such file" in str(problem)
    monkeypatch.chdir(tmp_path)
    shutil.copy(file, tmp_path / "gra:mine.jsonl")
    assert len(load_seeds(settings().model_copy(update={"path": "./gra:mine.jsonl"}), 0).seeds) == len(RECORDS)
