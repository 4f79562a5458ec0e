"""PURE: reduces a program to what the tests need: the function that they call, without code that only tries it out.

Chat models wrap a function as on LeetCode ("class Solution") and add calls, their own assertions and reads of standard
input. A wrong assertion or an `input()` without input says nothing about the function, but would end the program before
the tests.
"""

from __future__ import annotations

import ast
import builtins

from gra.eval.scoring.blocks import parsed

_BUILTINS = frozenset(dir(builtins))
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def with_method(program: str, name: str) -> str:
    """Return the program, changed so that its method `name` can also be called as a top-level function.

    The method is taken from the last class that has a method `name` and can be instantiated without arguments. If there
    is no such class, the program is returned unchanged.
    """
    tree = parsed(program)
    for node in reversed(tree.body if tree else []):
        if isinstance(node, ast.ClassDef) and name != node.name:
            methods = {
                each.name: each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            if name in methods and not _needs(methods.get("__init__")):
                return f"{program.rstrip()}\n\n{name} = {node.name}().{name}\n"
    return program


def without_trials(program: str, name: str) -> str:
    """Return the program without the top-level statements that only try it out.

    A statement tries the program out if it is an assertion, calls one of the program's functions, prints, or reads
    input. Two sorts of such statements are kept because the tests may need them: those that bind `name` (the function
    that the tests call), and those that touch a variable used by the program's functions.
    """
    tree = parsed(program)
    if tree is None:
        return program
    defined = {node.name for node in tree.body if isinstance(node, _DEFINITIONS)}
    inside = {node.name: names(node) for node in tree.body if isinstance(node, _DEFINITIONS)}
    state = (set().union(*inside.values()) - defined - _imported(tree) - _BUILTINS) | {name}
    fill = {each for each, used in inside.items() if each != name and used & (state - {name})}
    lines = program.split("\n")
    for place, node in reversed(list(enumerate(tree.body))):
        shared = [
            other for other in tree.body[max(0, place - 1) : place + 2] if other is not node and _meet(other, node)
        ]
        if not shared and _is_trial(node, defined | {name}, state, fill):
            del lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines)


def names(tree: ast.AST) -> set[str]:
    """Return the names that a program or function uses but does not define.

    `tree`: the syntax tree, including the functions inside it.
    """
    parts = list(ast.walk(tree))
    used = {node.id for node in parts if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    stored = {node.id for node in parts if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    shared = {each for node in parts if isinstance(node, ast.Global) for each in node.names}
    return (used - stored - {node.arg for node in parts if isinstance(node, ast.arg)}) | shared


def _imported(tree: ast.Module) -> set[str]:
    found = [alias for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    return {(alias.asname or alias.name).split(".")[0] for alias in found}


def _is_trial(node: ast.stmt, defined: set[str], state: set[str], fill: set[str]) -> bool:
    """Return whether a statement only tries the program out.

    `defined`: the program's functions and classes; `state`: the variables that these functions use; `fill`: those of
    the functions that use such variables. A call of a function in `fill` may set a variable that the tests need. A
    statement with such a call therefore counts as a trial only if it also asserts, prints or reads input.
    """
    if isinstance(node, (*_DEFINITIONS, ast.Import, ast.ImportFrom)):
        return False
    parts = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
    bound = {part.id for part in parts if not isinstance(part.ctx, ast.Load)}
    used = {part.id for part in parts if isinstance(part.ctx, ast.Load)}
    if bound & state or (used & state) - defined:
        return False
    if isinstance(node, ast.Assert) or used & {"print", "input"}:
        return True
    return bool(used & defined) and not used & fill


def _meet(one: ast.stmt, other: ast.stmt) -> bool:
    """Return whether two statements share a line."""
    return one.lineno <= (other.end_lineno or other.lineno) and other.lineno <= (one.end_lineno or one.lineno)


def _needs(init: ast.FunctionDef | ast.AsyncFunctionDef | None) -> bool:
    """Return whether a class with this `__init__` cannot be instantiated without arguments."""
    return init is not None and len(init.args.posonlyargs + init.args.args) - len(init.args.defaults) > 1
