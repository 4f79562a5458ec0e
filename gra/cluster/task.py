"""Runs a step, or some shards of it, in a job:
`python -m gra.cluster.task SPEC.json [--wave NAME --task N --shards N]`.

A restarted job resumes its work. A job that merges shards first counts the shards that are missing. If their fraction
is larger than `--takes`, the job names them and exits with code 3; otherwise it does their work itself.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gra.chain.execution.runner import PREVIOUS, Result, run_in_folder, run_in_store
from gra.chain.stage import Stage, load_stage
from gra.chain.step import Spec
from gra.chain.store.manifest import MANIFEST, outside_hash
from gra.chain.store.store import Store
from gra.cluster.layout import key_of, numbers
from gra.errors import EXIT_INTERRUPTED, GraError, MissingError
from gra.parts import Part, Wave
from gra.server_addresses import folder_of
from gra.signals import leaving_on_preemption


def main(words: list[str]) -> int:
    """Run a step, or some shards of it, in a job, and return the exit code.

    `words`: the command's arguments, without the program's name.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    parser = argparse.ArgumentParser(prog="python -m gra.cluster.task")
    parser.add_argument("spec", type=Path)
    parser.add_argument("--wave")
    parser.add_argument("--task", type=int, default=0)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--per-task", type=int, default=1)
    parser.add_argument("--lock-wait", type=float, default=None)
    parser.add_argument("--takes", type=float, default=0.0)
    parser.add_argument("--servers-wait", type=float, default=None)
    given = parser.parse_args(words)
    spec = Spec.read(given.spec)
    try:
        with leaving_on_preemption():
            for result in _run(spec, given):
                state = "already finished" if result.reused else "finished"
                print(f"{spec.name}: {state} ({result.folder})", flush=True)
    except GraError as error:
        print(f"{spec.name}: {error}", file=sys.stderr, flush=True)
        return error.code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def _run(spec: Spec, given: argparse.Namespace) -> Sequence[Result]:
    store, stage = Store(spec.store), load_stage(spec.target)
    if (done := store.find(stage.name, spec.digest)) is not None:
        return [Result(done, {}, reused=True)]
    if given.servers_wait is not None:  # the servers' addresses are not part of the fingerprint
        served = stage.served(spec.config)
        folder = folder_of(spec.store, key_of(stage.name, spec.digest))
        spec = spec if served is None else replace(spec, config=served.client(folder, given.servers_wait))
    inputs = spec.folders()
    if given.shards == 1 or stage.divide is None:
        return [_whole(stage, spec, spec.config, inputs, store, given.lock_wait)]
    place = store.place(stage.name, spec.name, spec.digest).final
    waves, gathering = stage.divide(spec.config, place, given.shards)
    if given.wave is None:
        gates(waves, given.takes)
        return [_whole(stage, spec, gathering, inputs, store, given.lock_wait)]
    at = [wave.name for wave in waves].index(given.wave)
    wave = waves[at]
    if wave.gathers:
        gates(waves[:at], given.takes)
        return [_part(wave.part(0), spec, inputs, given.lock_wait)]
    chosen = numbers(given.task, given.per_task, wave.tasks)
    return [_part(wave.part(number), spec, inputs, given.lock_wait) for number in chosen]


def gates(before: Sequence[Wave], takes: float) -> None:
    """Raise MissingError if the job that merges the results of shards cannot start.

    A run is divided into waves. The tasks of a wave run at the same time, after those of the previous wave. A wave is
    either a group of shards, or a single task that merges the results of the previous wave. A merge cannot start if the
    previous merge is not finished, or if too many shards of the wave directly before the new merge have no result.

    `before`: the waves before the merge.
    `takes`: the largest fraction of the shards of the wave directly before the merge that may lack a result.
    """
    for wave in before[:-1][-1:]:
        if wave.gathers and not (wave.part(0).output / MANIFEST).is_file():
            raise MissingError(f"upstream {wave.name} did not finish: {wave.part(0).output}\n    -> see `gra status`")
    gate(before[-1], takes)


def gate(wave: Wave, takes: float) -> None:
    """Raise MissingError if too many shards have no finished result.

    `wave`: the shards, which run at the same time.
    `takes`: the largest fraction of the shards that may lack a result.
    """
    missing = [number for number in range(wave.tasks) if not (wave.part(number).output / MANIFEST).is_file()]
    if len(missing) > takes * wave.tasks:
        named = ", ".join(map(str, missing[:20])) + (f" and {len(missing) - 20} more" if len(missing) > 20 else "")
        share = f"{len(missing)} of {wave.tasks}, and cluster.merge_takes={takes:g}"
        remedy = "`gra status` shows why; then run gra submit again: it queues those alone"
        raise MissingError(f"shards missing in {wave.name}: {named} ({share})\n    -> {remedy}")
    if missing:
        print(f"{wave.name}: shards {missing} are missing; this job makes their calls", flush=True)


def _whole(
    stage: Stage, spec: Spec, config: dict[str, object], inputs: dict[str, Path], store: Store, patience: float | None
) -> Result:
    return run_in_store(stage, config, inputs, spec.hashes, store, spec.name, spec.digest, patience, spec.experiment)


def _part(part: Part, spec: Spec, inputs: dict[str, Path], patience: float | None) -> Result:
    hashes = dict(spec.hashes)
    for name, folder in part.inputs.items():
        if not (folder / MANIFEST).is_file():
            raise MissingError(f"upstream {folder.name} did not finish: {folder}\n    -> see `gra status`")
        hashes[name] = outside_hash(folder)
    assert set(part.inputs) <= {PREVIOUS}
    return run_in_folder(load_stage(part.target), part.config, {**inputs, **part.inputs}, hashes, part.output, patience)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
