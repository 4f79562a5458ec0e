"""Runs `gra probe`: runs the probe stage alone, then prints its findings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gra.chain.execution.app import hydra_main, run_stage
from gra.errors import Problem
from gra.paths import expanded

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONFIG = "probe_app"
TARGET = "gra.synthesis.probe.stage.run"
HELP = """\
usage: gra probe pool=NAME seeds=NAME [key=value ...]

Test a committee before paying for a run. Each model reviews answers known to be right or wrong, in the form that the run will use
(synthesis.scoring, synthesis.prompts), and answers questions with known answers. The result, per model: whether it can tell right
from wrong (AUC with a 95 % interval), its scale and severity, its false accepts, its own share of right answers; for the pool: how
many independent reviewers it is worth, and what share of accepted samples will be right. About 200 calls per model (probe.calls).
If it is killed, run the same command again to resume; once it is finished, the command only prints the table.

  pool=, seeds=, synthesis=   as for the synthesis: gra synthesize --help
  probe.sources=[...]         sources of questions with known answers; see conf/probe/default.yaml
  synthesis.probe=refuse      exit with code 1 if the committee fails
  output=DIR                  folder of probe.json, probe.md and the journal; default: runs/probe
  --cfg job                   print the composed config and stop
  --hydra-help                Hydra's flags

examples:
  gra probe pool=servers pool.base_url=http://127.0.0.1:8000/v1 'pool.models=[a,b,c]' seeds=alpaca seeds.path=alpaca_data.json
  gra probe pool=servers ... 'probe.sources=[{_target_: gra.eval.suite.known.source, data_dir: DIR, benchmarks: [gsm8k]}]'
"""


def main(words: list[str]) -> int:
    """Run the command with the arguments `words`. Return the exit code."""
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
