"""PURE: removes chat-template tokens and reasoning (together called marks) from seeds. Data sets of raw model replies
contain such marks.

Students would learn to write "</s>" and `<think>` blocks from such seeds, and generators would copy them. A text that
only mentions such marks, e.g. in an explanation, stays unchanged; models/openai/reply_text.py decides whether a mark is
only mentioned.
"""

from __future__ import annotations

from dataclasses import replace

from gra.models.openai.reply_text import CALL, NO_ANSWER, answer_of
from gra.synthesis.seeds.templates import template_turns
from gra.synthesis.seeds.text import BadRecord, Fields
from gra.synthesis.seeds.turns import TOOL, chat


def unmarked(fields: Fields) -> Fields:
    """Return the seed without a model's reasoning and without the tokens of chat templates. The field `dropped` of the
    result says what was removed.

    If the instruction is a text in a chat template, only the question inside that text is kept. Reasoning and control
    tokens are removed from the response. Raises BadRecord if the response contains nothing else, or if it is a tool
    call.
    """
    turns = template_turns(fields.instruction)
    if turns and (
        turns[-1] == ("assistant", "") or fields.instruction.lstrip()[0] in "<[#"
    ):  # a text that only begins with "Human:" may be a list or a script
        said = [{"role": role, "content": text} for role, text in turns if text]
        (inner,) = chat(
            {"instruction": [*said, {"role": "assistant", "content": fields.response or "-"}]}, "instruction"
        )
        dropped = replace(
            fields.dropped,
            turns=fields.dropped.turns + inner.dropped.turns,
            marks=True,
            system=fields.dropped.system or inner.dropped.system,
        )
        response = inner.response if fields.response else ""
        fields = replace(fields, instruction=inner.instruction, response=response, dropped=dropped)
    answer = answer_of(fields.response)
    if answer.fault == NO_ANSWER:
        raise BadRecord("its answer is only reasoning")
    if answer.fault == CALL:
        raise BadRecord(TOOL)
    if answer.fault is not None or not answer.cut:
        return fields
    if not answer.text:
        raise BadRecord("its answer is only control tokens")
    return replace(fields, response=answer.text, dropped=replace(fields.dropped, marks=True))
