"""The commands that README and the config files print, found in the files themselves."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = (
    "python",
    "gra",
    "make",
    "torchrun",
    "srun",
    "sbatch",
    "pip",
    "eval",
    "docker",
    "git",
)
_SPAN = re.compile(r"(?<!`)(`{1,2})(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_KEY = re.compile(r"^\+?[a-z_]+(\.[A-Za-z_]+)+=\S.*$", re.DOTALL)


@dataclass(frozen=True)
class Printed:
    """One command. `file`: where it stands, below the repository."""

    file: str
    line: int
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


def everything() -> list[Printed]:
    """All printed commands, in the order of the files."""
    markdown = [ROOT / "README.md", ROOT / "slurm" / "README.md", ROOT / "eval" / "MAPPING.md"]
    tried_elsewhere = {"extending.md"}  # its examples are applied by tests/test_extending.py
    markdown += [page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name not in tried_elsewhere]
    commented = [*sorted((ROOT / "conf").rglob("*.yaml")), *sorted((ROOT / "eval" / "tasks").rglob("*.yaml"))]
    commented += sorted((ROOT / "slurm").glob("*.s*"))
    return [one for path in markdown for one in of_markdown(path)] + [
        one for path in commented for one in of_head(path)
    ]


def of_markdown(path: Path) -> Iterator[Printed]:
    """The lines of every block of commands (indented by four, or fenced as sh), and the commands in back ticks."""
    text = path.read_text(encoding="utf-8")
    plain = re.sub(
        r"^```(?!sh|bash|console).*?^```", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE
    )
    lines = plain.splitlines()
    number = 0
    while number < len(lines):
        first, words = number + 1, lines[number]
        while words.endswith("\\") and number + 1 < len(lines):
            number += 1
            words = f"{words[:-1]} {lines[number].strip()}"
        number += 1
        if words.startswith("    ") and (command := _command(words)):
            yield Printed(_name(path), first, command)
    for span in _SPAN.finditer(plain):
        if command := _inline(span[2]):
            yield Printed(_name(path), plain.count("\n", 0, span.start()) + 1, command)


def of_head(path: Path) -> Iterator[Printed]:
    """The commands in the comment that a file opens with: lines that are nothing else, and those in back ticks."""
    head: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        head.append("" if line.startswith(("#!", "# @package")) else line.removeprefix("#").strip())
    for number in reversed(range(1, len(head))):
        if head[number - 1].endswith("\\"):
            head[number - 1 : number + 1] = [f"{head[number - 1][:-1]} {head[number]}", ""]
    for number, line in enumerate(head, 1):
        if (command := _command(line)) and not _mention(command):
            yield Printed(_name(path), number, command)
    for span in _SPAN.finditer("\n".join(head)):
        if command := _inline(span[2]):
            yield Printed(_name(path), 1 + "\n".join(head).count("\n", 0, span.start()), command)


def keys_named(path: Path) -> Iterator[str]:
    """The `key.of.a.config=value` that a text names in back ticks, outside commands."""
    for span in _SPAN.finditer(
        re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    ):
        text = " ".join(span[2].split()).strip("'\"")
        if _KEY.match(text):
            yield text


def _command(text: str) -> tuple[str, ...] | None:
    """The words of a line of the shell, comments left out; None for anything else."""
    if text.strip().split(" ")[0] not in PROGRAMS:
        return None
    try:
        return tuple(shlex.split(text, comments=True)) or None
    except ValueError:  # prose: "sbatch takes your cluster's account"
        return None


def _inline(text: str) -> tuple[str, ...] | None:
    command = _command(" ".join(text.split()))
    return command if command is not None and not _mention(command) else None


def _mention(words: tuple[str, ...]) -> bool:
    """Whether a command is only spoken of: `gra plan`, `gra eval`, "gra compare: table, report"."""
    given = words[3:] if words[:2] == ("python", "-m") else words[2:] if words[0] == "gra" else words[1:]
    return not any("=" in word or word.startswith("-") for word in given) or (words[1:2] == ("-m",) and len(words) < 3)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
