"""What of a training's and an evaluation's working folder is worth keeping when another config takes its place."""

from __future__ import annotations

from pathlib import Path

from gra.eval import stage as evaluation
from gra.eval.inference.reply_store import NAME, Record, ReplyStore
from gra.train import stage as training


def test_checkpoints_count(tmp_path: Path) -> None:
    assert training.kept(tmp_path) == ""
    (tmp_path / "log.csv").write_text("step\n")
    (tmp_path / "checkpoints" / "checkpoint-new").mkdir(parents=True)
    assert training.kept(tmp_path) == ""
    for step in (20, 100):
        (tmp_path / "checkpoints" / f"checkpoint-{step}").mkdir()
    assert training.kept(tmp_path) == "2 checkpoints, the last at step 100"


def test_replies_of_an_evaluation_count_and_are_used_again(tmp_path: Path) -> None:
    assert evaluation.kept(tmp_path) == ""
    with ReplyStore(tmp_path / NAME) as store:
        assert evaluation.kept(tmp_path) == ""
        store.add([Record("k", "generate_until", "gsm8k", "greedy", "42", False)])
    assert evaluation.kept(tmp_path) == "1 reply"
    given = {"seed": 0, "runtime": {"reuse": ["mine"]}}
    assert evaluation.reuse(given, [tmp_path])["runtime"]["reuse"] == ["mine", str(tmp_path)]
    (tmp_path / NAME).write_bytes(b"spoilt" * 999)
    assert evaluation.kept(tmp_path) == "replies that cannot be read"
    assert evaluation.reuse(given, [tmp_path]) == given
