"""Renders the prompts as chat messages. An edition is a set of prompts with one Jinja2 file per step; `schemas.py` has
the forms of the replies.

`synthesis.prompts` names the edition: `turns` (examples are turns of the conversation), `classic` (one message with
rules and records), or a folder of your own. A file that your folder lacks is taken from a built-in edition: from
`turns` if your folder has an `examples.json`, a folder `domains` or a file with a block `reply`, else from `classic`. A
file can have these blocks:

    reply               how replies are read: `text` or `json`; without this block, as JSON with the fields of `classic`
    system, user        the first and the last message
    example_user, example_assistant    two turns per demonstration; the variable `example` is the demonstration

The prompts of reviewers and adjudicator include `_rubric.jinja`. `domains/DOMAIN.jinja` has the blocks `generator` and
`reviewer`, which say what makes a good task of this domain; a prompt inserts one of them by `guidance(domain, block)`.
`turns/examples.json` has the demonstrations that are shown for annotations, and for proposals if the pool has too few
records. Texts of models and seeds pass through the filter `fence`, so that they cannot close the tags around them, or
through the filter `line`, which also puts them on one line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import jinja2

from gra.synthesis.committee.records import DOMAINS, Record
from gra.wellformed import well_formed

STEPS = ("annotate_seed", "keywords", "instruction", "check", "respond", "review", "adjudicate", "annotate")
REWRITE = "rewrite"  # a step of the stage `refine` only: its prompt is not among those of a synthesis
OF_PROPOSALS = ("keywords", "instruction", "annotate")  # steps of a synthesis that the stage `refine` does not have
EDITIONS = ("turns", "classic")
DEFAULT = "classic"
Style = Literal["classic", "text", "json"]  # how the replies to a prompt are read
_REPLY = re.compile(r"\{%-?\s*block\s+reply\b")
_HERE = Path(__file__).parent
_TAGS = re.compile(r"<(\s*/?\s*(?:record|keywords|summary|instruction|response|review)\b[^<>]*>)", re.IGNORECASE)


def fence(text: str) -> str:
    """Return `text` with the prompts' own tags escaped: `</response>` becomes `<\\/response>`, `<review>` becomes `<\\review>`."""
    return _TAGS.sub(r"<\\\1", text) if "<" in text else text


def line(text: str) -> str:
    """Return `text` on one line, with the prompts' own tags escaped as `fence` does."""
    return " ".join(fence(text).split())


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@cache
def _folders(edition: str | None) -> tuple[Path, ...]:
    """Return the folders that are searched for the files of the edition, in this order."""
    if edition is None or edition in EDITIONS:
        return _HERE / (edition or DEFAULT), _HERE
    own = Path(edition)
    turns = (
        (own / "domains").is_dir()
        or (own / "examples.json").is_file()
        or any(_has_reply(own / f"{s}.jinja") for s in (*STEPS, REWRITE))
    )
    return own, _HERE / ("turns" if turns else "classic"), _HERE


def _has_reply(path: Path) -> bool:
    return path.is_file() and _REPLY.search(path.read_text(encoding="utf-8", errors="replace")) is not None


@cache
def environment(edition: str | None) -> jinja2.Environment:
    """Return the Jinja2 environment that reads the templates of the edition."""
    folders = [str(folder) for folder in _folders(edition)]
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=False,
        keep_trailing_newline=False,
    )
    made.filters |= {"fence": fence, "line": line, "as_json": _as_json}
    made.globals["guidance"] = lambda domain, block: _guidance(edition, domain, block)
    return made


@cache
def compiled(step: str, edition: str | None) -> jinja2.Template:
    """Return the prompt of a step as a compiled template. Raises jinja2.TemplateError if it cannot be compiled."""
    return environment(edition).get_template(f"{step}.jinja")


@cache
def _guidance(edition: str | None, domain: str, block: str) -> str:
    """Return the guidance of `domains/`; "" for a domain that is not in DOMAINS, because a seed's own domain must not become a
    path."""
    if domain not in DOMAINS:
        return ""
    template = environment(edition).get_template(f"domains/{_file_of(domain)}")
    return "".join(template.blocks[block](template.new_context({}))).strip() if block in template.blocks else ""


def _file_of(domain: str) -> str:
    return f"{domain.replace(' ', '-')}.jinja"


def style(step: str, edition: str | None = None) -> Style:
    """Return how replies to the prompt of `step` are read: "classic", "text" or "json"."""
    template = compiled(step, edition)
    if "reply" not in template.blocks:
        return "classic"
    return cast(Style, "".join(template.blocks["reply"](template.new_context({}))).strip())


@cache
def has_examples(step: str, edition: str | None = None) -> bool:
    """Return whether the prompt of `step` shows demonstrations as turns."""
    return "example_assistant" in compiled(step, edition).blocks


@cache
def demonstrates(edition: str | None = None) -> bool:
    """Return whether the generator's prompts show demonstrations as turns."""
    return has_examples("keywords", edition) or has_examples("instruction", edition)


def render(step: str, edition: str | None = None, **values: Any) -> tuple[dict[str, str], ...]:
    """Return the chat messages that are sent for `step`. `edition`: the name of a set of prompts. `values`: the
    template's variables. If the prompt has blocks for demonstrations, each record of the variable `demonstrations`
    becomes two messages. Raises jinja2.UndefinedError if a value that the prompt needs is missing."""
    template = compiled(step, edition)
    context = template.new_context(values)
    messages: list[dict[str, str]] = []
    _add(messages, template, "system", "system", context)
    if "example_assistant" in template.blocks:
        for example in values.get("demonstrations", ()):
            own = template.new_context({**values, "example": example})
            _add(messages, template, "user", "example_user", own)
            _add(messages, template, "assistant", "example_assistant", own)
    _add(messages, template, "user", "user", context)
    return tuple(messages)


def _add(messages: list[dict[str, str]], template: jinja2.Template, role: str, block: str, context: Any) -> None:
    if block in template.blocks and (text := "".join(template.blocks[block](context)).strip()):
        messages.append({"role": role, "content": well_formed(text)})


def read_again() -> None:
    """Clear the caches of prompt files. So the files of the user's own folder are read again after a change."""
    for read in (_folders, environment, compiled, _guidance, has_examples, demonstrates, built_in):
        read.cache_clear()


@cache
def built_in(edition: str | None = None) -> tuple[Record, ...]:
    """Return the demonstrations in the edition's `examples.json`. Raises jinja2.TemplateError if the file is
    unusable."""
    path = source_path("examples.json", edition)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return tuple(
            Record(f"example-{i}", **{**given, "keywords": tuple(given["keywords"])}) for i, given in enumerate(found)
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise jinja2.TemplateError(f"{path}: {error}") from error


def source_path(name: str, edition: str | None = None) -> Path:
    """Return the path of a file of an edition (a set of prompts). `name`: the file's name, or the name of a step. If it
    is a step, the path of its prompt is returned. If the user's own folder of prompts has the file, the path leads to
    that folder."""
    file = name if "." in name else f"{name}.jinja"
    places = [folder / file for folder in (*_folders(edition), _HERE / "turns")]
    return next((place for place in places if place.is_file()), places[0])


def sources(edition: str | None = None, more: Sequence[str] = ()) -> dict[str, Path]:
    """Return the paths of all files that determine the messages, as {name: path}. They are the prompts of all steps of
    a synthesis, the prompts of the steps in `more`, and the files that several prompts share. `more`: steps that are
    not part of a synthesis."""
    classic = _HERE / "classic" in _folders(edition)
    shared = [] if classic else ["_rubric.jinja", "examples.json", *(f"domains/{_file_of(d)}" for d in DOMAINS)]
    return {name: source_path(name, edition) for name in (*STEPS, *more, *shared)}


def digest(edition: str | None = None, more: Sequence[str] = ()) -> str:
    """Return the sha256 (hex) of the prompts in use, for the data card. `more`: steps that are not part of a synthesis,
    but whose prompts are included in the hash."""
    whole = hashlib.sha256()
    for name, path in sources(edition, more).items():
        whole.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()
