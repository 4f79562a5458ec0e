"""Function to write a data folder in the format of another trainer."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from gra import spelling
from gra.api.arguments import not_a_path
from gra.errors import ConfigError, Problem
from gra.export import command
from gra.paths import expanded


def export(
    data: str | PathLike[str],
    to: str,
    *,
    output: str | Path,
    name: str | None = None,
    preferences: bool = False,
    margin: float = 1.0,
) -> list[Path]:
    """Write a data folder in the format of another trainer. The command is `gra export`.

    Args:
        data: a data folder, or the `Data` that `synthesize`, `refine` or `review` returned.
        to: the format: "alpaca", "sharegpt", "chatml", "trl" (the same as chatml), "openai", "llamafactory" or
            "axolotl".
        output: the folder to write to. If a file of the same name already exists in it, the file is replaced.
        name: name of the data set and of its files (None: the name of the folder `data`).
        preferences: whether to write preference pairs. A pair is a kept and a dropped response to the same instruction.
        margin: minimum difference between the scores of the two responses of a pair, in points.

    Returns:
        The paths of the written files. The first is the file with the data.

    Raises:
        ConfigError: an argument cannot be used.
        StoreError: `data` is not a finished data folder, `output` cannot be written, or `preferences` is set and
            `data` holds no pairs.

    Example:
        >>> file = gra.export(data, "alpaca", output="exports/mine")[0]
    """
    faults = not_a_path("data", data, "a data folder")
    if to not in command.CHOICES:
        near = spelling.remedy(str(to), command.CHOICES, "give one of:")
        faults.append(Problem("to", f"unknown format {to!r}", f"{near} {', '.join(command.CHOICES)}", "Python"))
    if faults:
        raise ConfigError(faults)
    folder, form = expanded(Path(data)), command.ALIASES.get(to, to)
    name = name or folder.resolve().name
    if wrong := command.fault(form, name, preferences=preferences):
        raise ConfigError([Problem(*wrong, "Python")])
    place = expanded(output)
    _, files = command.export(folder, form, place, name, margin if preferences else None)
    return [place / file for file in files]
