"""The paper's tables as data: misprints are found, not corrected; rows have names; sizes of benchmarks follow from the scores."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gra.compare.paper import benchmarks, opendataarena
from gra.compare.paper.tables import RowKey, iterations, load, main_table, row_key, variants
from gra.errors import ConfigError, StoreError
from gra.paths import paper_dir

HEADER = "base_model,seed_dataset,train_data,gsm8k,math,humaneval,mbpp,hellaswag,arc_c,gpqa,bbh,mmlu,ifeval,avg,printed_as_best\n"
MAIN = (paper_dir() / "table1_main.csv").read_text(encoding="utf-8")


def test_ten_of_the_24_printed_averages_do_not_follow_from_their_rows() -> None:
    rows = main_table(MAIN)
    assert len(rows) == 24
    odd = {row.key for row in rows if row.misprint}
    qwen = {
        RowKey("Qwen2.5-7B", seed, f"distilled_{size}")
        for seed in ("Alpaca", "WizardLM", "Condor")
        for size in ("32b", "72b")
    }
    llama = [
        ("WizardLM", "distilled_32b"),
        ("WizardLM", "distilled_72b"),
        ("Condor", "gra"),
        ("Condor", "distilled_32b"),
    ]
    assert odd == qwen | {RowKey("Llama-3.1-8B", *row) for row in llama}


def test_recomputed_mean_is_exact_and_the_printed_one_stays() -> None:
    row = load(paper_dir())[RowKey("Llama-3.1-8B", "Condor", "gra")]
    assert (row.printed, row.mean, row.misprint) == (Decimal("51.60"), Decimal("51.158"), True)


def test_all_three_tables_are_read_under_their_names() -> None:
    found = load(paper_dir())
    assert {table: sum(row.table == table for row in found.values()) for table in (1, 2, 3)} == {1: 24, 2: 18, 3: 30}
    refined = found[RowKey("Qwen2.5-7B", "Condor", "refined")]
    assert (refined.mean, dict(refined.scores)) == (Decimal("45.5"), {})
    assert found[RowKey("Qwen2.5-7B", "Alpaca", "gra_40k")].scores["gsm8k"] == Decimal("72.78")


@pytest.mark.parametrize(("average", "misprint"), [("1.00", False), ("1.005", False), ("1.01", True), ("0.99", True)])
def test_rounding_is_no_misprint(average: str, misprint: bool) -> None:
    (row,) = main_table(f"{HEADER}m,s,GRA,{'1,' * 10}{average},\n")
    assert row.misprint is misprint


@pytest.mark.parametrize("line", ["m,s,GRA,1,2,3\n", "m,s,GRA,1,2,3,4,5,6,7,8,9,ten,5,\n", f"m,s,what,{'1,' * 11}\n"])
def test_a_broken_table_names_its_line(line: str) -> None:
    with pytest.raises(StoreError, match="line 2"):
        main_table(HEADER + line)
    for reader in (iterations, variants):
        with pytest.raises(StoreError, match="line 2"):
            reader("base_model,data_variant\nQwen2.5-7B,GRA Synthetic Data\n")


def test_row_names() -> None:
    key = RowKey("Qwen2.5-7B", "Alpaca", "gra")
    assert row_key("qwen2.5-7b/alpaca/GRA") == row_key("gra", block="Qwen2.5-7B/Alpaca") == key
    with pytest.raises(ConfigError, match=r"did you mean Qwen2\.5-7B/Alpaca/gra_10k\?"):
        row_key("Qwen2.5-7B/Alpaca/gra_10")
    with pytest.raises(ConfigError, match="MODEL/SEED_DATA/DATA"):
        row_key("mine")


def test_sizes_of_benchmarks_follow_from_the_printed_scores() -> None:
    """Benchmarks whose score is right answers / items: every printed score must be such a fraction, rounded."""
    sizes = benchmarks.load(paper_dir() / "benchmarks.csv")
    rows = [row for row in load(paper_dir()).values() if row.scores]
    for name in ("math", "humaneval", "mbpp", "arc_c", "gpqa"):
        n = sizes[name].items
        for row in rows:
            score = float(row.scores[name])
            assert abs(100 * round(score * n / 100) / n - score) <= 0.0051, (name, row.key)


def test_the_column_map_and_a_users_own() -> None:
    known = benchmarks.load(paper_dir() / "benchmarks.csv")
    assert benchmarks.columns(known, {"gsm8k", "math_chat", "own"}, {}) == {"gsm8k": "gsm8k", "math": "math_chat"}
    assert benchmarks.columns(known, {"gsm8k", "own"}, {"mmlu": "own"}) == {"gsm8k": "gsm8k", "mmlu": "own"}
    with pytest.raises(ConfigError) as caught:
        benchmarks.columns(known, {"gsm8k"}, {"mmlu": "own", "none": "gsm8k"})
    assert {problem.key for problem in caught.value.problems} == {"paper.columns.mmlu", "paper.columns.none"}


def test_opendataarena_says_what_it_has_and_nothing_for_the_rest() -> None:
    known = benchmarks.load(paper_dir() / "benchmarks.csv")
    entries = opendataarena.load(paper_dir() / "opendataarena.csv")
    alpaca = opendataarena.counterpart(entries, RowKey("Qwen2.5-7B", "Alpaca", "vanilla"))
    assert opendataarena.score(alpaca, known["humaneval"]) == 71.54
    assert opendataarena.score(alpaca, known["mmlu"]) is None
    assert opendataarena.counterpart(entries, RowKey("Qwen2.5-7B", "Condor", "vanilla")) is None
    assert opendataarena.counterpart(entries, RowKey("Qwen2.5-7B", "Alpaca", "gra")) is None
    plain = opendataarena.counterpart(entries, RowKey("Qwen2.5-7B", "Alpaca", "base"))
    assert plain is not None
    assert (plain.kind, opendataarena.score(plain, known["gsm8k"])) == ("base", 79.98)
