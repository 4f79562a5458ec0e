"""The prompts: one Jinja2 file per step beside this one, and `schemas.py` for the replies. `render` makes chat messages.

A folder given as `synthesis.prompts` is looked in first, file by file. Each file holds two blocks, `system` and `user`.
Texts from models and seeds pass through the `fence` filter, which keeps them from closing the tags they stand in.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from gra.wellformed import well_formed

STEPS = ("annotate_seed", "keywords", "instruction", "check", "respond", "review", "adjudicate", "annotate")
_TAGS = re.compile(r"<(\s*/?\s*(?:record|keywords|summary|instruction|response|review)\b[^<>]*>)", re.IGNORECASE)


def fence(text: str) -> str:
    """`text` with the prompts' own tags made harmless: `</response>` becomes `<\\/response>`, `<review>` `<\\review>`."""
    return _TAGS.sub(r"<\\\1", text) if "<" in text else text


@cache
def _environment(folder: str | None) -> jinja2.Environment:
    folders = ([folder] if folder else []) + [str(Path(__file__).parent)]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders), undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=False,
        keep_trailing_newline=False,
    )  # fmt: skip
    environment.filters["fence"] = fence
    return environment


@cache
def _template(step: str, folder: str | None) -> jinja2.Template:
    return _environment(folder).get_template(f"{step}.jinja")


def render(step: str, folder: str | None = None, **values: Any) -> tuple[dict[str, str], ...]:
    """The chat messages for `step`. Raises jinja2.UndefinedError for a value that the prompt wants and did not get."""
    template = _template(step, folder)
    context = template.new_context(values)
    messages = []
    for role in ("system", "user"):
        if role in template.blocks:
            text = "".join(template.blocks[role](context)).strip()
            if text:
                messages.append({"role": role, "content": well_formed(text)})
    return tuple(messages)


def compile_step(step: str, folder: str | None = None) -> None:
    """Read and compile one prompt. Raises jinja2.TemplateError where it cannot be used."""
    blocks = _template(step, folder).blocks
    if "user" not in blocks:
        raise jinja2.TemplateError("the block `user` is missing")


def source_path(step: str, folder: str | None = None) -> Path:
    """The file of the prompt in force: the folder's own where it has one, else the one beside this module."""
    own = Path(folder) / f"{step}.jinja" if folder else None
    return own if own is not None and own.is_file() else Path(__file__).parent / f"{step}.jinja"


def digest(folder: str | None = None) -> str:
    """sha256 (hex) over the prompts in force, for the data card."""
    whole = hashlib.sha256()
    for step in STEPS:
        whole.update(step.encode() + b"\0" + source_path(step, folder).read_bytes() + b"\0")
    return whole.hexdigest()
