"""PURE: the program in a reply to a coding problem, found tolerantly.

The rules, first to last; the first whose program defines the function that the tests call decides, else the first that has one:

    fenced     of the code blocks, whatever their language is called, the first that defines it; else all that are Python together
    unfenced   the lines from the first `def`, `class`, `import`, `from`, `@` or `name =` on, with or without talk before and after
    body       where the problem gives the head of the function: the reply, or its block, put under it as its body

Common indentation is taken off, and a program is cut after its last line up to which it can be parsed: talk that follows, or a
statement that was never finished, is left out. A reply in which nothing can be parsed has no program.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator

_LONGEST = 30_000  # characters of a program
_FENCE = re.compile(r"^[^\S\n]{0,8}(?:```|~~~)[^\n]{0,80}$", re.MULTILINE)
_START = re.compile(r"[^\S\n]*(?:(?:async[ \t]+)?def|class|import|from)\b|[^\S\n]*@\w|[A-Za-z_]\w*[ \t]*=[^=]")
_TRIES = 60  # parses of one program
_STARTS = 12
_IDLE = (ast.Expr, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


def program_of(reply: str, name: str | None, head: str = "") -> str | None:
    """The program in `reply`, by the rules; `name`: the function that the tests call; `head`: what the problem gives of it."""
    fallback = None
    for found in _candidates(reply, head):
        if name is None or defines(found, name):
            return found
        fallback = fallback or found
    return fallback


def defines(program: str, name: str) -> bool:
    """Whether the program has `name` at its left edge."""
    return re.search(rf"^(?:(?:async\s+)?def\s+{re.escape(name)}\b|{re.escape(name)}\s*=)", program, re.MULTILINE) is not None


def parses(text: str) -> bool:
    """Whether a text is Python as it stands."""
    return len(text) <= _LONGEST and _parse(text) is not None


def _candidates(reply: str, head: str) -> Iterator[str]:
    blocks = _blocks(reply)
    whole = [found for found in map(_cut, blocks) if found is not None]
    yield from whole
    if len(whole) > 1:
        yield "\n\n".join(whole)
    if not blocks:
        yield from _unfenced(reply)
    if head:
        yield from (found for text in blocks or [reply] for found in [_under(head, text)] if found is not None)


def _blocks(reply: str) -> list[str]:
    """The texts between fences; one that is never closed goes to the end."""
    marks = list(_FENCE.finditer(reply))
    ends = [mark.start() for mark in marks[1::2]] + [len(reply)]
    return [reply[mark.end() : end] for mark, end in zip(marks[::2], ends, strict=False)]


def _unfenced(reply: str) -> Iterator[str]:
    """Programs that begin at one of the first lines that may begin one and define something."""
    places = [match.start() for match in re.finditer(r"^.*$", reply[:_LONGEST], re.MULTILINE) if _START.match(match[0])]
    for place in places[:_STARTS]:
        found = _cut(reply[place:])
        if found is not None and re.search(r"^(?:async\s+)?(?:def|class)\s", found, re.MULTILINE):
            yield found


def _under(head: str, text: str) -> str | None:
    """The function with `text` as its body, which may have come without the indentation of its first line, or of all."""
    body = textwrap.dedent(text.strip("\n"))
    first, _, rest = text.lstrip().partition("\n")
    head = head.strip("\n").rstrip()
    forms = [f"{head}\n{each.rstrip()}\n" for each in (textwrap.indent(body, "    "), f"    {first}\n{rest}")]
    cut = [found for form in forms if (found := _cut(form, least=head.count("\n") + 2)) and _has_body(found)]
    return max(cut, key=lambda found: found.count("\n"), default=None)


def _has_body(program: str) -> bool:
    """Whether its last function does something itself: more than have a docstring, imports, or functions of its own."""
    tree = _parse(program)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)] if tree else []
    return bool(functions) and not all(isinstance(node, _IDLE) for node in functions[-1].body)


def _cut(text: str, least: int = 1) -> str | None:
    """The longest beginning of whole lines (`least` at least) that is a program; None where there is none, or it does nothing."""
    every = textwrap.dedent(text[:_LONGEST].replace("\r\n", "\n").strip("\n")).split("\n")
    count = len(every)
    for _ in range(_TRIES):
        if count < least:
            return None
        program = "\n".join(every[:count])
        fault: list[int] = []
        tree = _parse(program, fault)
        if tree is not None:
            done = any(not _is_talk(node) for node in tree.body)
            while done and tree.body and _is_talk(tree.body[-1]):
                tree.body.pop()
            return "\n".join(every[: tree.body[-1].end_lineno]) + "\n" if done and tree.body else None
        count = min([count, *fault]) - 1
    return None


def _is_talk(node: ast.stmt) -> bool:
    """A lone word, which is prose that happens to parse."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Name | ast.Constant)


def _parse(program: str, fault: list[int] | None = None) -> ast.Module | None:
    """The tree, or None, with the line at fault (from 1) told in `fault`, where it is known."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strange escapes
            return ast.parse(program)
    except SyntaxError as error:
        if fault is not None and error.lineno:
            fault.append(error.lineno)
    except (ValueError, MemoryError, RecursionError):  # a null byte; too deep
        pass
    return None
