"""Reads, from the manifest of a data folder, how its data were made: the config of the synthesis and the folders of its
inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gra.errors import ConfigError, Problem
from gra.fileio import read_json
from gra.labels import MANIFEST
from gra.synthesis.config import SynthesisConfig, parsed

SOURCES = ("seeds", "benchmarks", "probe")  # inputs of the recorded run, found in its manifest


def recorded_synthesis(folder: Path) -> dict[str, Any]:
    """Return the section `synthesis` of the config with which the folder was made. It is not parsed, so that an arm (a
    set of changed settings) can change it first. Raises ConfigError if no synthesis made the folder."""
    return dict(recorded_config(folder)["synthesis"])


def recorded(folder: Path, runtime: Mapping[str, Any]) -> SynthesisConfig:
    """Return the parsed config with which the folder was made. Its section `runtime` is replaced by the argument
    `runtime`. Raises ConfigError if no synthesis made the folder."""
    return parsed({**recorded_config(folder), "runtime": runtime})


def recorded_config(folder: Path) -> dict[str, Any]:
    """Return the config of the synthesis that made the folder. Raises ConfigError if no synthesis made it."""
    remedy = "give the data folder of a finished synthesis (gra synthesize, or the step `data` of an arm)"
    try:
        manifest = read_json(folder / MANIFEST)
        made_by, config = manifest["stage"], manifest["config"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError([Problem("data", f"{folder}: not a finished data folder ({error!r:.80})", remedy)]) from error
    if made_by != "synthesis":
        raise ConfigError([Problem("data", f"{folder}: was made by the stage {made_by}, not by a synthesis", remedy)])
    return dict(config)


def recorded_inputs(folder: Path, given: Mapping[str, Path]) -> dict[str, Path]:
    """Return the input folders of the recorded run, by name. If `given` has an entry for an input, this folder is
    returned. Otherwise, the folder that the run's manifest names is returned. If the manifest's folder no longer
    exists, a folder of the same name next to the data folder is returned. Raises ConfigError if an input is in none of
    these places."""
    manifest = read_json(folder / MANIFEST)
    found, problems = {name: path for name, path in given.items() if name in SOURCES}, []
    for name, entry in manifest["inputs"].items():
        if name in found or name not in SOURCES:
            continue
        places = [Path(entry["folder"]), folder.resolve().parent / Path(entry["folder"]).name]
        there = next((place for place in places if place.exists()), None)
        if there is None:
            message, remedy = (
                f"{entry['folder']}: the folder of the recorded run is gone",
                f"give it: inputs.{name}=DIR",
            )
            problems.append(Problem(f"inputs.{name}", message, remedy))
        else:
            found[name] = there
    if problems:
        raise ConfigError(problems)
    return found
