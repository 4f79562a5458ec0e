"""The known shapes of seed records, one function each: raw record -> instruction, response and what else it tells.

An instruction and its input are joined by an empty line. A record that has a place for an answer and leaves it empty is a
bad record (28 in Stanford's Alpaca); shapes without answers (WizardLM's test set, Condor's tag tree) give seeds with an
empty response: the generator works from keywords and summary, which an instruction alone can carry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gra.settings import Settings
from gra.synthesis.records import DOMAINS

MAX_CHARS = 100_000  # of one instruction or response
Shape = Literal["alpaca", "wizardlm", "condor", "self_instruct"]
# A tag of Condor's World Knowledge Tree as an instruction (wording of this project; the tree holds only names).
TAG_INSTRUCTION = (
    "Explain {tag} to someone who is new to it, as a part of {topic} in the field {field}, and give one concrete example."
)
_USER, _ASSISTANT = {"user", "human"}, {"assistant", "gpt", "model", "bot"}


class Columns(Settings):
    """Which column holds what, for jsonl, json, parquet and hub data. null: there is none (or, if all are, see `shape_of`)."""

    instruction: str | None = None
    input: str | None = None
    response: str | None = None
    domain: str | None = None
    id: str | None = None
    messages: str | None = None  # a chat: list of {role, content} or {from, value}

    @property
    def given(self) -> bool:
        return any(value is not None for value in self.model_dump().values())


class BadRecord(ValueError):
    """Why a record is not a seed; caught where its place is known."""


@dataclass(frozen=True)
class Fields:
    """A seed's content. `part` tells apart several seeds of one record."""

    instruction: str
    response: str
    domain: str | None = None
    id: str | None = None
    part: str = ""


def alpaca(record: Any) -> list[Fields]:
    """{instruction, input, output}; `domain` too, where it is one of the seven. "Noinput" stands for no input, as upstream."""
    given = text(record, "input", required=False) if "input" in _mapping(record) else ""
    given = "" if given.strip("<> ").lower() == "noinput" else given
    domain = record.get("domain")
    instruction = _join(text(record, "instruction"), given)
    return [Fields(instruction, text(record, "output"), domain if domain in DOMAINS else None)]


def wizardlm(record: Any) -> list[Fields]:
    """Evol-Instruct: {conversations} (V2) or {instruction, output} (70k); the test set {idx, Skill, Difficulty, Instruction}."""
    if "conversations" in _mapping(record):
        return chat(record, "conversations")
    if "Instruction" in record:
        return [Fields(text(record, "Instruction"), "")]
    return alpaca(record)


def condor(record: Any) -> list[Fields]:
    """Condor-SFT-20K chats, or the World Knowledge Tree {field: {topic: [tag]}}: one seed per tag."""
    if not is_tree(record):
        return chat(record, "conversations" if isinstance(record, dict) and "conversations" in record else "messages")
    names = [name for field, topics in record.items() for topic, tags in topics.items() for name in (field, topic, *tags)]
    if not all(name.strip() for name in names):
        raise BadRecord("the tree holds an empty name")
    found = [
        Fields(
            TAG_INSTRUCTION.format(tag=tag.strip(), topic=topic.strip(), field=name.strip()), "", part=f"{name} / {topic} / {tag}"
        )
        for name, topics in record.items()
        for topic, tags in topics.items()
        for tag in tags
    ]
    for fields in found:
        _check(fields.instruction, "tag")
    return found


def self_instruct(record: Any) -> list[Fields]:
    """{instruction, instances: [{input, output}]}: the first instance; the others ask the same."""
    instances = _mapping(record).get("instances")
    if not isinstance(instances, list) or not instances:
        raise BadRecord("`instances` is not a list with at least one entry")
    try:
        given, answer = text(instances[0], "input", required=False), text(instances[0], "output")
    except BadRecord as error:
        raise BadRecord(f"instance 1: {error}") from error
    return [Fields(_join(text(record, "instruction"), given), answer)]


def chat(record: Any, column: str) -> list[Fields]:
    """The first user turn and the assistant turn that answers it. System turns and later turns are left out."""
    turns = record if isinstance(record, list) else _mapping(record).get(column, _missing(record, column))
    if isinstance(turns, BadRecord):
        raise turns
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise BadRecord(f"`{column}` is not a list of turns")
    question: str | None = None
    for turn in turns:
        role = str(turn.get("role", turn.get("from"))).lower()
        content = "content" if "content" in turn else "value"
        if question is None and role in _USER:
            question = text(turn, content)
        elif question is not None and role in _ASSISTANT:
            return [Fields(question, text(turn, content))]
    raise BadRecord(f"`{column}` holds no user turn with an answer after it")


def mapped(columns: Columns) -> Callable[[Any], list[Fields]]:
    """A reader for records with a column map."""

    def read(record: Any) -> list[Fields]:
        domain = text(record, columns.domain, required=False).lower() if columns.domain else ""
        if domain and domain not in DOMAINS:
            raise BadRecord(f"`{columns.domain}` is {domain[:60]!r}, none of: {', '.join(DOMAINS)}")
        identity: str | None = None
        if columns.id:
            value = _mapping(record).get(columns.id)
            if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip() or len(str(value)) > 200:
                raise BadRecord(f"`{columns.id}` is no usable id")
            identity = str(value).strip()
            _check(identity, columns.id)
        if columns.messages:
            base = chat(record, columns.messages)[0]
        else:
            given = text(record, columns.input, required=False) if columns.input else ""
            answer = text(record, columns.response) if columns.response else ""
            base = Fields(_join(text(record, columns.instruction or "instruction"), given), answer)
        return [Fields(base.instruction, base.response, domain or None, identity)]

    return read


READERS: dict[Shape, Callable[[Any], list[Fields]]] = {
    "alpaca": alpaca, "wizardlm": wizardlm, "condor": condor, "self_instruct": self_instruct,
}  # fmt: skip


def shape_of(record: Any) -> Callable[[Any], list[Fields]] | None:
    """The reader for records like this one, from its keys; None where they do not tell."""
    if is_tree(record) or isinstance(record, list):
        return condor
    if not isinstance(record, dict):
        return None
    keys = set(record)
    if {"instruction", "instances"} <= keys:
        return self_instruct
    if {"instruction", "output"} <= keys:
        return alpaca
    if {"Instruction", "Skill"} <= keys:
        return wizardlm
    if {"instruction", "response"} <= keys:
        return mapped(Columns(instruction="instruction", response="response", input="input" if "input" in keys else None))
    for column in ("messages", "conversations"):
        if isinstance(record.get(column), list):
            return mapped(Columns(messages=column))
    return None


def is_tree(record: Any) -> bool:
    """Whether this is {name: {name: [name, ...]}}."""
    return (
        isinstance(record, dict)
        and bool(record)
        and all(isinstance(topics, dict) and topics for topics in record.values())
        and all(isinstance(tags, list) and all(isinstance(t, str) for t in tags) for d in record.values() for tags in d.values())
    )


def text(record: Any, column: str, required: bool = True) -> str:
    """The stripped text in `column`; "" where it is null or blank and not `required`. Raises BadRecord."""
    value = _mapping(record).get(column)
    if value is None:
        if column not in record:
            raise _missing(record, column)
        value = ""
    if not isinstance(value, str):
        raise BadRecord(f"`{column}` is {_kind(value)}, not a text")
    value = value.strip()
    if required and not value:
        raise BadRecord(f"`{column}` is empty")
    _check(value, column)
    return value


def columns_of(record: Any) -> str:
    """What a message says of the columns there are."""
    if not isinstance(record, dict):
        return f"the record is {_kind(record)}"
    names = ", ".join(repr(str(key))[1:-1][:40] for key in list(record)[:20])
    return f"columns here: {names or 'none'}{', ...' if len(record) > 20 else ''}"


def _check(value: str, column: str) -> None:
    if len(value) > MAX_CHARS:
        raise BadRecord(f"`{column}` is {len(value):,} characters long (at most {MAX_CHARS:,})")
    if "\0" in value:
        raise BadRecord(f"`{column}` holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadRecord(f"`{column}` holds half of a surrogate pair (character {error.start + 1})") from error


def _mapping(record: Any) -> Mapping[str, Any]:
    if not isinstance(record, dict):
        raise BadRecord(f"the record is {_kind(record)}, not an object")
    return record


def _missing(record: Any, column: str) -> BadRecord:
    return BadRecord(f"no column `{column}` ({columns_of(record)})")


def _kind(value: Any) -> str:
    names = {"dict": "an object", "list": "a list", "str": "a text", "NoneType": "null", "bool": "true/false"}
    return names.get(type(value).__name__, "a number" if isinstance(value, int | float) else type(value).__name__)


def _join(instruction: str, given: str) -> str:
    return f"{instruction}\n\n{given}" if given else instruction
