"""The paper's table as data: its misprints are found, not corrected."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from gra.compare.paper import load, main_table
from gra.errors import StoreError

PAPER = Path(__file__).parents[2] / "results" / "paper" / "table1_main.csv"
HEADER = "base_model,seed_dataset,train_data,gsm8k,math,humaneval,mbpp,hellaswag,arc_c,gpqa,bbh,mmlu,ifeval,avg,printed_as_best\n"


def test_ten_of_the_24_printed_averages_do_not_follow_from_their_rows():
    rows = load(PAPER)
    assert len(rows) == 24
    odd = {(row.base_model, row.seed_dataset, row.train_data.split("-")[2] if "distilled" in row.train_data else row.train_data)
           for row in rows if row.misprint}  # fmt: skip
    qwen = {("Qwen2.5-7B", seed, size) for seed in ("Alpaca", "WizardLM", "Condor") for size in ("32B", "72B")}
    llama = {("WizardLM", "32B"), ("WizardLM", "72B"), ("Condor", "GRA"), ("Condor", "32B")}
    assert odd == qwen | {("Llama-3.1-8B", *row) for row in llama}


def test_recomputed_mean_is_exact_and_the_printed_one_stays():
    row = next(r for r in load(PAPER) if (r.base_model, r.seed_dataset, r.train_data) == ("Llama-3.1-8B", "Condor", "GRA"))
    assert (row.printed, row.mean, row.misprint) == (Decimal("51.60"), Decimal("51.158"), True)


@pytest.mark.parametrize(("average", "misprint"), [("1.00", False), ("1.005", False), ("1.01", True), ("0.99", True)])
def test_rounding_is_no_misprint(average, misprint):
    (row,) = main_table(f"{HEADER}m,s,t,{'1,' * 10}{average},\n")
    assert row.misprint is misprint


@pytest.mark.parametrize("line", ["m,s,t,1,2,3\n", "m,s,t,1,2,3,4,5,6,7,8,9,ten,5,\n"])
def test_a_broken_table_names_its_line(line):
    with pytest.raises(StoreError, match="line 2"):
        main_table(HEADER + line)
