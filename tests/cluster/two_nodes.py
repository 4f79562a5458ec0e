"""A training on two nodes, stopped and resumed, beside an unbroken one: torchrun's workers below srun, on a throw-away Slurm.

    python tests/cluster/two_nodes.py          # about 3 minutes; its end is a line with what was compared

Each node has one process on a CPU (gloo). SIGUSR1 comes as before a preemption; Slurm queues the job again by itself.
"""

from __future__ import annotations

import csv
import hashlib
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "chain")]

from conftest import TINY, working_folder  # noqa: E402
from on_slurm import empty, logs, said, status, submit, until  # noqa: E402
from places import Place  # noqa: E402
from slurm_cluster import started  # noqa: E402

STEPS = """\
experiment:
  name: pair
  title: A training on two nodes
  steps:
    world:
      _target_: gra.simulation.world_stage.run
      config: {seed: 0, world: {seeds: 64, test_per_task: 3, corpus_pairs: 200}}
    student: {_target_: gra.train.student_stage.run, config: {seed: 0, student: "${student}"}, inputs: {corpus: world}}
    data: {_target_: gra.synthesis.seed_only.run, config: {seed: 0, seeds: "${seeds}"}, inputs: {seeds: world}}
  arms:
    one:
      label: One
      steps:
        model:
          _target_: gra.train.stage.run
          config: {seed: 0, student: "${student}", sft: "${sft}", runtime: {launch: torchrun, nproc: 1}}
          inputs: {data: data, student: student}
"""
WORDS = (
    *("experiment=pair", "seeds.limit=null", "sft.epochs=12", "sft.save_steps=10", "cluster.stages.train.nodes=2"),
    "cluster.setup=[export MASTER_ADDR=127.0.0.1 GLOO_SOCKET_IFNAME=lo]",  # the nodes' names cannot be resolved here
)


def trained(place: Place) -> tuple[str, list[str]]:
    """The hash of a model's weights, and its losses."""
    (folder,) = (path.parent for path in place.store.glob("train-*/manifest.json"))
    with (folder / "log.csv").open() as handle:
        losses = [row["loss"] for row in csv.DictReader(handle)]
    (weights,) = (folder / "model").glob("*.safetensors")
    return hashlib.sha256(weights.read_bytes()).hexdigest(), losses


def main() -> int:
    """Train twice and compare."""
    with (
        tempfile.TemporaryDirectory(prefix="gra-", dir="/tmp") as name,
        tempfile.TemporaryDirectory(prefix="gra-slurm-", dir="/tmp") as own,
        started(Path(own)) as slurm,
    ):
        environment = {**slurm, "PATH": f"{Path(sys.executable).parent}:{slurm['PATH']}"}
        found = {}
        for kind in ("unbroken", "broken"):
            (Path(name) / kind).mkdir()
            place = working_folder(Path(name) / kind, environment)
            (place.folder / "conf" / "experiment" / "pair.yaml").write_text(TINY[: TINY.index("experiment:")] + STEPS)
            submit(place, *WORDS)
            if kind == "broken":
                until(lambda at=place: list(at.store.rglob("checkpoint-*/whole.json")), place)
                said(place, "scancel", "--signal=USR1", "--batch", status(place)["one/model"].jobs[0])
            until(lambda at=place: empty(at), place)
            line = status(place)["one/model"]
            assert line.state == "done", logs(place)
            found[kind] = (*trained(place), line.attempt)
            told = [text for text in logs(place).splitlines() if "stopped by" in text or "resuming from" in text]
            print(
                f"{kind}: {len(found[kind][1])} losses, last {found[kind][1][-1]}, {line.attempt} attempts",
                *told,
                sep="\n  ",
            )
        same = found["unbroken"][:2] == found["broken"][:2]
        print("weights and losses are the same" if same else "THEY DIFFER")
        return 0 if same and found["broken"][2] == 2 else 1


if __name__ == "__main__":
    sys.exit(main())
