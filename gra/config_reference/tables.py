"""Lists which settings class describes which part of the configuration: config groups, commands, stages.

A settings class that is neither listed here nor nested in a listed one would be missing on the page; a test finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gra.chain.config.experiment import ExperimentSettings, StepSettings
from gra.chain.config.unknown import listed
from gra.chain.execution.cluster_settings import ClusterSettings, SlurmSettings
from gra.compare.options import Options
from gra.eval.fetch import FetchSettings
from gra.eval.settings import EvalSettings, Model, Runtime, Suite
from gra.eval.suite.known import KnownSettings
from gra.models.launch.server import ServeSettings
from gra.models.pool import ModelRuntime, ModelSettings, PoolBase
from gra.paths import conf_dir
from gra.settings import Settings
from gra.simulation.audit import AuditSettings
from gra.simulation.backend import SimulatedRuntime
from gra.simulation.world_stage import WorldSettings, WorldStageSettings
from gra.synthesis.config import ShardSettings, SynthesisRuntime
from gra.synthesis.probe.settings import ProbeSettings
from gra.synthesis.refining.settings import RefineSettings
from gra.synthesis.seed_only import SeedOnlySettings
from gra.synthesis.seeds.settings import SeedSettings
from gra.synthesis.settings import SynthesisSettings
from gra.synthesis.subsets.settings import SubsetStageSettings
from gra.targets import module_of
from gra.tracking import TrackingSettings
from gra.train.settings import RuntimeSettings, SftSettings, StudentSettings, StudentStageSettings, TrainSettings

GROUPS: dict[str, type[Settings]] = {  # groups described by one class; `pool` and `cluster` have several
    "seeds": SeedSettings,
    "synthesis": SynthesisSettings,
    "probe": ProbeSettings,
    "refine": RefineSettings,
    "student": StudentSettings,
    "sft": SftSettings,
    "suite": Suite,
    "tracking": TrackingSettings,
    "world": WorldSettings,
}
EXECUTORS: dict[str, type[Settings]] = {"local": ClusterSettings, "slurm": SlurmSettings}  # by cluster.executor


@dataclass(frozen=True)
class App:
    """The config of a command. `own`: key -> its type and description, for the keys that belong to no settings
    class."""

    command: str
    text: str
    own: dict[str, tuple[str, str]]
    sections: dict[str, tuple[type[Settings], ...]]  # section -> the classes that describe its keys


_OUTPUT = ("text", "Folder that the command makes.")
_SEED = ("whole number", "Seed of all random draws.")
_SEEDS_FOLDER = ("text or null", "Base folder of a relative `seeds.path`; null: the current folder.")

APPS: dict[str, App] = {  # file in conf/ -> the command
    "synthesis_app": App(
        "gra synthesize",
        "Also `gra merge`. Groups: `seeds`, `pool`, `synthesis`, `tracking`.",
        {
            "seed": _SEED,
            "output": _OUTPUT,
            "inputs.seeds": _SEEDS_FOLDER,
            "inputs.probe": ("text or null", "Folder that `gra probe` made for the same committee; null: none."),
        },
        {"runtime": (SynthesisRuntime, ModelRuntime, SimulatedRuntime)},
    ),
    "probe_app": App(
        "gra probe",
        "Groups: `seeds`, `pool`, `synthesis`, `probe`. `runtime` has the keys of `gra synthesize` that concern calls.",
        {"seed": _SEED, "output": _OUTPUT, "inputs.seeds": _SEEDS_FOLDER},
        {},
    ),
    "refine_app": App(
        "gra refine",
        "Groups: `seeds` (how the data is read), `pool`, `synthesis`, `refine`, `tracking`. `runtime` has the keys of `gra "
        "synthesize`.",
        {
            "seed": _SEED,
            "data": ("text", "The data set: a file, a folder, a data folder of this project, or hf:NAME."),
            "output": _OUTPUT,
            "inputs.seeds": ("text or null", "Base folder of a relative `data`; null: the current folder."),
            "inputs.probe": ("text or null", "Folder that `gra probe` made for the same committee; null: none."),
        },
        {},
    ),
    "train_app": App(
        "gra train",
        "Also `gra prepare`. Groups: `student`, `sft`, `tracking`.",
        {
            "seed": _SEED,
            "data": ("text", "Folder made by the synthesis (with `data/train.parquet`)."),
            "student_folder": (
                "text or null",
                "Folder of a student with random weights, built by an experiment's step `student`; null: "
                "`student.model` is used.",
            ),
            "tokens": (
                "text or null",
                "Folder made by `gra prepare` from the same data, student and recipe; null: tokenised here.",
            ),
            "output": _OUTPUT,
            "inputs": (
                "mapping of names to texts",
                "The folders `data`, `student_folder` and `tokens`; `+inputs.data_NAME=DIR` adds a data folder.",
            ),
            "launch": ("`none` or `torchrun`", "Sets `runtime.launch`."),
            "nproc": ("whole number or null", "Sets `runtime.nproc`; null: one process per visible GPU."),
        },
        {"runtime": (RuntimeSettings,)},
    ),
    "eval_app": App(
        "gra eval",
        "Groups: `suite`, `tracking`.",
        {
            "seed": ("whole number", "Used only by tasks that sample their replies."),
            "output": _OUTPUT,
            "inputs.model": (
                "text or null",
                "Folder of a trained model. If you set it, also set `model=null`. null: `model.path` and the other "
                "keys of `model` choose the model.",
            ),
            "inputs.benchmarks": (
                "text or null",
                "Benchmark folder made by a `world` step (simulation); null: `suite.data_dir` is used.",
            ),
        },
        {"model": (Model,), "runtime": (Runtime,)},
    ),
    "fetch_app": App(
        "gra fetch",
        "Group: `suite`, of which `tasks`, `only` and `num_fewshot` are used.",
        {"output": ("text", "Folder of the benchmarks, new or existing.")},
        {"config": (FetchSettings,)},
    ),
    "chain": App(
        "gra run",
        "Also `gra plan`, `gra compare` and `gra submit`. Groups: those that the experiment chooses, of all groups.",
        {
            "seed": (
                "whole number",
                "Seed of all random draws except the simulated world's; `experiment.replicates` replaces it.",
            ),
            "store": ("text", "Folder of finished steps, shared by all experiments."),
            "results": ("text", "Folder of the table and the report."),
            "arm": ("null", "The current arm. It is set internally; leave it null."),
            "runtime": (
                "mapping",
                "The keys of `runtime` of the commands above; each stage reads its own. Never part of a fingerprint.",
            ),
        },
        {"experiment": (ExperimentSettings,)},
    ),
}

STAGES: dict[
    str, tuple[str, type[Settings]]
] = {  # a step's `_target_` -> the part of its config ("": all of it) and the class that describes it
    "gra.synthesis.seed_only.run": ("", SeedOnlySettings),
    "gra.synthesis.subset.run": ("", SubsetStageSettings),
    "gra.synthesis.shard.run": ("shard", ShardSettings),
    "gra.train.student_stage.run": ("", StudentStageSettings),
    "gra.train.stage.run": ("", TrainSettings),
    "gra.eval.stage.run": ("", EvalSettings),
    "gra.simulation.world_stage.run": ("", WorldStageSettings),
    "gra.simulation.audit.run": ("", AuditSettings),
}
ITEMS: dict[
    str, type[Settings]
] = {  # dotted key -> the class of the mappings at this key, if the key's field does not name the class
    "pool.models.*": ModelSettings,
    "pool.serve": ServeSettings,
    "probe.sources.*": KnownSettings,
    "experiment.steps.*": StepSettings,
    "experiment.compare": Options,
}


def backends() -> dict[str, type[PoolBase]]:
    """Return a mapping from the `_target_` of each backend to its settings class, sorted by `_target_`. Only backends
    that occur in a file in the folder conf/pool/ are included."""
    found = {}
    for path in sorted((conf_dir() / "pool").glob("*.yaml")):
        target = str(written(path)["_target_"])
        module, _ = module_of(target)
        found[target] = vars(module)["PoolSettings"]
    return dict(sorted(found.items()))


def written(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file in conf/, with interpolations unresolved. If the file belongs to a config
    group, the content includes the keys that it inherits from the files in its defaults list."""
    if path.parent == conf_dir():
        content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        return content
    found = listed(path.relative_to(conf_dir()).with_suffix("").as_posix())
    return {key: value for key, value in found.items() if key != "defaults"}


def every_class() -> list[type[Settings]]:
    """Return the settings classes that this file lists, and those of the backends. Each class occurs once, and the
    order is fixed. No other class is included, even if it is the type of a field of one of these classes."""
    sections: list[type[Settings]] = [
        model for app in APPS.values() for models in app.sections.values() for model in models
    ]
    stages = [model for _, model in STAGES.values()]
    named: list[type[Settings]] = [
        *GROUPS.values(),
        *EXECUTORS.values(),
        PoolBase,
        *backends().values(),
        *sections,
        *stages,
        *ITEMS.values(),
    ]
    return list(dict.fromkeys(named))
