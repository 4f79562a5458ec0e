"""PURE: the blocks of code in a reply, as Markdown sets them and as models do.

A block stands between fences of three or more backticks or tildes; the closing one is of the same sign, at least as long, and may
stand at the end of the last line of code. In a list or a quotation it is set in or marked with ">"
    . What follows the opening one names the
language, and may say more ("```python title=x.py"). A fence inside a docstring closes nothing: of several that may close a Python
block the first that leaves a program does. A block that is never closed goes to the end. Besides: "[BEGIN] ... [DONE]", and an
interactive session (">>> "), of which the output is left out.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

PYTHON = ("", "python", "py", "python3", "python2", "py3", "ipython", "ipython3", "pycon", "python-repl", "pyi", "sage")
LONGEST = 30_000  # characters of a program
_OPEN = re.compile(r"^(?P<before>[ \t]*(?:>[ \t]?)*(?:(?:[-*+•]|\d{1,2}[.)])[ \t]+)?[ \t]*)(?P<ticks>`{3,}|~{3,})(?P<info>[^\n]*)$")
_QUOTED = re.compile(r"^[ \t]*(?:>[ \t]?)+")
_LANGUAGE = re.compile(r"[ \t{.]*([\w+#.-]*)")
_BEGIN = re.compile(r"\[BEGIN\](.*?)(?:\[/?(?:DONE|END)\]|\Z)", re.DOTALL)
_TAGGED = re.compile(r"<(pre|code|python)>\s*(?:<code[^>]*>)?\n?(.*?)(?:</code>\s*)?</\1>", re.DOTALL | re.IGNORECASE)
_INLINE = re.compile(r"(?<!`)`((?:async def|def|class)\s[^`\n]{1,2000}|\w{1,80}\s?=\s?lambda\b[^`\n]{1,2000})`(?!`)")
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.)(?: |$)")
_CLOSERS = 12  # fences that are tried for one block


@dataclass(frozen=True)
class Block:
    """`language` in small letters, "" where none is named; `closed`: by a fence, not by the end of the reply."""

    language: str
    text: str
    closed: bool = True

    @property
    def python(self) -> bool:
        """Whether it is said to be Python, or nothing is said."""
        return self.language in PYTHON


def fenced(reply: str) -> list[Block]:
    """The blocks between fences, in order."""
    lines = reply.replace("\r\n", "\n").split("\n")
    found = []
    place = 0
    while place < len(lines):
        opened = _OPEN.match(lines[place])
        if opened is None:
            place += 1
            continue
        block, place = _block(lines, place, opened)
        if block is not None:
            found.append(block)
    return found


def begun(reply: str) -> list[Block]:
    """What stands between [BEGIN] and [DONE], or between tags for code, where no fences do."""
    return [Block("", text.strip("\n ")) for text in _BEGIN.findall(reply)] or [Block("", text) for _,
        text in _TAGGED.findall(reply)]


def inline(reply: str) -> list[Block]:
    """The definitions that stand between single backticks, each in one line."""
    return [Block("", text) for text in _INLINE.findall(reply[:LONGEST])]


def indented(reply: str) -> list[Block]:
    """The runs of lines that are set in by four spaces or a tab, as Markdown sets code without fences."""
    runs = re.findall(r"(?:^(?: {4}|\t)[^\n]*(?:\n[ \t]*$)*\n?)+", reply[:LONGEST], re.MULTILINE)
    return [Block("", textwrap.dedent(run)) for run in runs]


def parsed(text: str, fault: list[int] | None = None) -> ast.Module | None:
    """The tree of a program, or None, with the line at fault (from 1) told in `fault`, where it is known."""
    if len(text) > LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strange escapes
            return ast.parse(text)
    except SyntaxError as error:
        if fault is not None and error.lineno:
            fault.append(error.lineno)
    except (ValueError, MemoryError, RecursionError):  # a null byte; too deep
        pass
    return None


def session(text: str) -> str:
    """The program of an interactive session, without prompts and output; other text as it is."""
    if not text.lstrip().startswith(">>>"):
        return text
    lines = text.split("\n")
    return "\n".join(_PROMPT.sub("", line) for line in lines if _PROMPT.match(line)) + "\n"


def _block(lines: list[str], place: int, opened: re.Match[str]) -> tuple[Block | None, int]:
    """The block whose opening fence stands at `place`, and where to look on."""
    ticks, info = opened["ticks"], opened["info"]
    if ticks in info:  # all in one line
        inside = info.partition(ticks)[0].strip()
        first, _, more = inside.partition(" ")
        return Block("", more if first.lower() in PYTHON and more else inside), place + 1
    if "`" in info and ticks[0] == "`":
        return None, place + 1
    language = (_LANGUAGE.match(info) or ["", ""])[1].lower()
    quoted = ">" in opened["before"]
    depth = len(opened["before"])
    told = [_QUOTED.sub("", line) if quoted else line for line in lines[place + 1 :]]
    ends = list(_ends(told, ticks))
    for end, last in ends[:_CLOSERS] if language in PYTHON else ():
        text = _set_out([*told[:end], *last], depth)
        if text.strip() and parsed(session(text)) is not None:
            return Block(language, session(text)), place + 2 + end
    near = [(end, last) for end, last in ends if last or len(told[end]) - len(told[end].lstrip()) <= depth + 3]
    for end, last in near[:1]:
        return Block(language, session(_set_out([*told[:end], *last], depth))), place + 2 + end
    return Block(language, session(_set_out(told, depth)), closed=False), len(lines)


def _ends(told: list[str], ticks: str) -> Iterator[tuple[int, list[str]]]:
    """The lines that may close a block, each with what of it is still code."""
    for place, line in enumerate(told):
        bare = line.strip()
        if bare and not bare.strip(ticks[0]) and len(bare) >= len(ticks):
            yield place, []
        elif bare.endswith(ticks) and not bare.startswith(ticks[0]) and not bare.endswith(ticks + ticks[0]):
            yield place, [line.rstrip().removesuffix(ticks).rstrip()]


def _set_out(lines: list[str], depth: int) -> str:
    """Without the indentation of the list that the block stands in."""
    text = "\n".join(lines)
    return textwrap.dedent(text) if depth and all(not line.strip() or line[:1] in " \t" for line in lines) else text
