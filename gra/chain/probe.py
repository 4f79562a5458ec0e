"""The command `gra probe`: the probe's stage by itself, then what it found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gra.chain.app import hydra_main, run_stage
from gra.errors import Problem
from gra.paths import expanded

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONFIG = "probe_app"
TARGET = "gra.synthesis.committee.probe_stage.run"
HELP = """\
usage: gra probe pool=NAME seeds=NAME [key=value ...]

Qualify a committee before it is paid for. Each model reviews answers that are known to be right or wrong, in the form that the
run will use (synthesis.scoring, synthesis.prompts), and answers questions whose answer is known. What comes out: per model, whether
it can tell right from wrong (AUC with a 95 % interval), its scale and severity, false accepts, its own share right; how many
independent reviewers the pool is worth; what share of accepted samples will be right. About 200 calls a model (probe.calls).
Killed at any moment, the same command goes on from there; run again, it only prints the table.

  pool=, seeds=, synthesis=   as for the synthesis: python -m gra.synthesis --help
  probe.sources=[...]         where questions with known answers come from; conf/probe/default.yaml
  synthesis.probe=refuse      exit code 1 where the committee fails
  output=DIR                  probe.json, probe.md, journal; runs/probe
  --cfg job                   print the composed config and stop
  --hydra-help                Hydra's flags

examples:
  gra probe pool=servers pool.base_url=http://127.0.0.1:8000/v1 'pool.models=[a,b,c]' seeds=alpaca seeds.path=alpaca_data.json
  gra probe pool=servers ... 'probe.sources=[{_target_: eval.known.source, data_dir: DIR, benchmarks: [gsm8k, arc_challenge]}]'
"""


def main(words: list[str]) -> int:
    """Run the command over `words`; returns the exit code."""
    if any(word in ("-h", "--help") for word in words):
        print(HELP, end="")
        return 0
    sys.argv = ["gra probe", *words]
    return hydra_main(_probe, CONFIG)


def _probe(root: DictConfig, problems: list[Problem]) -> None:
    run_stage(TARGET, CONFIG, root, problems)
    print(_found(expanded(root.output)))


def _found(folder: Path) -> str:
    return (folder / "probe.txt").read_text(encoding="utf-8")
