"""PURE: finds the code blocks of a reply, in Markdown and in the variants that models write.

- A block is between fences of three or more backticks or tildes. The closing fence has the same character, is at least as long,
  and can be at the end of the last line of code.
- In a list or quotation a block is indented or marked with ">".
- The opening fence is followed by the language and sometimes by more ("```python title=x.py").
- A fence inside a docstring does not close a block: if several fences could close a Python block, it ends at the first
  fence that leaves a valid program.
- An unclosed block extends to the end of the reply.
- The text between "[BEGIN]" and "[DONE]" counts as a block, too.
- If a block is an interactive session (">>> "), its prompts and output are dropped.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

PYTHON = ("", "python", "py", "python3", "python2", "py3", "ipython", "ipython3", "pycon", "python-repl", "pyi", "sage")
LONGEST = 30_000  # characters in a program
_OPEN = re.compile(
    r"^(?P<before>[ \t]*(?:>[ \t]?)*(?:(?:[-*+•]|\d{1,2}[.)])[ \t]+)?[ \t]*)(?P<ticks>`{3,}|~{3,})(?P<info>[^\n]*)$"
)
_QUOTED = re.compile(r"^[ \t]*(?:>[ \t]?)+")
_LANGUAGE = re.compile(r"[ \t{.]*([\w+#.-]*)")
_BEGIN = re.compile(r"\[BEGIN\](.*?)(?:\[/?(?:DONE|END)\]|\Z)", re.DOTALL)
_TAGGED = re.compile(r"<(pre|code|python)>\s*(?:<code[^>]*>)?\n?(.*?)(?:</code>\s*)?</\1>", re.DOTALL | re.IGNORECASE)
_INLINE = re.compile(r"(?<!`)`((?:async def|def|class)\s[^`\n]{1,2000}|\w{1,80}\s?=\s?lambda\b[^`\n]{1,2000})`(?!`)")
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.)(?: |$)")
_CLOSERS = 12  # closing fences tried per block


@dataclass(frozen=True)
class Block:
    """A code block.

    `language`: the language in lower case; "" if not stated.
    `closed`: whether a closing fence ends the block. It is False if the reply ends before such a fence.
    """

    language: str
    text: str
    closed: bool = True

    @property
    def python(self) -> bool:
        """Return whether the block's language is Python, or is not stated."""
        return self.language in PYTHON


def fenced(reply: str) -> list[Block]:
    """Return the blocks between fences, in order."""
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
    """Return the texts between [BEGIN] and [DONE].

    If there are none, return the texts in <pre>, <code> or <python> tags.
    """
    return [Block("", text.strip("\n ")) for text in _BEGIN.findall(reply)] or [
        Block("", text) for _, text in _TAGGED.findall(reply)
    ]


def inline(reply: str) -> list[Block]:
    """Return the one-line definitions between single backticks."""
    return [Block("", text) for text in _INLINE.findall(reply[:LONGEST])]


def indented(reply: str) -> list[Block]:
    """Return the runs of lines indented by four spaces or a tab (Markdown's code without fences)."""
    runs = re.findall(r"(?:^(?: {4}|\t)[^\n]*(?:\n[ \t]*$)*\n?)+", reply[:LONGEST], re.MULTILINE)
    return [Block("", textwrap.dedent(run)) for run in runs]


def parsed(text: str, fault: list[int] | None = None) -> ast.Module | None:
    """Return the syntax tree of a program; None if the program does not parse or is longer than LONGEST.

    If the program has a syntax error in a known line, that line's number (from 1) is appended to the list `fault`.
    """
    if len(text) > LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escapes
            return ast.parse(text)
    except SyntaxError as error:
        if fault is not None and error.lineno:
            fault.append(error.lineno)
    except (ValueError, MemoryError, RecursionError):  # a null byte; nested too deep
        pass
    return None


def session(text: str) -> str:
    """Return the commands of an interactive Python session, without prompts and output.

    Any other text is returned unchanged.
    """
    if not text.lstrip().startswith(">>>"):
        return text
    lines = text.split("\n")
    return "\n".join(_PROMPT.sub("", line) for line in lines if _PROMPT.match(line)) + "\n"


def _block(lines: list[str], place: int, opened: re.Match[str]) -> tuple[Block | None, int]:
    """Return the block whose opening fence is on line `place` (None if it is not a fence), and the line at which to continue."""
    ticks, info = opened["ticks"], opened["info"]
    if ticks in info:  # a block on one line
        inside = info.partition(ticks)[0].strip()
        first, _, more = inside.partition(" ")
        return Block("", more if first.lower() in PYTHON and more else inside), place + 1
    if "`" in info and ticks[0] == "`":
        return None, place + 1
    language = (_LANGUAGE.match(info) or ["", ""])[1].lower()
    quoted = ">" in opened["before"]
    depth = len(opened["before"])
    body = [_QUOTED.sub("", line) if quoted else line for line in lines[place + 1 :]]
    ends = list(_ends(body, ticks))
    for end, last in ends[:_CLOSERS] if language in PYTHON else ():
        text = _set_out([*body[:end], *last], depth)
        if text.strip() and parsed(session(text)) is not None:
            return Block(language, session(text)), place + 2 + end
    near = [(end, last) for end, last in ends if last or len(body[end]) - len(body[end].lstrip()) <= depth + 3]
    for end, last in near[:1]:
        return Block(language, session(_set_out([*body[:end], *last], depth))), place + 2 + end
    return Block(language, session(_set_out(body, depth)), closed=False), len(lines)


def _ends(body: list[str], ticks: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that can close a block, each with the code before its fence."""
    for place, line in enumerate(body):
        bare = line.strip()
        if bare and not bare.strip(ticks[0]) and len(bare) >= len(ticks):
            yield place, []
        elif bare.endswith(ticks) and not bare.startswith(ticks[0]) and not bare.endswith(ticks + ticks[0]):
            yield place, [line.rstrip().removesuffix(ticks).rstrip()]


def _set_out(lines: list[str], depth: int) -> str:
    """Return the lines as one text, without the indentation of the list that contains the block.

    `depth`: the number of characters before the opening fence.
    """
    text = "\n".join(lines)
    return textwrap.dedent(text) if depth and all(not line.strip() or line[:1] in " \t" for line in lines) else text
