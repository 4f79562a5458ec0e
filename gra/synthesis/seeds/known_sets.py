"""Reads the seed sets of the paper and of related work. Each format has one function, which turns a raw record into
`Fields`.

An instruction and its input are joined by an empty line. A record whose answer column is empty is a bad record
(Stanford's Alpaca has 28 of them). Formats without an answer column (WizardLM's test set, Condor's tag tree) give seeds
with an empty response. These are usable, because the generator works from keywords and summaries.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gra.synthesis.committee.records import DOMAINS
from gra.synthesis.seeds.columns import Columns, Read, Shape, recognise, shape_for
from gra.synthesis.seeds.text import BadRecord, Fields, check_text, input_text, join, mapping, present, text
from gra.synthesis.seeds.turns import chat, is_chat

# A tag of Condor's World Knowledge Tree as an instruction (wording of this project; the tree holds only names).
TAG_INSTRUCTION = (
    "Explain {tag} to someone who is new to it, as a part of {topic} in the field {field}, "
    "and give one concrete example."
)


def alpaca(record: Any) -> list[Fields]:
    """Read a record {instruction, input, output} of Alpaca. A `domain` in the record is used only if it is one of this
    project's seven domains. The input "Noinput" means that there is no input, as in the original set."""
    given = input_text(record, "input")
    domain = mapping(record).get("domain")
    instruction = join(text(record, "instruction"), given)
    return [Fields(instruction, text(record, "output"), domain if domain in DOMAINS else None)]


def wizardlm(record: Any) -> list[Fields]:
    """Read a record of Evol-Instruct (WizardLM). Its form is {conversations} in the V2 set, {instruction, output} in
    the 70k set, and {idx, Skill, Difficulty, Instruction} in the test set."""
    if "conversations" in mapping(record):
        return chat(record, "conversations")
    if "Instruction" in record:
        return [Fields(text(record, "Instruction"), "")]
    return alpaca(record)


def condor(record: Any) -> list[Fields]:
    """Read a chat of Condor-SFT-20K, or Condor's World Knowledge Tree. The tree has the form {field: {topic: [tag]}}
    and gives one seed per tag."""
    if not is_tree(record):
        return chat(record, "conversations" if isinstance(record, dict) and "conversations" in record else "messages")
    names = [
        name for field, topics in record.items() for topic, tags in topics.items() for name in (field, topic, *tags)
    ]
    if not all(name.strip() for name in names):
        raise BadRecord("Condor's tag tree has an entry with an empty name")
    found = [
        Fields(
            TAG_INSTRUCTION.format(tag=tag.strip(), topic=topic.strip(), field=name.strip()),
            "",
            part=f"{name} / {topic} / {tag}",
        )
        for name, topics in record.items()
        for topic, tags in topics.items()
        for tag in tags
    ]
    for fields in found:
        check_text(fields.instruction, "tag")
    return found


def self_instruct(record: Any) -> list[Fields]:
    """Read a record {instruction, instances: [{input, output}]} of Self-Instruct. Only the first instance is used,
    because all instances have the same instruction."""
    instances = _listed(mapping(record).get("instances"))
    if not isinstance(instances, list) or not instances:
        raise BadRecord("`instances` is not a list with at least one entry")
    try:
        first = {name: _only(value) for name, value in mapping(instances[0]).items()}
        given, answer = input_text(first, "input"), text(first, "output")
    except BadRecord as error:
        raise BadRecord(f"instance 1: {error}") from error
    return [Fields(join(text(record, "instruction"), given), answer)]


def _listed(value: Any) -> Any:
    """Return the instances in `value` as a list. In some files `value` is a single instance, the JSON text of all
    instances, or (parquet) a mapping of columns."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value
    if not isinstance(value, dict):
        return value
    if all(isinstance(entry, list) for entry in value.values()) and len({len(entry) for entry in value.values()}) == 1:
        return [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
    return [value]


def _only(value: Any) -> Any:
    """Return the entry of a list with one entry, else the value itself."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def is_tree(record: Any) -> bool:
    """Return whether `record` has the form {name: {name: [name]}} of a tag tree."""
    return (
        isinstance(record, dict)
        and bool(record)
        and all(isinstance(topics, dict) and topics and not is_chat(topics) for topics in record.values())
        and all(
            isinstance(tags, list) and all(isinstance(t, str) for t in tags)
            for d in record.values()
            for tags in d.values()
        )
    )


def _is_self_instruct(record: Any) -> bool:
    return isinstance(record, dict) and {"instruction", "instances"} <= record.keys()


def _is_wizardlm_test(record: Any) -> bool:
    return isinstance(record, dict) and {"Instruction", "Skill"} <= record.keys()


@dataclass(frozen=True)
class Format:
    """A known seed set and how to read it.

    `name`: the value of `seeds.format` that selects this set. `read`: a function that turns a raw record into seeds.
    `is_one`: a function that returns whether a record has this format. It is None if the usual column names identify
    the format. `label`: the set's name in the log and the data card. `answers`: whether the records have a response
    column. `hub`: the set's id on the Hugging Face hub.
    """

    name: str
    read: Read
    is_one: Callable[[Any], bool] | None = None
    label: str = ""
    answers: bool = True
    hub: str | None = None


FORMATS = (  # for a new format, add a function above and a line here
    Format("alpaca", alpaca, hub="tatsu-lab/alpaca"),
    Format("wizardlm", wizardlm, _is_wizardlm_test, "WizardLM's test set", answers=False),
    Format("condor", condor, is_tree, "Condor's tag tree", answers=False, hub="internlm/Condor-SFT-20K"),
    Format("self_instruct", self_instruct, _is_self_instruct, "Self-Instruct's"),
)
READERS = {known.name: known.read for known in FORMATS}
HUB_IDS = {known.name: known.hub for known in FORMATS if known.hub is not None}


def shape_of(record: Any) -> Shape | None:
    """Return how to read records with the same keys as `record`; None if these keys are not known. Raises ColumnFault
    if several keys may hold the same part of a seed."""
    for known in FORMATS:
        if known.is_one is not None and known.is_one(record):
            return Shape(known.read, known.label, answers=known.answers)
    if isinstance(record, list):
        return Shape(condor, "chats (a list of turns each)") if is_chat(record) else None
    if not isinstance(record, dict):
        return None
    for answer in ("output", "response"):  # the commonest names decide, regardless of other columns
        if present(record.get("instruction")) and present(record.get(answer)):
            given = next((name for name in ("input", "context") if name in record), None)
            return shape_for(Columns(instruction="instruction", input=given, response=answer))
    return recognise(record)
