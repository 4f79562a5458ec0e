"""PURE: reads a reply to a step's prompt. It returns the usable value or the fault, and notes that stats.json counts.

Three things are checked, in this order: that the reply is complete, not refused, and has an answer besides reasoning
and control tokens (`parsing.answer_in`); that the answer has the right form (`parsing.form_in`); that its content is
usable (`usable.fault_in`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from gra.models.base import Reply
from gra.models.openai.finish import KNOWN, normal
from gra.models.openai.reply_text import CALL, NO_ANSWER, UNSURE
from gra.synthesis.prompts import Style
from gra.synthesis.prompts.schemas import form_of
from gra.synthesis.replies.parsing import CUT_OFF, ESCAPES, answer_in, form_in
from gra.synthesis.replies.plain_text import plain_form
from gra.synthesis.replies.usable import CHECKS, fault_in
from gra.synthesis.scoring.probability import NO_CHOICE, NO_LIKELIHOOD

# The first words of a fault -> its name in stats.json. All other faults name a field that does not fit the form.
FAULTS = {
    NO_CHOICE: "no_choice",
    NO_LIKELIHOOD: "no_likelihood",
    "refused": "refused",
    "empty": "empty",
    CUT_OFF: "cut_off",
    "longer than 100000 characters": "too_long",
    NO_ANSWER: "only_reasoning",
    UNSURE: "control_tokens",
    CALL: "tool_call",
    "no JSON object": "no_json",
    "two different answers": "two_answers",
    "a key is there twice": "key_twice",
    "broken JSON with a key that is there twice": "key_twice",
    ESCAPES: "escapes",
    **CHECKS,
}


class Reading(NamedTuple):
    """The result of the function `read`, which reads a model's reply. `value`: the reply as a pydantic object, or its
    text if the step expects free text. It is None if there is a `fault`. `notes`: what was unusual about the reply."""

    value: BaseModel | str | None
    fault: str | None
    notes: tuple[str, ...] = ()


def read(
    step: str,
    reply: Reply,
    *,
    thoughts: bool = True,
    prompt: Sequence[Mapping[str, str]] = (),
    values: Mapping[str, Any] | None = None,
    style: Style = "classic",
) -> Reading:
    """Return the usable value of the reply to `step`, or the reason why the reply is unusable. `thoughts`: whether
    reasoning before the answer is removed (`pool.strip_think`). `prompt`: the messages that were sent. `values`: the
    values that were filled into these messages. `style`: how replies to this prompt are read (prompts.Style)."""
    values = values or {}
    form = form_of(step, style, bool(values.get("solve")))
    notes = [] if (finish := normal(reply.finish)) in KNOWN else [f"finish `{finish}`"]
    if finish == "tool_calls" and reply.error is None and (form is None or style == "text" or not reply.text.strip()):
        # e.g. "Let me look that up." A gateway can request a form as a tool call, so a reply for a form is still read.
        return Reading(None, CALL)
    answer = answer_in(reply, thoughts)
    notes += [f"{what} cut off" for what in answer.cut]
    if answer.fault is not None:
        return Reading(None, answer.fault, tuple(notes))
    value: BaseModel | str = answer.text.strip()
    if form is not None:
        found = plain_form(step, answer.text, values) if style == "text" else form_in(answer.text, form)
        notes += found.notes
        if found.form is None:
            return Reading(None, found.fault, tuple(notes))
        value = found.form
    fault = fault_in(step, value, prompt, values)
    return Reading(None if fault else value, fault and fault[:300], tuple(notes))


def kind_of(fault: str) -> str:
    """Return the name under which stats.json counts a fault. It is a value of FAULTS, or "form" for any other fault."""
    return FAULTS.get(fault.partition(":")[0], "form")
