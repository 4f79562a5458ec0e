"""The seed sets that the paper and its neighbours start from, one function each: raw record -> instruction, response and the rest.

An instruction and its input are joined by an empty line. A record that has a place for an answer and leaves it empty is a
bad record (28 in Stanford's Alpaca); shapes without answers (WizardLM's test set, Condor's tag tree) give seeds with an
empty response: the generator works from keywords and summary, which an instruction alone can carry.
"""

from __future__ import annotations

from typing import Any, Literal

from gra.synthesis.records import DOMAINS
from gra.synthesis.seed_columns import Columns, Read, Shape, recognise, shape_for
from gra.synthesis.seed_text import BadRecord, Fields, check_text, input_text, join, mapping, present, text
from gra.synthesis.seed_turns import chat, is_chat

Known = Literal["alpaca", "wizardlm", "condor", "self_instruct"]
# A tag of Condor's World Knowledge Tree as an instruction (wording of this project; the tree holds only names).
TAG_INSTRUCTION = (
    "Explain {tag} to someone who is new to it, as a part of {topic} in the field {field}, and give one concrete example."
)


def alpaca(record: Any) -> list[Fields]:
    """{instruction, input, output}; `domain` too, where it is one of the seven. "Noinput" stands for no input, as upstream."""
    given = input_text(record, "input")
    domain = mapping(record).get("domain")
    instruction = join(text(record, "instruction"), given)
    return [Fields(instruction, text(record, "output"), domain if domain in DOMAINS else None)]


def wizardlm(record: Any) -> list[Fields]:
    """Evol-Instruct: {conversations} (V2) or {instruction, output} (70k); the test set {idx, Skill, Difficulty, Instruction}."""
    if "conversations" in mapping(record):
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
        check_text(fields.instruction, "tag")
    return found


def self_instruct(record: Any) -> list[Fields]:
    """{instruction, instances: [{input, output}]}: the first instance; the others ask the same."""
    instances = mapping(record).get("instances")
    if not isinstance(instances, list) or not instances:
        raise BadRecord("`instances` is not a list with at least one entry")
    try:
        given, answer = input_text(instances[0], "input"), text(instances[0], "output")
    except BadRecord as error:
        raise BadRecord(f"instance 1: {error}") from error
    return [Fields(join(text(record, "instruction"), given), answer)]


READERS: dict[Known, Read] = {"alpaca": alpaca, "wizardlm": wizardlm, "condor": condor, "self_instruct": self_instruct}


def shape_of(record: Any) -> Shape | None:
    """How to read records like this one, from its keys; None where they do not tell. Raises BadRecord where they leave a choice."""
    if is_tree(record):
        return Shape(condor, "Condor's tag tree", answers=False)
    if isinstance(record, list):
        return Shape(condor, "chats (a list of turns each)") if is_chat(record) else None
    if not isinstance(record, dict):
        return None
    keys = set(record)
    if {"instruction", "instances"} <= keys:
        return Shape(self_instruct, "Self-Instruct's")
    if {"Instruction", "Skill"} <= keys:
        return Shape(wizardlm, "WizardLM's test set", answers=False)
    for answer in ("output", "response"):  # the commonest names decide, whatever stands beside them
        if present(record.get("instruction")) and present(record.get(answer)):
            given = next((name for name in ("input", "context") if name in keys), None)
            return shape_for(Columns(instruction="instruction", input=given, response=answer))
    return recognise(record)


def is_tree(record: Any) -> bool:
    """Whether this is {name: {name: [name, ...]}}."""
    return (
        isinstance(record, dict)
        and bool(record)
        and all(isinstance(topics, dict) and topics for topics in record.values())
        and all(isinstance(tags, list) and all(isinstance(t, str) for t in tags) for d in record.values() for tags in d.values())
    )
