"""PURE: what a reply says outside its reasoning, and before the token that ends its turn.

A reasoning model thinks between marks (`<think>`, `<thinking>`, `[THINK]`, harmony's channels ...) and tries answers out there that
are not its answer. Left is what follows the last block; where nothing does, what stands before the first; nothing of a reply whose
block never ends. A server that does not stop at a turn-end token returns it, and a next turn that the model invented: both are cut
off. (gra.models.reply_text does the like for training data, where what is unsure is refused; here every reply has to be read.)
"""

from __future__ import annotations

import re

_NAME = r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad)"
_OPEN = re.compile(
    rf"^[ \t]*(?:<{_NAME}>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|START_THINKING\|>)", re.IGNORECASE | re.MULTILINE
)
_CLOSE = re.compile(rf"</{_NAME}>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|END_THINKING\|>", re.IGNORECASE)
_FINAL = re.compile(r"<\|channel\|>final(?:<\|message\|>)?|(?<=assistant)final(?=[A-Z*#\\(`])")
_CHANNEL = re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>analysis")
_TURN_END = re.compile(
    r"<\|(?:im_end|eot_id|end|endoftext|end_of_text|eom_id|return|END_OF_TURN_TOKEN|im_start|start_header_id)\|>"
    r"|<(?:end|start)_of_turn>|<｜(?:end▁of▁sentence|User)｜>|</s>|<eos>|\[/?INST\]"
)
_ANSWER_TAGS = re.compile(r"</?(?:answer|final_answer|output|response)>", re.IGNORECASE)


def spoken(reply: str) -> str:
    """`reply` without reasoning and what follows its turn; "" where all of it is reasoning."""
    text = reply
    finals = [mark.end() for mark in _FINAL.finditer(text)]
    if finals:
        text = text[finals[-1] :]
    elif _CHANNEL.match(text.lstrip()):
        return ""
    ends = list(_CLOSE.finditer(text))
    if ends:
        closed = ends[-1]
        opened = _OPEN.search(text)
        before = text[: opened.start()] if opened is not None and opened.start() < closed.start() else ""
        after = text[closed.end() :]
        text = after if after.strip() else before
    elif (opened := _OPEN.search(text)) is not None:
        text = text[: opened.start()]
    start = len(text) - len(text.lstrip())
    ended = next((mark for mark in _TURN_END.finditer(text) if text[start : mark.start()].strip()), None)
    return _ANSWER_TAGS.sub("", text[: ended.start()] if ended is not None else text)
