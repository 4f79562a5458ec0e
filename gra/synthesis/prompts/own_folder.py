"""Finds the faults of the user's own folder of prompts (`synthesis.prompts=FOLDER`) before a call is paid for:
templates that cannot be used, variables and blocks that do not exist, and files that no prompt uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
from jinja2 import meta, nodes

from gra import spelling
from gra.errors import Problem
from gra.synthesis import prompts
from gra.synthesis.prompts import variables

KEY = "synthesis.prompts"
TEMPLATES = (".jinja", ".jinja2", ".j2")
_STEPS = (*prompts.STEPS, prompts.REWRITE)
_JUDGES = ("annotate_seed", "check", "review", "adjudicate")  # their replies need several fields


def faults(folder: str) -> list[Problem]:
    """Return the faults of the user's own folder of prompts. Its files are read again, because they may have changed
    since this process last read them."""
    prompts.read_again()
    environment, found = prompts.environment(folder), _Found()
    known = prompts.sources(folder, (prompts.REWRITE,))
    for step in _STEPS:
        try:
            _of_step(step, folder, environment, found)
        except jinja2.TemplateError as error:
            found.unusable(prompts.source_path(step, folder), error)
    for name in (name for name in known if name.startswith("domains/")):
        try:
            tree, path = _parsed(environment, name)
            _of_file(_Template(name, path, tree), variables.GUIDANCE, lambda _: (), environment, found)
        except jinja2.TemplateError as error:
            found.unusable(prompts.source_path(name, folder), error)
    try:
        prompts.built_in(folder)
    except jinja2.TemplateError as error:
        found.add(None, str(error), "fix the file")
    if not found.problems:
        _try(folder, found)
    if not found.dynamic:
        names = [name if "." in name else f"{name}.jinja" for name in known]
        files = [path.relative_to(folder).as_posix() for path in sorted(Path(folder).rglob("*")) if path.is_file()]
        for name in unused(files, names, found.included):
            near = spelling.remedy(_stem(name), map(_stem, names), "rename it, or remove it.")
            found.add(Path(folder) / name, "no prompt uses this file", f"{near} Prompts read: {', '.join(names)}")
    return list(dict.fromkeys(found.problems))


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def unused(files: Iterable[str], known: Sequence[str], included: Iterable[str]) -> list[str]:
    """Return the names in `files` that look like prompt files but are not used. `known`: the names of the files
    that an edition can have. `included`: the names of the files that templates include."""
    used = {*known, *included}
    return [
        name
        for name in files
        if name not in used
        and (
            (name.removeprefix("domains/").count("/") == 0 and name.endswith(TEMPLATES))
            or (name.endswith((*TEMPLATES, ".json")) and spelling.near(name, known, cutoff=spelling.TYPO))
        )
    ]


@dataclass
class _Found:
    """What was found so far. `included`: names of the files that templates include. `followed`: the inclusions that
    were already checked, as pairs: the name of the included file, and the block that includes it. `dynamic`: whether a
    template computes the name of a file that it includes, so that unused files cannot be known."""

    problems: list[Problem] = field(default_factory=list)
    included: set[str] = field(default_factory=set)
    followed: set[tuple[str, str]] = field(default_factory=set)
    dynamic: bool = False

    def add(self, path: Path | str | None, message: str, remedy: str) -> None:
        self.problems.append(Problem(KEY, message if path is None else f"{path}: {message}", remedy))

    def unusable(self, path: Path, error: Exception) -> None:
        """Add a problem to the list. It says why a template cannot be compiled or rendered. `path`: the template's
        file. If the error names another file, the problem names that file instead."""
        said = str(error.message if isinstance(error, jinja2.TemplateError) else error)
        if isinstance(error, jinja2.TemplateSyntaxError):
            path, said = Path(error.filename or path), f"line {error.lineno}: {said}"
        self.add(path, said, "fix the template")


@dataclass(frozen=True)
class _Template:
    name: str
    path: Path
    tree: nodes.Template


def _of_step(step: str, folder: str, environment: jinja2.Environment, found: _Found) -> None:
    """Add the faults of a step's prompt. Raises jinja2.TemplateError if it cannot be read or compiled."""
    _check_blocks(step, folder)
    tree, path = _parsed(environment, f"{step}.jinja")
    file = _Template(f"{step}.jinja", path, tree)
    _of_file(file, variables.BLOCKS, lambda block: variables.of_block(step, block), environment, found)


def _try(folder: str, found: _Found) -> None:
    """Render each step's prompt once with example values, and add the faults that this shows, such as an attribute that
    a value does not have."""
    for step in _STEPS:
        try:
            prompts.render(step, folder, **variables.values(step), demonstrations=prompts.built_in("turns")[:2])
        except Exception as error:  # noqa: BLE001 a template can raise anything
            found.unusable(prompts.source_path(step, folder), error)


def _check_blocks(step: str, folder: str) -> None:
    """Raise jinja2.TemplateError if the step's prompt cannot be compiled or has the wrong blocks."""
    blocks = prompts.compiled(step, folder).blocks
    if "user" not in blocks:
        raise jinja2.TemplateError("the block `user` is missing")
    if ("example_user" in blocks) != ("example_assistant" in blocks):
        raise jinja2.TemplateError("`example_user` and `example_assistant` go together: one is missing")
    style = prompts.style(step, folder)
    if style not in ("classic", "text", "json") or (style == "text" and step in _JUDGES):
        either = "" if step in _JUDGES else " or text"
        raise jinja2.TemplateError(f"the block `reply` must be json{either} (got {style!r})")


def _of_file(
    file: _Template,
    blocks: Sequence[str],
    known_in: Callable[[str], tuple[str, ...]],
    environment: jinja2.Environment,
    found: _Found,
) -> None:
    """Add the unknown blocks of a file and the unknown variables of its blocks. `known_in(block)`: a block's variables."""
    for block in file.tree.body:
        if not isinstance(block, nodes.Block):
            continue
        if block.name not in blocks:
            near = spelling.remedy(block.name, blocks, "remove it.")
            found.add(file.path, f"no message shows the block `{block.name}`", f"{near} Blocks: {', '.join(blocks)}")
            continue
        known, where = known_in(block.name), f"block `{block.name}` of {file.name}"
        _unknown(nodes.Template([block]), file.path, known, where, environment, found)


def _unknown(
    tree: nodes.Template,
    path: Path,
    known: Sequence[str],
    where: str,
    environment: jinja2.Environment,
    found: _Found,
) -> None:
    """Add the unknown variables of `tree`, a part of the file `path`, and those of the files that it includes."""
    tree.set_environment(environment)
    for variable in sorted(meta.find_undeclared_variables(tree) - {*known, *_guarded(tree)}):
        near = f"{hint} " if (hint := spelling.remedy(variable, known, "")) else ""
        listed = f"{near}Variables there: {', '.join(known)}" if known else "it has no variables"
        found.add(path, f"unknown variable `{variable}` ({where})", listed)
    own = [node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"]
    inclusions: list[nodes.Include | nodes.Import | nodes.FromImport] = []
    for kind in (nodes.Include, nodes.Import, nodes.FromImport):
        inclusions += tree.find_all(kind)
    for node in inclusions:
        for name in _names(node.template):
            if name is None:
                found.dynamic = True
            elif (name, where) not in found.followed:
                found.included.add(name)
                found.followed.add((name, where))
                try:
                    inner, file = _parsed(environment, name)
                except jinja2.TemplateNotFound:
                    if not getattr(node, "ignore_missing", False):
                        found.add(path, f"includes {name}, which does not exist ({where})", "correct the name")
                    continue
                _unknown(inner, file, (*known, *own) if node.with_context else (), where, environment, found)


def _names(template: nodes.Expr) -> Iterator[str | None]:
    """Yield the names of the files that an `include` or `import` names; None for a name that is computed."""
    for one in template.items if isinstance(template, nodes.List | nodes.Tuple) else [template]:
        yield one.value if isinstance(one, nodes.Const) else None


def _guarded(tree: nodes.Template) -> set[str]:
    """Return the variables that the template itself tests, with `is defined` or `default`."""
    tests = [node.node for node in tree.find_all(nodes.Test) if node.name in ("defined", "undefined")]
    filters = [node.node for node in tree.find_all(nodes.Filter) if node.name in ("default", "d")]
    return {node.name for node in (*tests, *filters) if isinstance(node, nodes.Name)}


def _parsed(environment: jinja2.Environment, name: str) -> tuple[nodes.Template, Path]:
    assert environment.loader is not None
    source, path, _ = environment.loader.get_source(environment, name)
    return environment.parse(source, name, path), Path(str(path))
