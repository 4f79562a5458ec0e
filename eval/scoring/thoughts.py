"""PURE: removes from a reply the reasoning, the token that ends the model's turn, and everything after that token.

A reasoning model thinks between marks (`<think>`, `<thinking>`, `[THINK]`, harmony's channels ...) and tries answers
there that are not its final one. The text after the last block of reasoning is kept; if no text follows it, the text
before the first block is kept. If a reply starts with a block that never ends, nothing is kept.

A server that does not stop at a turn-end token returns the token together with a next turn invented by the model; both are
removed. (gra/models/openai/reply_text.py does this for training data and rejects unclear replies; here every reply has to be
read.)
"""

from __future__ import annotations

import re

_WORD = r"(?:(?:ant)?think(?:ing)?|thoughts?|reason(?:ing)?|reflect(?:ion)?|cot|scratch_?pad|monologue)"
_NAME = rf"(?:\w{{1,30}}[:_])?{_WORD}(?:_process)?"
_OPEN = re.compile(
    rf"^[ \t]*(?:<\s?{_NAME}(?:\s[^<>\n]{{0,60}})?>|\[(?P<box>{_WORD})\](?=[\s\S]*\[/(?P=box)\])|\[THINK\]|◁think▷"
    rf"|<[|｜](?:(?:begin|start)[_▁](?:of[_▁])?{_WORD}|{_WORD}(?:[_▁](?:start|begin))?)[|｜]>|<\|channel>\s*thought\b|<unused94>\s*thought\b)",
    re.IGNORECASE | re.MULTILINE,
)
_CLOSE = re.compile(
    rf"<\s?/\s?{_NAME}\s?>|\[/{_WORD}\]|◁/think▷|<[|｜](?:(?:/|end[_▁](?:of[_▁])?){_WORD}|{_WORD}[_▁]end)[|｜]>|<channel\|>|<unused95>",
    re.IGNORECASE,
)
_FINAL = re.compile(r"<\|channel\|>final(?:<\|message\|>)?|(?<=assistant)final(?=[A-Z*#\\(`])")
_CHANNEL = re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>analysis")
# Any `<|name|>` is a token of some template, except GLM's box around the result.
_TURN_END = re.compile(
    r"<\|(?!(?:begin|end)_of_box)[A-Za-z_][\w.:▁-]{0,48}\|>|<｜[\w▁ -]{1,48}｜>|\[\|/?[a-z]{2,20}\|\]"
    r"|<(?:end|start)_of_turn>|<turn\|>|<\|turn>|</s>|<eos>|<seed:eos>|<end_of_utterance>|\[/?INST\]"
)
_BEGINNING = re.compile(  # tokens that open the model's turn
    r"\s*(?:<\|(?:im_start|start_header_id|header_start|start_of_role|start|im_assistant|assistant|begin_of_text|START_RESPONSE|message)\|>"
    r"\s*(?:assistant\b)?\s*(?:<\|(?:end_header_id|header_end|end_of_role|im_middle|im_sep|message|content)\|>)?\s*"
    r"|<start_of_turn>\s*model\b\s*|<｜Assistant｜>\s*|\[\|assistant\|\]\s*)+",
    re.IGNORECASE,
)
_ANSWER_TAGS = re.compile(r"</?(?:answer|final_answer|output|response)>", re.IGNORECASE)


def spoken(reply: str) -> str:
    """Return `reply` without its reasoning and without text after the model's turn; "" if it is only reasoning."""
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
    if (beginning := _BEGINNING.match(text)) is not None:
        text = text[beginning.end() :]
    start = len(text) - len(text.lstrip())
    ended = next((mark for mark in _TURN_END.finditer(text) if text[start : mark.start()].strip()), None)
    return _ANSWER_TAGS.sub("", text[: ended.start()] if ended is not None else text)
