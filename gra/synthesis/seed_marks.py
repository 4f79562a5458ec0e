"""Seeds without what a model's template and its reasoning left in them: data sets made of models' raw replies hold both.

Pure. Students would learn to write "</s>" and `<think>` blocks from such seeds, and generators to copy them. A text that only
speaks of such marks stays as it is (reply_text.py tells them apart).
"""

from __future__ import annotations

from dataclasses import replace

from gra.models.reply_text import CALL, NO_ANSWER, answer_of
from gra.synthesis.seed_templates import template_turns
from gra.synthesis.seed_text import BadRecord, Fields
from gra.synthesis.seed_turns import TOOL, chat


def unmarked(fields: Fields) -> Fields:
    """The seed with its question out of a template and its answer without reasoning and control tokens; `dropped` says so.

    Raises BadRecord: the answer is all reasoning, or the call of a tool.
    """
    turns = template_turns(fields.instruction)
    if turns and (turns[-1] == ("assistant", "") or fields.instruction.lstrip()[0] in "<[#"):  # "Human: ..." alone may be a list
        said = [{"role": role, "content": text} for role, text in turns if text]
        (inner,) = chat({"instruction": [*said, {"role": "assistant", "content": fields.response or "-"}]}, "instruction")
        dropped = replace(fields.dropped, turns=fields.dropped.turns + inner.dropped.turns, marks=True,
                          system=fields.dropped.system or inner.dropped.system)  # fmt: skip
        response = inner.response if fields.response else ""
        fields = replace(fields, instruction=inner.instruction, response=response, dropped=dropped)
    answer = answer_of(fields.response)
    if answer.fault == NO_ANSWER:
        raise BadRecord("its answer holds reasoning alone")
    if answer.fault == CALL:
        raise BadRecord(TOOL)
    if answer.fault is not None or not answer.cut:
        return fields
    if not answer.text:
        raise BadRecord("its answer holds control tokens alone")
    return replace(fields, response=answer.text, dropped=replace(fields.dropped, marks=True))
