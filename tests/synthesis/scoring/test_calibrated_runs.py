"""synthesis.calibrate=probe: each reviewer's scale is mapped by its probe before the gate, so that tau means the same from all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_scoring_runs import NAMES, config, data_bytes, rows

from gra.chain.store.manifest import outside_hash
from gra.compare.report.browse import browsed
from gra.errors import ConfigError
from gra.simulation import world_stage
from gra.synthesis import stage
from gra.synthesis.committee.records import DIMENSIONS, Review
from gra.synthesis.output.inspect import main as inspect
from gra.synthesis.probe import run as probe_run
from gra.synthesis.probe import stage as probe_stage
from gra.synthesis.scoring.calibration import apply
from gra.synthesis.scoring.scales import as_given, calibrated, scales_for
from gra.synthesis.settings import SynthesisSettings

DIGITS = st.integers(0, 100_000).map(lambda n: n / 10_000)  # four, as a probe writes them
KNOTS = st.lists(st.tuples(DIGITS, DIGITS), min_size=1, max_size=6).map(
    lambda pairs: [list(pair) for pair in zip(sorted(x for x, _ in pairs), sorted(y for _, y in pairs), strict=True)]
)
ONE = st.floats(0, 10).map(lambda score: {"overall": score})
SCORES = st.dictionaries(st.sampled_from(DIMENSIONS), st.integers(0, 10), min_size=1) | ONE


@given(KNOTS, SCORES, SCORES)
def test_a_review_is_mapped_once_and_keeps_what_its_model_gave(knots: list[list[float]], one: Any, other: Any) -> None:
    first, second = (calibrated(Review("m", scores), {"m": knots}) for scores in (one, other))
    assert first.raw == one
    assert as_given(first) == Review("m", one)
    assert first.score is not None
    assert second.score is not None
    assert 0 <= first.score <= 10
    if fmean(one.values()) <= fmean(other.values()):
        assert first.score <= second.score  # a higher score never stands for less
    assert calibrated(Review("n", one), {"m": knots}) == Review("n", one)
    assert calibrated(Review("m", None, missing="cut off"), {"m": knots}) == Review("m", None, missing="cut off")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    world_stage.run({"seed": 0, "world": {"seeds": 600, "test_per_task": 5}}, {}, folder)
    return folder / "seeds" / "seeds.jsonl"


def probe(world: Path, folder: Path, seed: int = 0, calls: int = 200, **synthesis: Any) -> Path:
    given = config(world)
    given |= {"seed": seed, "probe": {"calls": calls, "sources": [{"_target_": "gra.simulation.known.source"}]}}
    given["seeds"]["limit"] = 500
    given["synthesis"] |= {"probe": "warn", **synthesis}
    folder.mkdir(parents=True)
    probe_stage.run(given, {}, folder)
    return folder


@pytest.fixture(scope="module")
def probed(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return probe(world, tmp_path_factory.mktemp("probed") / "probe", calibrate="probe")


def run(world: Path, probe_folder: Path, folder: Path, concurrency: int = 64, **synthesis: Any) -> Path:
    folder.mkdir(parents=True)
    stage.run(config(world, concurrency, calibrate="probe", **synthesis), {"probe": probe_folder}, folder)
    return folder


@pytest.fixture(scope="module")
def made(world: Path, probed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(world, probed, tmp_path_factory.mktemp("made") / "data")


@pytest.mark.parametrize("scoring", ["text", "probability"])
def test_eight_is_given_to_a_fifth_of_wrong_answers_by_all(
    world: Path, tmp_path: Path, scoring: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of answers that the maps were not made of: those of another probe, some 200 per reviewer (a share is known to within 0.03,
    standard error). Without maps the shares lie far apart."""
    folder = probe(world, tmp_path / "maps", calls=600, scoring=scoring)
    scales = scales_for(SynthesisSettings(calibrate="probe", scoring=scoring), NAMES, folder)
    seen: list[probe_run.Findings] = []
    ask = probe_run.ask

    async def noted(*arguments: Any) -> probe_run.Findings:
        seen.append(await ask(*arguments))
        return seen[-1]

    monkeypatch.setattr(probe_run, "ask", noted)
    probe(world, tmp_path / "others", seed=1, calls=2000, scoring=scoring)
    wrong = [item for item in seen[0].items if item.author is not None and not item.right]
    shares, uncalibrated = [], []
    for name in NAMES:
        scores = [
            fmean(s.values()) for item in wrong if item.author != name and (s := seen[0].judged[name].get(item.id))
        ]
        assert len(scores) > 150
        shares.append(fmean(apply(scales[name], score) >= 8 for score in scores))
        uncalibrated.append(fmean(score >= 8 for score in scores))
    assert all(0.08 <= share <= 0.32 for share in shares), shares
    assert max(uncalibrated) - min(uncalibrated) > max(shares) - min(shares)


def test_the_gate_sees_calibrated_scores_and_the_raw_ones_are_kept(
    made: Path, probed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = json.loads((probed / "probe.json").read_text())["models"]
    knots = {name: model["calibration"] for name, model in models.items()}
    changed = 0
    for row in (*rows(made), *rows(made, "rejected.parquet")):
        reviews = [review for review in json.loads(row["reviews_json"]) if review["scores"]]
        for review in reviews:
            assert review["scores"] == {"overall": apply(knots[review["model"]], review["raw"]["overall"])}
            changed += review["scores"] != review["raw"]
        if reviews:
            assert row["mean"] == pytest.approx(fmean(review["scores"]["overall"] for review in reviews))
    assert changed > 100
    kept = rows(made)
    assert all(row["mean"] >= 8 or row["decision"] == "adjudicated" for row in kept)
    told = json.loads((made / "stats.json").read_text())
    assert told["calibration"] == {"calibrated": NAMES, "without_map": []}
    first = json.loads(kept[0]["reviews_json"])[0]
    inspect([str(made), "--sample", kept[0]["id"]])
    assert (
        f"overall {first['scores']['overall']} (as given: overall {first['raw']['overall']})" in capsys.readouterr().out
    )
    assert browsed(kept[0], kept=True)["reviews"][0]["score"] == first["scores"]["overall"]


def test_the_data_are_the_same_at_any_concurrency(world: Path, probed: Path, made: Path, tmp_path: Path) -> None:
    assert data_bytes(run(world, probed, tmp_path / "data", concurrency=1)) == data_bytes(made)


def test_written_scores_are_calibrated_too_and_a_model_without_a_map_is_named(
    world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written = probe(world, tmp_path / "written", scoring="text")
    other = json.loads((written / "probe.json").read_text())
    other["models"]["slm-b"]["calibration"] = None
    (written / "probe.json").write_text(json.dumps(other))
    made = run(world, written, tmp_path / "data", scoring="text", rounds=1, samples_per_round=10)
    assert json.loads((made / "stats.json").read_text())["calibration"]["without_map"] == ["slm-b"]
    assert "the probe has no map for slm-b" in caplog.text
    for row in rows(made):
        for review, columns in zip(json.loads(row["reviews_json"]), row["scores"], strict=True):
            if review["scores"]:
                given = review.get("raw") or review["scores"]
                assert ("raw" in review) == (review["model"] != "slm-b")
                assert {name: columns[name] for name in DIMENSIONS} == given
                assert columns["score"] == pytest.approx(fmean(review["scores"].values()))


def fault(world: Path, inputs: dict[str, Path | None], **synthesis: Any) -> str:
    given = config(world, calibrate="probe", **synthesis)
    return "\n".join(f"{p.key}: {p.message} {p.remedy}" for p in stage.check(given, inputs))


def test_what_cannot_calibrate_is_told_at_once(world: Path, probed: Path, tmp_path: Path) -> None:
    assert fault(world, {"probe": probed}) == ""
    assert fault(world, {"probe": None}, probe="warn") == ""  # a step before, that has not run yet
    assert fault(world, {}, review=False) == ""  # nothing is scored
    assert "there is no result of a probe" in fault(world, {})
    assert "is off" in fault(world, {"probe": None})  # of simulated pools, unless synthesis.probe says otherwise
    assert "synthesis.scoring=probability and questions=overall, but the run has synthesis.scoring=text" in fault(
        world, {"probe": probed}, scoring="text"
    )
    assert "questions=dimensions" in fault(world, {"probe": probed}, questions="dimensions")
    assert "cannot be read" in fault(world, {"probe": tmp_path})
    found = json.loads((probed / "probe.json").read_text())
    folder = Path(shutil.copytree(probed, tmp_path / "damaged"))

    def with_maps(value: Any) -> str:
        models = {name: {**model, "calibration": value} for name, model in found["models"].items()}
        (folder / "probe.json").write_text(json.dumps(found | {"models": models}))
        return fault(world, {"probe": folder})

    for value in ([[1, 2], [0, 3]], [[1, 2], [3, 1]], [[1]], "x", [["a", 1]], [[0, 11]], [[0, float("nan")]], {"a": 1}):
        assert "is not a list of ascending pairs" in with_maps(value)
    assert "has no map for any of the models that judge" in with_maps(None)
    (folder / "probe.json").write_text(json.dumps({"models": {}, "off": True}))
    assert "there is no result of a probe" in fault(world, {"probe": folder})
    with pytest.raises(ConfigError, match="no result of a probe"):
        stage.run(config(world, calibrate="probe"), {}, tmp_path / "out")


def test_another_probe_is_another_run(probed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(probed, tmp_path / "probe"))
    before = outside_hash(folder)
    found = json.loads((folder / "probe.json").read_text())
    found["models"]["slm-a"]["calibration"][0][1] = 0.01
    (folder / "probe.json").write_text(json.dumps(found))
    assert outside_hash(folder) != before
    assert "calibrated" in "".join(stage.bought_again(["inputs.probe"]))
