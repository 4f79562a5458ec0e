"""PURE: turns a reply in plain text (a line of keywords, a task, a one-line summary) into the form of its step, or
reports the fault.

Weak models write more than they were asked for: labels ("Task: ..."), quotes, numbers, the answer after the task, the
next turn of the conversation. Text around the wanted part is removed, and a note says so. If there are several tasks,
the first is used. If the reply is JSON, it is parsed as the JSON form of its step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from gra.synthesis.prompts.schemas import Annotation, Instruction, Keywords
from gra.synthesis.replies.parsing import Read, form_in
from gra.wellformed import well_formed

_OPENS = re.compile(
    r"(?:(?:sure|certainly|of course|okay|ok|absolutely)(?: thing)?(?:,? (?:i can|i will|i'll|let me)\b[^:.!\n]{0,60})?[!.:,]\s*)?"
    r"(?:here(?:'s|’s| is| are)\b[^:\n]{0,60}\b(?:tasks?|instructions?|prompts?|keywords?|topics?|summary|questions?|one)\b"
    r"[^:\n]{0,60}:\s*)?",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"[\s>*_#\"'`-]*(?:(?:the |a |an |new |your |my |one |three |possible )*"
    r"(?:task|instruction|prompt|keyword|topic|summary|title|question)s?(?: \d+)?)[*_ ]*:[*_ ]*(?=\S|\n)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\s*(?:\(?\d{1,2}[.):]|[-*•])\s+")
# The beginning of a turn that the model invents after its reply: first words of the prompts' turns, or names of roles.
_NEXT = re.compile(
    r"\n[\s*_#]*(?:(?:user|assistant|human|system|you|ai) ?:|(?:next |another |new )?keywords? ?(?:\d+ ?)?:"
    r"|three keywords for an? |write an? [\w -]{0,30}task\. keywords|sum up this task"
    r"|(?:next|another|second) task\b|(?:task|example|instruction) [2-9]\b)",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"\n[\s*_#]*(?:(?:sample |example |expected |possible |the )*(?:answer|solution|response|reply)) ?(?:\d+ ?)?:[*_ ]*",
    re.IGNORECASE,
)
_FORMS: dict[str, type[BaseModel]] = {"keywords": Keywords, "instruction": Instruction, "annotate": Annotation}
_QUOTES = (('"', '"'), ("'", "'"), ("“", "”"), ("`", "`"), ("**", "**"))
_OPENING = tuple(opens for opens, _ in _QUOTES)
_SECOND = re.compile(r"\n\s*(?:2[.):]|\(2\))\s+")


def plain_form(step: str, text: str, values: Mapping[str, Any]) -> Read:
    """Turn the plain text `text` of a reply into the pydantic object that is expected for `step`. The result contains
    this object or, if the text does not fit, the reason why the reply is unusable. `values`: the values that were
    filled into the prompt."""
    if _is_form(text):
        found = form_in(text, _FORMS[step])
        return Read(found.form, found.fault, (*found.notes, "a form in place of plain text"))
    given: dict[str, Any] = {}
    if step == "keywords":
        given["keywords"], notes = keywords_in(text, tuple(values.get("topics", ())))
    elif step == "instruction":
        given["instruction"], notes = task_in(text)
    else:
        given["keywords"] = list(values["keywords"])
        given["summary"], notes = summary_in(text)
    try:
        return Read(_FORMS[step].model_validate(well_formed(given)), None, notes)
    except ValidationError as error:
        first = error.errors()[0]
        return Read(None, f"{'.'.join(map(str, first['loc']))}: {first['msg']}", notes)


def _is_form(text: str) -> bool:
    return (
        re.match(r"\s*(?:```\w*\s*|[^\n{]{0,80}:\s*)?\{\s*\"?(?:keywords|instruction|summary)\"?\s*:", text) is not None
    )


def keywords_in(text: str, topics: Sequence[str] = ()) -> tuple[list[str], tuple[str, ...]]:
    """Return the first three different keywords of a reply, and notes on what was changed. The reply is a
    comma-separated line or a list with a keyword on each line.

    If the reply repeats keywords and so has fewer than three different ones, topics named in the prompt (`topics`) are
    added. They are added only if at least one keyword of the reply is not one of these topics.
    """
    body, notes = _bare(text)
    lines = [line for line in body.splitlines() if line.strip()]
    listed = len(lines) >= 3 and all("," not in line for line in lines[:3])
    parts = lines[:3] if listed else re.split(r"[,;\n]", lines[0] if lines and re.search("[,;]", lines[0]) else body)
    words = [_unquoted(_NUMBER.sub("", part, count=1).strip()).strip(" .\t") for part in parts]
    words = [re.sub(r"^(?:and|or)\s+", "", word) for word in words if word]
    more = len(words) > 3 or (not listed and len(lines) > 1)
    notes = (*notes, "more than three keywords") if more else notes
    first: dict[str, str] = {}
    for word in words:
        first.setdefault(word.casefold(), word)
    different = list(first.values())
    if len(different) == len(words) or len(different) >= 3:
        return different[:3], notes
    known = {word.casefold() for word in topics}
    if all(word.casefold() in known for word in different):
        return words[:3], notes
    missing = [topic for topic in topics if topic.casefold() not in {word.casefold() for word in different}]
    return (different + missing)[:3], (*notes, "keywords twice")


def task_in(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the task in the reply, and notes on what was removed. An answer or other tasks after the task are
    removed."""
    body, notes = _bare(text)
    if (answer := _ANSWER.search(body)) is not None and body[answer.end() :].strip() and body[: answer.start()].strip():
        body, notes = body[: answer.start()], (*notes, "an answer cut off")
    if re.match(r"\s*(?:1[.):]|\(1\))\s+", body) and (second := _SECOND.search(body)) is not None:
        body, notes = body[: second.start()], (*notes, "more tasks cut off")
        body = _NUMBER.sub("", body, count=1)
    return _unquoted(body.strip()), notes


def summary_in(text: str) -> tuple[str, tuple[str, ...]]:
    """Return two values: the first line of the reply, and notes on what was removed."""
    body, notes = _bare(text)
    first, _, rest = body.strip().partition("\n")
    return _unquoted(first.strip()), (*notes, "more lines cut off") if rest.strip() else notes


def _bare(text: str) -> tuple[str, tuple[str, ...]]:
    """Return two values: the reply without opening words, a label and an invented next turn, and notes on what was
    removed."""
    notes: list[str] = []
    body = _unquoted(text.strip())
    if (opening := _OPENS.match(body)) is not None and opening.end() and body[opening.end() :].strip():
        body = body[opening.end() :]
        notes.append("opening words cut off")
    if (label := _LABEL.match(body)) is not None and body[label.end() :].strip():
        body = body[label.end() :]
        notes.append("a label cut off")
    if (turn := _NEXT.search(body)) is not None and body[: turn.start()].strip():
        body = body[: turn.start()]
        notes.append("an invented turn cut off")
    return body.strip(), tuple(notes)


def _unquoted(text: str) -> str:
    """Return the text without the quotes around it."""
    if not text.startswith(_OPENING):
        return text
    for opens, closes in _QUOTES:
        inner = text[len(opens) : -len(closes)] if len(text) > len(opens) + len(closes) else ""
        if text.startswith(opens) and text.endswith(closes) and inner and opens not in inner and closes not in inner:
            return inner.strip()
    return text
