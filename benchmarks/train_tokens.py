"""What it takes to tokenise, mask and pack a data folder before training (`train.prepare`), on a CPU, with no model.

    python benchmarks/train_tokens.py                        # 50,000 samples of about 220 tokens, not packed and packed: 3 minutes
    python benchmarks/train_tokens.py --samples 2000 --vocabulary 2000 --cases packed

The samples are made on the spot, of Alpaca's shape: a question of about 20 words and an answer whose length is log-normal, of
words drawn by Zipf's law from 30,000 made-up ones. The tokenizer is a byte-level BPE trained on a part of them. Each
measurement is a child process of its own: seconds are the stage's with its imports, and the whole process's; CPU is user + system
of all threads; memory is the largest sum of the resident memory of all processes, seen 50 times a second (Linux). The case `bare`
is the same texts through the same tokenizer, a thousand talks a call, with no template, labels or files.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import machine, table
from peers.run import resident

WORDS = 30_000
QUESTION, ANSWER, SPREAD = 20, 105, 0.8  # words in the median; of the answers' logarithm
TARGET_SECONDS, TARGET_MB = 60.0, 2048 * 1.048576
CASES = ("bare", "plain", "packed")
ROWS = 1000  # of a parquet row group, as a synthesis writes it


def texts(count: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """(question, answer) pairs."""
    rng = np.random.default_rng(seed)
    syllables = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er", "is", "on")]
    lengths = rng.choice([1, 2, 3, 4], WORDS, p=[0.1, 0.4, 0.35, 0.15])
    words = np.array(["".join(rng.choice(syllables, n)) for n in lengths])
    ranks = 1 / np.arange(1, WORDS + 1)
    odds = np.cumsum(ranks / ranks.sum())
    for _ in range(count):
        sizes = [QUESTION, int(np.clip(rng.lognormal(np.log(ANSWER), SPREAD), 5, 2500))]
        drawn = [words[np.searchsorted(odds, rng.random(n)).clip(max=WORDS - 1)] for n in sizes]
        question, answer = (". ".join(" ".join(part[i : i + 12]) for i in range(0, len(part), 12)) for part in drawn)
        yield f"{question.capitalize()}?", f"{answer.capitalize()}."


def make(folder: Path, samples: int, vocabulary: int) -> None:
    """The data folder `data` and the student folder `student` (a tokenizer and a config, no weights) in `folder`."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, PreTrainedTokenizerFast

    pairs = list(texts(samples))
    path = folder / "data" / "data" / "train.parquet"
    path.parent.mkdir(parents=True)
    talks = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in pairs]
    pq.write_table(pa.table({"messages": talks}), path, row_group_size=ROWS, compression="zstd")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator((f"Human: {q}\nAssistant:{a}" for q, a in pairs[:5000]), trainer)
    student = folder / "student" / "model"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(student)
    LlamaConfig(vocab_size=len(tokenizer.get_vocab()), max_position_embeddings=4096).save_pretrained(student)


def child(folder: Path, packing: bool) -> dict[str, Any]:
    """The stage, in this process."""
    from gra.train import prepare

    recipe = {"learning_rate": 1e-5, "global_batch": 256, "cutoff_length": 4096, "packing": packing}
    config = {"seed": 0, "student": {}, "sft": recipe}
    with tempfile.TemporaryDirectory(dir=folder) as output:
        start, cpu = time.perf_counter(), time.process_time()
        prepare.run(config, {"data": folder / "data", "student": folder / "student"}, Path(output))
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        account = json.loads((Path(output) / "tokens" / "account.json").read_text())
        size = sum(path.stat().st_size for path in (Path(output) / "tokens").iterdir())
    return {"seconds": seconds, "cpu_s": cpu, "written_mb": size / 1e6, "account": account}


def bare(folder: Path) -> dict[str, Any]:
    """The tokenizer alone, in this process."""
    import pyarrow.parquet as pq
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder / "student" / "model")
    start, cpu = time.perf_counter(), time.process_time()
    for batch in pq.ParquetFile(folder / "data" / "data" / "train.parquet").iter_batches(ROWS):
        tokenizer(
            [message["content"] for talk in batch.column(0).to_pylist() for message in talk],
            return_attention_mask=False,
        )
    return {"seconds": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}


def watched(command: list[str]) -> dict[str, Any]:
    """What the child prints (JSON), its wall time and the peak memory of its process tree."""
    start, peak = time.perf_counter(), 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.02)
        assert process.stdout is not None
        said = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}: {command}")
    return json.loads(said.strip().splitlines()[-1]) | {"wall_s": time.perf_counter() - start, "mb": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--json", type=Path, help="write every run's figures there")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, folder = options.child[0], Path(options.child[1])
        print(json.dumps(bare(folder) if what == "bare" else child(folder, what == "packed")))
        return
    print(machine())
    with tempfile.TemporaryDirectory(prefix="gra-bench-") as place:
        make(Path(place), options.samples, options.vocabulary)
        commands = {what: [sys.executable, __file__, "--child", what, place] for what in options.cases}
        runs = [{what: watched(command) for what, command in commands.items()} for _ in range(options.repeats)]
    for account in (runs[0][what]["account"] for what in commands if what != "bare"):
        length, packing = account["length"], account["packing"]
        mean = f"{account['samples']:,} samples, {account['tokens']:,} tokens (mean {length['mean']:.0f}, p95 {length['p95']}"
        full = f"; {packing['rows']:,} rows of 4096, {packing['efficiency']:.1%} full" if packing else ""
        print(f"{mean}, longest {length['max']}){full}")
    rows = []
    for what in commands:
        one = {key: statistics.median(run[what][key] for run in runs) for key in ("seconds", "wall_s", "cpu_s", "mb")}
        met = one["wall_s"] <= TARGET_SECONDS and one["mb"] <= TARGET_MB
        verdict = ["-", ""] if what == "bare" else ["<= 60 s, <= 2 GiB", "met" if met else "MISSED"]
        rows.append(
            [what, one["seconds"], one["wall_s"], one["cpu_s"], one["mb"], runs[0][what].get("written_mb"), *verdict]
        )
    print(table(["", "s", "whole process s", "CPU s", "peak MB", "written MB", "target (whole process)", ""], rows))
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine(), "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
