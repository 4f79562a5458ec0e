"""Seeds that bring their own domain, keywords and summary: no model is asked for what is there already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripted import Scripted, good_reply
from seed_writers import jsonl, load
from test_rounds import synthesize

from gra.errors import SeedError
from gra.models.base import Reply
from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.protocol import annotate_seed
from gra.synthesis.committee.records import Seed
from gra.synthesis.config import parsed
from gra.synthesis.output.price import outlook
from gra.synthesis.settings import SynthesisSettings

COLUMNS = {"instruction": "q", "response": "a", "domain": "d", "keywords": "k", "summary": "s"}
WHOLE = {
    "q": "Name a river.",
    "a": "The Rhine.",
    "d": "language",
    "k": ["river", "Europe", "names"],
    "s": "A river  is named.\n",
}


def read(tmp_path: Path, *records: dict[str, Any], **settings: Any) -> Any:
    path = tmp_path / "seeds.jsonl"
    path.write_text(jsonl([*records]))
    return load(path, columns=COLUMNS, **settings)


def test_keywords_may_be_a_list_or_one_text(tmp_path: Path) -> None:
    hill, sea = {**WHOLE, "q": "Name a hill.", "k": "hill,  a view , names"}, {**WHOLE, "q": "Name a sea.", "k": None}
    found = read(tmp_path, WHOLE, hill, sea)
    assert [seed.keywords for seed in found.seeds] == [("river", "Europe", "names"), ("hill", "a view", "names"), ()]
    assert [seed.summary for seed in found.seeds] == ["A river is named."] * 3


@pytest.mark.parametrize(
    "words",
    [
        ["a", "b"],
        ["a", "b", "B"],
        ["a", "b", ""],
        ["a", "b", 3],
        ["a", "b", "c", 4],
        "a; b; c",
        7,
        {"a": 1},
        ["x" * 81, "b", "c"],
    ],
)
def test_what_is_not_three_keywords_makes_a_bad_record(words: Any, tmp_path: Path) -> None:
    found = read(tmp_path, WHOLE, {**WHOLE, "q": "Name a hill.", "k": words})
    assert [bad.reason for bad in found.bad] == [
        "`k` is not three different keywords (a list, or one text with commas)"
    ]
    assert len(found.seeds) == 1


def test_a_column_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="no column `k`"):
        read(tmp_path, {key: value for key, value in WHOLE.items() if key != "k"}, max_bad=0)


def test_only_what_a_seed_lacks_is_written_by_a_model() -> None:
    rules = Rules(0, SynthesisSettings())
    own = {"domain": "language", "keywords": ("x", "y", "z"), "summary": "Mine."}
    for missing in own:
        talk = annotate_seed(
            Seed("s", "Name a river.", "The Rhine.", **{k: v for k, v in own.items() if k != missing}), "m", rules
        )
        (ask,) = next(talk)
        with pytest.raises(StopIteration) as stop:
            talk.send([Reply(good_reply(ask.request))])
        record, fault, calls = stop.value.value
        assert fault is None
        assert len(calls) == 1
        assert {name: getattr(record, name) == value for name, value in own.items()} == {
            name: name != missing for name in own
        }


def test_a_run_on_annotated_seeds_asks_for_none_of_them(tmp_path: Path) -> None:
    asked: list[str] = []
    backend = Scripted(lambda request: asked.append(str(request.schema_name)) or good_reply(request))
    seeds = [
        Seed(
            f"s{i}", f"Name river {i}.", "Long.", domain="language", keywords=(f"river {i}", "b", "c"), summary="River."
        )
        for i in range(6)
    ]
    result = synthesize(backend, tmp_path / "journal.sqlite", seeds=seeds, rounds=1, samples_per_round=3)
    assert len(result.kept) == 3
    assert "keywords" in asked
    assert "annotate_seed" not in asked


def test_the_price_does_not_count_them() -> None:
    def price(columns: dict[str, str]) -> str:
        pool = {"_target_": "gra.simulation.backend.connect", "models": list("abcde")}
        seeds = {"limit": 500, "columns": columns}
        synthesis = {"rounds": 1, "samples_per_round": 10}
        config = {"seed": 0, "seeds": seeds, "pool": pool, "synthesis": synthesis, "runtime": {}}
        return " ".join(outlook(parsed(config), 500, []).lines)

    assert "the seeds are already annotated" in price(COLUMNS)
    assert "already annotated" not in price({k: v for k, v in COLUMNS.items() if k != "summary"})
