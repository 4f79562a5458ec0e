"""PURE: finds the program in a reply to a coding problem tolerantly.

Reasoning is removed (thoughts.py). The rules below are tried in order. The result is the first program that defines the
function that the tests call. If no program defines it, the result is the first program that a rule finds.

    fenced     the last Python code block (blocks.py) that defines the function (corrections come last), with the
               imports, functions, classes and constants that it uses from the other blocks; then blocks of other
               languages in the same way
    begun      the text between [BEGIN] and [DONE]
    unfenced   the lines from the first line with `def`, `class`, `import`, `from`, `@` or `name =` on, without the text
               before and after the program; then a definition between single backticks; then indented lines
    body       if the problem states the head of the function: the reply or its code block, taken as the function's body

A method of a class that needs no arguments ("class Solution") counts as the function if nothing else defines it. Code
that only tries the program out is removed (entry.py). Common indentation is removed. A program is cut after the last
line up to which it parses. This drops following text, an unfinished statement and a truncated function. A reply in
which nothing parses has no program.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence

from gra.eval.scoring import blocks, entry
from gra.eval.scoring.blocks import LONGEST, parsed
from gra.eval.scoring.thoughts import spoken

_START = re.compile(r"[^\S\n]*(?:(?:async[ \t]+)?def|class|import|from)\b|[^\S\n]*@\w|[A-Za-z_]\w*[ \t]*=[^=]")
_TRIES = 60  # parse attempts per program
_STARTS = 12
_IDLE = (ast.Expr, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_KEPT = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)


def program_of(reply: str, name: str | None, head: str = "") -> str | None:
    """Return the program that the tolerant rules find in `reply`; None if there is none.

    `name`: the function that the tests call.
    `head`: the beginning of this function in the problem's text; "" if the text does not give it.
    """
    fallback = None
    for found in _candidates(spoken(reply), name, head):
        if name is None or defines(found, name):
            return found if name is None else entry.without_trials(found, name)
        fallback = fallback or found
    return fallback


def defines(program: str, name: str) -> bool:
    """Return whether the program binds `name` at the top level."""
    return (
        re.search(
            rf"^(?:(?:async\s+)?def\s+{re.escape(name)}\b|class\s+{re.escape(name)}\b|"
            rf"{re.escape(name)}\s*(?::[^=\n]+)?=)",
            program,
            re.MULTILINE,
        )
        is not None
    )


def parses(text: str) -> bool:
    """Return whether a text is valid Python."""
    return parsed(text) is not None


def chosen(texts: Sequence[str], name: str | None) -> str | None:
    """Return the last of `texts` that defines the function `name`, or else the first text; None if there are no texts.

    If the returned text uses names that other texts bind, the statements that bind them are put before it.
    """
    if not texts:
        return None
    places = [place for place, text in enumerate(texts) if name is not None and defines(text, name)]
    place = places[-1] if places else 0
    return "\n\n".join([*_used(texts, place), texts[place]])


def _used(texts: Sequence[str], place: int) -> list[str]:
    """Return, in order, the other texts' statements that bind names which the text at `place` uses but does not bind."""
    tree = parsed(texts[place])
    if tree is None or len(texts) == 1:
        return []
    bound, wanted = _bound(tree.body), entry.names(tree)
    offered: list[tuple[str, ast.stmt]] = []
    for other, text in enumerate(texts):
        other_tree = parsed(text) if other != place else None
        offered += [(text, node) for node in (other_tree.body if other_tree else ()) if isinstance(node, _KEPT)]
    taken: set[int] = set()
    while True:  # added statements can use more names
        more = [
            each
            for each, (_, node) in enumerate(offered)
            if each not in taken
            and (_bound([node]) & (wanted - bound) or (isinstance(node, ast.ImportFrom) and node.names[0].name == "*"))
        ]
        if not more:
            break
        each = more[-1]  # the last one that binds the name
        taken.add(each)
        bound, wanted = bound | _bound([offered[each][1]]), wanted | entry.names(offered[each][1])
    return [_source(*offered[each]) for each in sorted(taken)]


def _source(text: str, node: ast.stmt) -> str:
    """Return the source of a statement with its decorators, which `ast.get_source_segment` leaves out."""
    decorators = getattr(node, "decorator_list", None)
    if decorators and node.end_lineno is not None:
        return "\n".join(text.splitlines()[decorators[0].lineno - 1 : node.end_lineno])
    return ast.get_source_segment(text, node) or ""


def _bound(body: Sequence[ast.stmt]) -> set[str]:
    """Return the names that statements bind at the top level."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return found


def _candidates(reply: str, name: str | None, head: str) -> Iterator[str]:
    found = blocks.fenced(reply)
    for several in ([block for block in found if block.python], [block for block in found if not block.python]):
        whole = [program for program in (_cut(block.text) for block in several) if program is not None]
        if name is not None and not any(defines(text, name) for text in whole):
            whole = [entry.with_method(text, name) for text in whole]
        program = chosen(whole, name)
        yield from (program,) if program is not None else ()
    if not found:
        found = blocks.begun(reply)
        yield from (program for block in found for program in [_cut(block.text)] if program is not None)
        yield from (_unfenced(reply) if name is None else (entry.with_method(text, name) for text in _unfenced(reply)))
        yield from (program for block in blocks.inline(reply) for program in [_cut(block.text)] if program is not None)
        set_in = [program for block in blocks.indented(reply) for program in [_cut(block.text)] if program is not None]
        yield from (program for program in set_in if _defines_something(program))
    if head:
        texts = [block.text for block in found] or [reply]
        yield from (under for text in texts for under in [_under(head, text)] if under is not None)


def _unfenced(reply: str) -> Iterator[str]:
    """Yield the programs that start at one of the first lines that can start one and that define something."""
    places = [match.start() for match in re.finditer(r"^.*$", reply[:LONGEST], re.MULTILINE) if _START.match(match[0])]
    for place in places[:_STARTS]:
        found = _cut(reply[place:])
        if found is not None and _defines_something(found):
            yield found


def _defines_something(program: str) -> bool:
    return re.search(r"^(?:async\s+)?(?:def|class)\s", program, re.MULTILINE) is not None


def _under(head: str, text: str) -> str | None:
    """Return the function with `text` as its body; None if it does not parse.

    The body's first line, or all its lines, can lack indentation.
    """
    body = textwrap.dedent(text.strip("\n"))
    first, _, rest = text.lstrip().partition("\n")
    head = head.strip("\n").rstrip()
    forms = [f"{head}\n{each.rstrip()}\n" for each in (textwrap.indent(body, "    "), f"    {first}\n{rest}")]
    cut = [found for form in forms if (found := _cut(form, least=head.count("\n") + 2)) and _has_body(found)]
    return max(cut, key=lambda found: found.count("\n"), default=None)


def _has_body(program: str) -> bool:
    """Return whether the program's last function does something other than a docstring, imports and inner definitions."""
    tree = parsed(program)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)] if tree else []
    return bool(functions) and not all(isinstance(node, _IDLE) for node in functions[-1].body)


def _cut(text: str, least: int = 0) -> str | None:
    """Return the longest prefix of complete lines that is a program; None if there is none or it does nothing.

    `least`: for a text that consists of a function's head and body, the minimum number of lines in the prefix; such a
    prefix can end within the body. For any other text, 0.
    """
    every = textwrap.dedent(text[:LONGEST].replace("\r\n", "\n").strip("\n")).split("\n")
    count = len(every)
    for _ in range(_TRIES):
        if count < max(least, 1):
            return None
        program = "\n".join(every[:count])
        fault: list[int] = []
        tree = parsed(program, fault)
        if tree is not None:
            following = next((line for line in every[count:] if line.strip()), "")
            body = tree.body
            if following[:1] in (" ", "\t") and not least and body:
                body.pop()  # it continues in lines that do not parse, so it is incomplete
            done = any(not _is_talk(node) for node in body)
            while done and body and _is_talk(body[-1]):
                body.pop()
            return "\n".join(every[: body[-1].end_lineno]) + "\n" if done and body else None
        count = min([count, *fault]) - 1
    return None


def _is_talk(node: ast.stmt) -> bool:
    """Return whether a statement is a single word or constant: prose that happens to parse."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Name | ast.Constant)
