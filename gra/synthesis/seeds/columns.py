"""PURE: finds the columns that hold instruction, response and chat: by the user's column map, or else by their usual
names, in upper or lower case.

Usual names are those of an instruction column (question, prompt, query) together with a response column (answer,
completion, output), or of a single chat column (messages, conversations, dialog). If the names are ambiguous, an error
is raised; its message contains the override to type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from pydantic import Field

from gra.settings import Settings
from gra.synthesis.committee.records import DOMAINS
from gra.synthesis.seeds.column_names import (
    ASIDE,
    CHATS,
    INPUTS,
    INSTRUCTIONS,
    MEDIA,
    OTHER_INSTRUCTIONS,
    OTHER_PAIRS,
    OTHER_RESPONSES,
    RESPONSES,
    SYSTEMS,
    ambiguous,
    fold,
    named,
)
from gra.synthesis.seeds.templates import holds_chat
from gra.synthesis.seeds.text import (
    BadRecord,
    ColumnFault,
    Dropped,
    Fields,
    check_text,
    columns_of,
    input_text,
    join,
    mapping,
    missing_column,
    present,
    text,
)
from gra.synthesis.seeds.turns import chat, is_chat, is_turn

Read = Callable[[Any], list[Fields]]
_CHOICES = (("choices",), ("options",), ("A", "B", "C"), ("option_a", "option_b"), ("opa", "opb"))
_LONGEST_KEYWORD = 80  # maximum characters of a keyword


class Columns(Settings):
    """Which column holds which part of a seed. If all are null, the columns are recognised by their usual names."""

    instruction: str | None = Field(None, description="Column of the instruction; null: none.")
    input: str | None = Field(
        None, description="Column of the instruction's input, which is appended to it after an empty line; null: none."
    )
    response: str | None = Field(None, description="Column of the response; null: the seeds have no answers.")
    domain: str | None = Field(
        None,
        description="Column of the domain. Its values are the seven domains of docs/data.md. Where it is empty, a model "
        "chooses; null: a model chooses for all.",
    )
    id: str | None = Field(None, description="Column of the id; null: ids are derived from the content.")
    keywords: str | None = Field(
        None,
        description="Column of three keywords, as a list or comma-separated text. Where it is empty, a model writes them; null: "
        "for all.",
    )
    summary: str | None = Field(
        None,
        description="Column of a one-line summary; null: a model writes it. A seed with domain, keywords and summary is not "
        "annotated.",
    )
    messages: str | None = Field(
        None,
        description="Column of a chat, in place of instruction and response; its first question and answer are used; null: none.",
    )

    @property
    def given(self) -> bool:
        return any(value is not None for value in self.model_dump().values())

    def __str__(self) -> str:
        return ", ".join(f"{name}=`{column}`" for name, column in self.model_dump().items() if column is not None)


@dataclass(frozen=True)
class Shape:
    """How to read records that have the same columns.

    `read`: a function that turns a record into seeds. `label`: a description of the columns for the log and the data
    card. `answers`: whether the records have a response column.
    """

    read: Read
    label: str
    answers: bool = True
    columns: Columns | None = None


def mapped(columns: Columns) -> Read:
    """Return a function that turns a record into seeds. The column map `columns` says which column holds which part of
    a seed. The function raises BadRecord if the record cannot be used."""

    def read(record: Any) -> list[Fields]:
        domain = text(record, columns.domain, required=False).lower() if columns.domain else ""
        if domain and domain not in DOMAINS:
            raise BadRecord(f"`{columns.domain}` is {domain[:60]!r}, none of: {', '.join(DOMAINS)}")
        identity = _identity(record, columns.id) if columns.id else None
        if columns.input and columns.input not in mapping(record) and not columns.messages:
            raise ColumnFault(f"no column `{columns.input}` ({columns_of(record)})")
        keywords = _keywords(record, columns.keywords) if columns.keywords else ()
        summary = " ".join(text(record, columns.summary, required=False).split()) if columns.summary else ""
        found = _read(record, columns)
        return [replace(f, domain=domain or None, id=identity, keywords=keywords, summary=summary) for f in found]

    return read


def recognise(record: Any) -> Shape | None:
    """Return how to read records with the same columns as `record`. Return None if the names of the columns are not
    known.

    Raises ColumnFault if several columns may hold the same part of a seed. The error's message proposes a Hydra
    override with which the user chooses one of them.
    """
    if not isinstance(record, dict) or not record:
        return None
    chats = named(record, CHATS, is_chat)
    if len(chats) > 1:
        raise ambiguous(record, "the chat", chats, [])
    if chats:
        return shape_for(Columns(messages=chats[0]))
    instructions, answers = named(record, INSTRUCTIONS), named(record, RESPONSES)
    instructions = instructions or named(record, OTHER_INSTRUCTIONS)
    answers = answers or (named(record, OTHER_RESPONSES) if instructions else [])
    given = named(record, INPUTS)
    if not instructions and answers:
        instructions, given = named(record, ("input",)), named(record, ("context",))
    if not instructions and not answers:
        pairs = [(named(record, (one,)), named(record, (other,))) for one, other in OTHER_PAIRS]
        instructions, answers = next((pair for pair in pairs if all(pair)), ([], []))
        given = []
    if len(instructions) > 1 or len(answers) > 1:
        raise ambiguous(record, "the instruction" if len(instructions) > 1 else "the response", instructions, answers)
    if instructions and len(given) > 1:
        raise ambiguous(record, "the input", given, answers, instructions)
    with_turns = [
        name for name, value in record.items() if isinstance(value, list) and value and all(map(is_turn, value))
    ]
    with_turns = with_turns or [name for name, value in record.items() if isinstance(value, str) and holds_chat(value)]
    if not (instructions and answers) and len(with_turns) == 1:  # a chat in a column of any name
        return shape_for(Columns(messages=str(with_turns[0])))
    if not instructions:
        return None
    extra = given[0] if given else None
    if answers and instructions:
        return shape_for(Columns(instruction=instructions[0], input=extra, response=answers[0]))
    if all(fold(name) in ASIDE for name in record if name != instructions[0]):
        return replace(shape_for(Columns(instruction=instructions[0], input=extra)), answers=False)
    return None


def shape_for(columns: Columns) -> Shape:
    """Return how to read records by the column map `columns`, which was derived from the names of the columns. The
    value of a column `domain` is used only if it is one of the project's seven domains."""

    def read(record: Any) -> list[Fields]:
        _refuse_unwanted(mapping(record), columns)
        found = _read(record, columns)
        domain = next((record[name] for name in _special(tuple(record))[2]), None)
        known = domain.strip().lower() if isinstance(domain, str) else None
        return [replace(fields, domain=known) for fields in found] if known in DOMAINS else found

    return Shape(read, f"{columns} (found by name)", columns=columns)


def _refuse_unwanted(record: Mapping[str, Any], columns: Columns) -> None:
    """Raise BadRecord for an answer that is labelled as bad (KTO), and for a multiple-choice question that does not contain its
    choices."""
    if record.get("label") is False and {"prompt", "completion"} <= record.keys():
        raise BadRecord("its `label` marks the answer as bad")
    question = record.get(columns.instruction) if columns.instruction else None
    if not isinstance(question, str):
        return
    names = next((names for names in _CHOICES if all(present(record.get(name)) for name in names)), None)
    if names is not None and not all(text in question for text in _choice_texts(record, names)):
        raise BadRecord(f"its question needs the choices in column `{names[0]}`, which it does not contain")


def _choice_texts(record: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    values = [record[name] for name in names]
    if len(names) == 1:
        (value,) = values
        value = value.get("text") if isinstance(value, dict) and "text" in value else value
        values = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return [re.sub(r"^\(?[A-Ha-h1-8][.):]\s*", "", value.strip()) for value in values if isinstance(value, str)]


@lru_cache(1000)
def _special(columns: tuple[str, ...]) -> tuple[list[str], list[str], list[str]]:
    """Return the columns of media (image, video, audio), of system prompts, and of domains."""
    return tuple([name for name in columns if fold(name) in names] for names in (MEDIA, SYSTEMS, ("domain",)))  # type: ignore[return-value]


def _read(record: Any, columns: Columns) -> list[Fields]:
    """Return the record's instruction and response by the column map; `dropped` notes what is left out of the record."""
    media, systems, _ = _special(tuple(mapping(record)))
    if (seen := next((name for name in media if present(record[name])), None)) is not None:
        raise BadRecord(f"its instruction needs input other than text (column `{str(seen)[:40]}`)")
    system = any(isinstance(record[name], str) and present(record[name]) for name in systems)
    pair = columns.instruction, columns.response
    if columns.messages:
        fields = chat(record, columns.messages)[0]
    elif any(_holds_turns(record, name) for name in pair) and all(name and present(record.get(name)) for name in pair):
        sides = zip(("user", "assistant"), (record[name] for name in pair if name is not None), strict=True)
        turns = [side if isinstance(side, list) else [{"role": role, "content": side}] for role, side in sides]
        # TRL's form: prompt, completion or both are lists of turns.
        whole = {"prompt and completion": turns[0] + turns[1]}
        fields = chat(whole, "prompt and completion")[0]
    else:
        answer = text(record, columns.response) if columns.response else ""
        instruction = text(record, columns.instruction or "instruction")
        fields = Fields(join(instruction, input_text(record, columns.input)), answer)
    history = record.get("history")  # LLaMA-Factory's earlier question-answer pairs
    left = Dropped(
        fields.dropped.system or system, fields.dropped.turns + (2 * len(history) if isinstance(history, list) else 0)
    )
    return [fields if left == fields.dropped else replace(fields, dropped=left)]


def _holds_turns(record: Mapping[str, Any], name: str | None) -> bool:
    value = record.get(name) if name is not None else None
    return isinstance(value, list) and bool(value) and all(map(is_turn, value))


def _identity(record: Any, column: str) -> str:
    value = mapping(record).get(column)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip() or len(str(value)) > 200:
        raise BadRecord(f"`{column}` is not a usable id (a text or whole number of at most 200 characters)")
    check_text(str(value), column)
    return str(value).strip()


def _keywords(record: Any, column: str) -> tuple[str, ...]:
    """Return the record's three keywords, from a list or from one comma-separated text; () if the column is empty."""
    if column not in mapping(record):
        raise missing_column(record, column)
    value = record[column]
    if not present(value):
        return ()
    words = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    found = [" ".join(word.split()) for word in words if isinstance(word, str)]
    distinct = {word.casefold() for word in found if 0 < len(word) <= _LONGEST_KEYWORD}
    if not len(words) == len(found) == len(distinct) == 3:
        raise BadRecord(f"`{column}` is not three different keywords (a list, or one text with commas)")
    for word in found:
        check_text(word, column)
    return tuple(found)
