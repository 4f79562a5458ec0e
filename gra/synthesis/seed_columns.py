"""Which column holds what: the user's column map, or the usual names in any case. Pure.

Usual names pair an instruction (question, prompt, query, ...) with a response (answer, completion, output, ...), or name a chat
(messages, conversations, dialog, ...). Where the names leave a choice nothing is guessed: the message says what to type.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from gra.settings import Settings
from gra.synthesis.records import DOMAINS
from gra.synthesis.seed_templates import holds_chat
from gra.synthesis.seed_text import (
    BadRecord,
    ColumnFault,
    Dropped,
    Fields,
    check_text,
    columns_of,
    input_text,
    join,
    mapping,
    present,
    text,
)
from gra.synthesis.seed_turns import chat, is_chat, is_turn

Read = Callable[[Any], list[Fields]]
CHATS = ("messages", "conversations", "conversation", "dialog", "dialogue", "chat", "turns", "data", "contents")
_INSTRUCTIONS = ("instruction", "question", "prompt", "query", "problem", "user", "human")
_RESPONSES = ("output", "response", "answer", "completion", "reply", "solution", "generated_solution", "assistant", "gpt",
              "chatgpt")  # fmt: skip
_OTHER_PAIRS = (("input", "target"), ("source", "target"))
_INPUTS = ("input", "context")
_SYSTEMS = ("system", "system_prompt", "system_message")
_CHOICES = (("choices",), ("options",), ("A", "B", "C"), ("option_a", "option_b"), ("opa", "opb"))
_MEDIA = ("image", "images", "video", "videos", "audio", "audios")
# Columns that may stand beside an instruction without being its answer.
_ASIDE = (
    "id", "idx", "index", "uid", "uuid", "", "domain", "category", "topic", "subject", "source", "type", "task", "skill", "level",
    "difficulty", "language", "lang", "split", "url", "date", "license", *_SYSTEMS, *_INPUTS,
)  # fmt: skip


_ASIDE_OF_TEXT = tuple(name for name in _ASIDE if name not in (*_INPUTS, "task", "topic", "source"))


class Columns(Settings):
    """Which column holds what. null: there is none (or, if all are, the names must tell: see `recognise`)."""

    instruction: str | None = None
    input: str | None = None
    response: str | None = None
    domain: str | None = None
    id: str | None = None
    messages: str | None = None  # a chat: see gra/synthesis/seed_turns.py

    @property
    def given(self) -> bool:
        return any(value is not None for value in self.model_dump().values())

    def __str__(self) -> str:
        return ", ".join(f"{name}=`{column}`" for name, column in self.model_dump().items() if column is not None)


@dataclass(frozen=True)
class Shape:
    """How to read records of one kind: `label` for log and card; `answers`: whether they have a place for a response."""

    read: Read
    label: str
    answers: bool = True
    columns: Columns | None = None


def mapped(columns: Columns) -> Read:
    """A reader for records with a column map."""

    def read(record: Any) -> list[Fields]:
        domain = text(record, columns.domain, required=False).lower() if columns.domain else ""
        if domain and domain not in DOMAINS:
            raise BadRecord(f"`{columns.domain}` is {domain[:60]!r}, none of: {', '.join(DOMAINS)}")
        identity = _identity(record, columns.id) if columns.id else None
        if columns.input and columns.input not in mapping(record) and not columns.messages:
            raise ColumnFault(f"no column `{columns.input}` ({columns_of(record)})")
        return [replace(fields, domain=domain or None, id=identity) for fields in _read(record, columns)]

    return read


def recognise(record: Any) -> Shape | None:
    """How to read records with these columns; None where their names do not tell.

    Raises ColumnFault where several columns could be meant, with the override to type.
    """
    if not isinstance(record, dict) or not record:
        return None
    chats = _named(record, CHATS, is_chat)
    if len(chats) > 1:
        raise _ambiguous(record, "the chat", chats, [])
    if chats:
        return shape_for(Columns(messages=chats[0]))
    asked, answers = _named(record, _INSTRUCTIONS), _named(record, _RESPONSES)
    given = _named(record, _INPUTS)
    if not asked and answers:
        asked, given = _named(record, ("input",)), _named(record, ("context",))
    if not asked and not answers:
        pairs = [(_named(record, (one,)), _named(record, (other,))) for one, other in _OTHER_PAIRS]
        asked, answers = next((pair for pair in pairs if all(pair)), ([], []))
        given = []
    if len(asked) > 1 or len(answers) > 1:
        raise _ambiguous(record, "the instruction" if len(asked) > 1 else "the response", asked, answers)
    if asked and len(given) > 1:
        raise _ambiguous(record, "the input", given, answers, asked)
    told_by_turns = [name for name, value in record.items() if isinstance(value, list) and value and all(map(is_turn, value))]
    told_by_turns = told_by_turns or [name for name, value in record.items() if isinstance(value, str) and holds_chat(value)]
    if not (asked and answers) and len(told_by_turns) == 1:  # whatever the column is called
        return shape_for(Columns(messages=str(told_by_turns[0])))
    if not asked:
        return None
    extra = given[0] if given else None
    if answers and asked:
        return shape_for(Columns(instruction=asked[0], input=extra, response=answers[0]))
    if all(fold(name) in _ASIDE for name in record if name != asked[0]):
        return replace(shape_for(Columns(instruction=asked[0], input=extra)), answers=False)
    return None


@lru_cache(10_000)
def fold(name: object) -> str:
    """A column's name without case, separators, a plural or the word "text"."""
    folded = re.sub(r"[\s_\-.]+", "_", str(name).strip().lower()).removesuffix("_text")
    return folded if folded in CHATS or folded in _MEDIA else folded.removesuffix("s")


def suggest(record: Any, key: str = "seeds.columns") -> str:
    """The override to type for records of which nothing is known but their columns: the first two that hold texts."""
    if not isinstance(record, dict):
        return ""
    chats = [name for name, value in record.items() if value and is_chat(value)]
    chats = [name for name in chats if not isinstance(record[name], str) or holds_chat(record[name])]
    chats = [name for name in chats if fold(name) in CHATS or not isinstance(record[name], list) or is_turn(record[name][0])]
    if chats:
        return override("messages", chats[0], key)
    texts = [str(name) for name, value in record.items() if isinstance(value, str) and _may_be_asked(fold(name))]
    texts = [name for name in texts if name.isprintable()]
    return " ".join(override(*pair, key) for pair in zip(("instruction", "response"), texts[:2], strict=False))


def _may_be_asked(name: str) -> bool:
    """Whether a column of this name may hold a question or an answer: no id, no note, nothing that was rejected."""
    return name not in (*_ASIDE_OF_TEXT, "rejected", "role", "model") and re.search(r"(^|_)(id|hash|uuid|name)$", name) is None


def override(name: str, column: str, key: str = "seeds.columns") -> str:
    """`seeds.columns.NAME=COLUMN` as it can be typed into a shell, whatever the column is called."""
    if re.fullmatch(r"[A-Za-z_][\w.\-]*", column, re.ASCII) and column.lower() not in ("null", "true", "false", "nan", "inf"):
        return f"{key}.{name}={column}"
    quoted = re.sub(r'(\\+)(?="|\Z)', r"\1\1", column).replace('"', '\\"')  # Hydra takes a backslash literally but before a quote
    return shlex.quote(f'{key}.{name}="{quoted}"')


def shape_for(columns: Columns) -> Shape:
    """The shape of records whose columns were told from their names; a `domain` counts where it is one of the seven."""

    def read(record: Any) -> list[Fields]:
        _refuse_unwanted(mapping(record), columns)
        found = _read(record, columns)
        domain = next((record[name] for name in _special(tuple(record))[2]), None)
        known = domain.strip().lower() if isinstance(domain, str) else None
        return [replace(fields, domain=known) for fields in found] if known in DOMAINS else found

    return Shape(read, f"{columns} (told from the names)", columns=columns)


def _refuse_unwanted(record: Mapping[str, Any], columns: Columns) -> None:
    """Raise BadRecord for an answer that its record calls bad (KTO's label), and for a question without its choices."""
    if record.get("label") is False and {"prompt", "completion"} <= record.keys():
        raise BadRecord("its `label` says that the answer is a bad one")
    asked = record.get(columns.instruction) if columns.instruction else None
    if not isinstance(asked, str):
        return
    names = next((names for names in _CHOICES if all(present(record.get(name)) for name in names)), None)
    if names is not None and not all(text in asked for text in _choice_texts(record, names)):
        raise BadRecord(f"its question rests on choices that are not part of it (column `{names[0]}`)")


def _choice_texts(record: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    values = [record[name] for name in names]
    if len(names) == 1:
        (value,) = values
        value = value.get("text") if isinstance(value, dict) and "text" in value else value
        values = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return [re.sub(r"^\(?[A-Ha-h1-8][.):]\s*", "", value.strip()) for value in values if isinstance(value, str)]


@lru_cache(1000)
def _special(columns: tuple[str, ...]) -> tuple[list[str], list[str], list[str]]:
    """The columns of images and the like, of system prompts, of domains."""
    return tuple([name for name in columns if fold(name) in names] for names in (_MEDIA, _SYSTEMS, ("domain",)))  # type: ignore[return-value]


def _read(record: Any, columns: Columns) -> list[Fields]:
    """Instruction and response by the map, and what of the record is left out."""
    media, systems, _ = _special(tuple(mapping(record)))
    if (seen := next((name for name in media if present(record[name])), None)) is not None:
        raise BadRecord(f"its instruction rests on more than text (column `{str(seen)[:40]}`)")
    system = any(isinstance(record[name], str) and present(record[name]) for name in systems)
    pair = columns.instruction, columns.response
    if columns.messages:
        fields = chat(record, columns.messages)[0]
    elif all(name is not None and isinstance(record.get(name), list) and is_chat(record[name]) for name in pair):
        whole = {"prompt and completion": record[pair[0]] + record[pair[1]]}  # as TRL has them: each a list of turns
        fields = chat(whole, "prompt and completion")[0]
    else:
        answer = text(record, columns.response) if columns.response else ""
        instruction = text(record, columns.instruction or "instruction")
        fields = Fields(join(instruction, input_text(record, columns.input)), answer)
    history = record.get("history")  # LLaMA-Factory's earlier question-answer pairs
    left = Dropped(fields.dropped.system or system, fields.dropped.turns + (2 * len(history) if isinstance(history, list) else 0))
    return [fields if left == fields.dropped else replace(fields, dropped=left)]


def _identity(record: Any, column: str) -> str:
    value = mapping(record).get(column)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip() or len(str(value)) > 200:
        raise BadRecord(f"`{column}` is no usable id")
    check_text(str(value), column)
    return str(value).strip()


def _named(record: Mapping[str, Any], names: tuple[str, ...], holds: Callable[[Any], bool] | None = None) -> list[str]:
    """The columns of these names, of values that `holds` takes. Where there are several and some are empty in this record, as
    where data sets of different columns were joined: only those that are not."""
    found = [name for name in record if isinstance(name, str) and fold(name) in names]
    if holds is not None:
        return [name for name in found if present(record[name]) and holds(record[name])]
    return ([name for name in found if present(record[name])] if len(found) > 1 else found) or found


def _ambiguous(
    record: Mapping[str, Any], what: str, one: list[str], answers: list[str], asked: list[str] | None = None
) -> ColumnFault:
    """`one`: the candidates for `what`, or for the instruction where `what` is the response; `asked`: the known instruction."""
    many = answers if what == "the response" else one
    if what == "the chat":
        choice = override("messages", many[0])
    elif what == "the input":
        known = [("instruction", (asked or many)[0]), ("input", many[0]), *(("response", name) for name in answers)]
        choice = " ".join(override(*pair) for pair in known)
    else:
        choice = " ".join(override(*pair) for pair in (("instruction", one[0]), *(("response", name) for name in answers[:1])))
    return ColumnFault(
        f"several columns may hold {what} ({', '.join(f'`{name[:40]}`' for name in many[:6])}; {columns_of(record)}): "
        f"choose, e.g. {choice}"
    )
