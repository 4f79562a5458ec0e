"""PURE: the answer in what a model wrote, without its reasoning and without the tokens of chat templates.

Reasoning stands in blocks (`<think>`, `[THINK]`, `<thinking>`, `<thought>` ...), in channels (harmony, of gpt-oss), or before an
end without a beginning (a template that opens the block in the prompt). A server that does not stop at a turn-end token
returns it as text, and after it a next turn that the model invented: everything from such a token on is cut off (templates
whose turns begin with plain words: next_turn.py). Where what follows is a call of a tool, there is no answer yet (`CALL`).

What only speaks of such marks is left alone where that can be seen: inside code, `</s>` that closes an HTML `<s>`, "use
<think> tags". Where it cannot be seen the reply is of no use (`UNSURE`): a sentence cut in half would be worse.
Forms: the chat templates and reasoning parsers that vLLM, SGLang and llama.cpp ship (2026).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gra.models.next_turn import call_in, next_turn, opening

THOUGHT, CONTROL = "reasoning", "control_tokens"  # what was cut off
NO_ANSWER = "no answer outside its reasoning"
UNSURE = "control tokens inside the answer"
CALL = "a call of a tool in place of an answer"

_NAMES = r"(?:seed:|mm:)?(?:(?:ant)?think(?:ing)?|cot|thoughts?|reason(?:ing)?|reflection|scratchpad|inner_monologue|longcat_think)"
_OPEN = (
    rf"<(?P<tag>{_NAMES})(?:\s+\w+=\"[^\"<>]*\")?\s*>|(?P<other>\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|START_THINKING\|>|<\|think(?:ing)?\|>"
    r"|<\|inner_prefix\|>|<\|channel>\s*(?:thought|analysis)\b|<unused94>\s*thought\b)"
)
_OTHER_CLOSE = (
    r"\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|END_THINKING\|>|<\|/think(?:ing)?\|>|<\|end_(?:of_)?think(?:ing)?\|>|<channel\|>"
    r"|<unused95>|<\|inner_suffix\|>|<\|end\|>(?=<\|begin\|>assistant)"
)
# Any `<|name|>` is a template's; the others are those of Gemma, Mistral and Llama 2, EXAONE, InternLM, Nemotron, Baichuan, GLM,
# Seed, MiniMax, LongCat.
_TOKEN = (
    r"<\|[A-Za-z_][\w.:▁-]{0,48}\|>|<｜[\w▁ -]{1,48}｜>|<(?:start|end)_of_turn>|<\|turn>|<turn\|>|<end_of_utterance>"
    r"|\[/?INST\]|<</?SYS>>|\[/?SYSTEM_PROMPT\]|\[TOOL_CALLS\]|\[\|/?[a-z]{2,20}\|\]|\[UNUSED_TOKEN_\d+\]|<eo[ahmp]>"
    r"|<SPECIAL_\d+>|<TOKENS_UNUSED_\d+>|<seed:[be]os>|\[e~\[|\]~!?b\]?|</longcat_s>|\[(?:AVAILABLE_TOOLS|TOOL_RESULTS)\]|<extra_id_\d+>|<reserved_\d+>|\[gMASK\]|<sop>|<EOT>|<EOD>"
)
_SOFT = r"</?s>|<[be]os>|<eod>|\[EOS\]"  # words of HTML and of programs, too
_MARK = re.compile(
    rf"(?P<fence>^[ \t>]*(?P<ticks>`{{3,}}|~{{3,}}))|(?P<code>(?<!`)(?P<quote>`{{1,2}})(?!`)[^`\n]+(?P=quote)(?!`))"
    rf"|(?P<open>{_OPEN})|(?P<close></(?P<ended>{_NAMES})\s*>|{_OTHER_CLOSE})|(?P<token>{_TOKEN})|(?P<soft>{_SOFT})",
    re.MULTILINE | re.IGNORECASE,
)
_CALLS = re.compile(r"tool.?call|function|python_tag|plugin|action_start|<\|call\|>", re.IGNORECASE)  # among tokens
_PADDING = re.compile(r"(?<=\S)(?:\s*(?:<pad>|\[PAD\]|<unk>\s*<unk>))+\s*\Z|\A(?:\s*<pad>)+(?=.*\S)", re.IGNORECASE | re.DOTALL)
_BOX = re.compile(r"<\|(?:begin|end)_of_box\|>")  # GLM: around the result, part of the answer
# Reasoning in words and in other markup, at the beginning: Granite 3.2, Open WebUI, and `<think>` with its brackets escaped.
_LEADING = re.compile(
    r"\A\s*(?:Here(?:'s| is) my thought process:.*?Here(?:'s| is) my response:|<details\s+type=\"reasoning\".*?</details>"
    r"|&lt;think&gt;.*?&lt;/think&gt;|<think\s*/>)\s*",
    re.DOTALL,
)
_LEADING_ALONE = re.compile(r"\A\s*(?:Here(?:'s| is) my thought process:|<details\s+type=\"reasoning\"|&lt;think&gt;)")
# No answer without one of these holds a mark.
_HINT = re.compile(r"[<\[][|｜/<]?[A-Za-z]|◁|\[e~\[|\]~")
_HINT_AT_START = re.compile(r"analysis|commentary|\s*(?:Here|&lt;)")
_BEGINNING = re.compile(  # of a turn of the model's own, before its answer
    r"(?:\s*(?:<\|(?:begin_of_text|startoftext|im_sep|message|START_RESPONSE|START_TEXT|begin_of_solution|assistant|bos|turn_start)\|>"
    r"|<\|im_start\|>(?:\s*assistant\b)?|<\|im_assistant\|>(?:\s*assistant\b)?(?:<\|im_middle\|>)?"
    r"|<\|begin\|>assistant(?:<\|content\|>)?|<\|MOSS\|>:"
    r"|<\|(?:start_header_id|header_start|start_of_role)\|>\s*assistant\s*<\|\w+\|>"
    r"|<start_of_turn>\s*model\b|<\|turn>\s*model\b|<\|START_OF_TURN_TOKEN\|>(?:<\|CHATBOT_TOKEN\|>)?|<\|start\|>(?:\s*assistant\b)?"
    r"|<｜(?:begin▁of▁sentence|Assistant)｜>|\[\|assistant\|\]|<s>(?!.*</s>.*\S)|<bos>|\[/INST\]|\[gMASK\]|<sop>|<extra_id_1>Assistant\b"
    r"))+\s*",
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip
_CHANNEL = re.compile(r"<\|channel\|>\s*(?P<name>\w+)(?:[^<]{0,200}<\|constrain\|>\s*\w+)?[^<\n]{0,100}?(?:\s*<\|message\|>|\b)")
_BARE_FINAL = re.compile(r"\A\s*(?:analysis|commentary).*assistant\s?final", re.DOTALL)  # harmony, its tokens dropped by the server
_BARE_ANALYSIS = re.compile(r"\A\s*analysis(?=[A-Z])")
_WRAPPED = re.compile(r"\A\s*<(answer|output|response|solution|final|final_answer)>(.*?)(?:</\1>)?\s*\Z", re.DOTALL | re.IGNORECASE)
_OF_THOUGHTS = re.compile(r"think|thought|channel|message|constrain|start\|", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """`text`: what is left; `cut`: what was cut off it, of THOUGHT and CONTROL; `fault`: why there is no answer, or None."""

    text: str
    cut: tuple[str, ...] = ()
    fault: str | None = None


def answer_of(text: str, thoughts: bool = True) -> Answer:
    """The answer in `text`. `thoughts` False: reasoning is part of it (`pool.strip_think=false`), control tokens are not."""
    if _HINT_AT_START.match(text) is None and (not any(sign in text for sign in "<[◁~") or _HINT.search(text) is None):
        own = _own_turn(text)
        return Answer(text) if own == text else Answer(own.strip(), (CONTROL,))
    whole, cut = text, set[str]()
    text, padded = _PADDING.subn("", text)
    text, boxed = _BOX.subn("", text)
    if padded or boxed:
        cut.add(CONTROL)
    if thoughts:
        if (leading := _LEADING.match(text)) is not None:
            text = text[leading.end() :]
            cut.add(THOUGHT)
        elif _LEADING_ALONE.match(text):
            return Answer("", (THOUGHT,), NO_ANSWER)
        channels = list(_CHANNEL.finditer(text))
        finals = [found.end() for found in channels if found["name"].lower() == "final"]
        bare = _BARE_FINAL.match(text)
        if finals or bare:
            text = text[finals[-1] if finals else bare.end() if bare else 0 :]
            cut.add(THOUGHT)
        elif _BARE_ANALYSIS.match(text) or (channels and not text[: channels[0].start()].replace("<|start|>assistant", "").strip()):
            return Answer("", (THOUGHT,), NO_ANSWER)
    left, found, fault = _scan(text, thoughts)
    cut |= found
    if fault is None and THOUGHT in cut:
        wrapped = _WRAPPED.match(left)
        left = wrapped[2].strip() if wrapped else left
        fault = None if left.strip() else NO_ANSWER
    if fault is None and (own := _own_turn(left)) != left:
        left = own
        cut.add(CONTROL)
    if fault is None and call_in(left):
        fault = CALL
    if not cut and fault is None:
        return Answer(whole)
    return Answer("" if fault else left.strip(), tuple(sorted(cut)), fault)


def _own_turn(text: str) -> str:
    """The text without the name of its own side before it and without an invented next turn in plain words."""
    text = text[opening(text) :]
    return text[: next_turn(text)]


def _scan(text: str, thoughts: bool) -> tuple[str, set[str], str | None]:
    """The text without thoughts, up to its first turn-end token; what was cut; the fault."""
    kept: list[str] = []
    cut: set[str] = set()
    place = start = first = _begin(text, 0, cut)
    while (mark := _MARK.search(text, place)) is not None:
        place = mark.end()
        if mark["fence"]:
            place = _end_of_fence(text, mark)
        elif mark["code"]:
            if re.search(_TOKEN, mark["code"]):
                return "", cut | {CONTROL}, UNSURE
        elif mark["open"] or mark["close"]:
            if not thoughts:
                continue
            spoken_of = _spoken_of(text, mark)
            if mark["close"]:
                if spoken_of or not _ends_thought(text, mark):
                    continue
                kept = []  # the prompt opened the block, or the model has thought again
            else:
                end = _end_of_thought(text, mark)
                if spoken_of and end is not None and mark["tag"] and mark["tag"].lower() == "think":
                    return "", cut | {THOUGHT}, UNSURE
                if spoken_of:
                    continue
                if end is None:
                    return "", cut | {THOUGHT}, NO_ANSWER
                kept.append(text[start : mark.start()])
                place = end
            cut.add(THOUGHT)
            start = place = _begin(text, place, cut) if not "".join(kept).strip() else place
        elif mark["token"] or not _is_markup(text, first, mark):
            if not thoughts and _OF_THOUGHTS.search(mark[0]):
                continue
            if _spoken_of(text, mark):
                return "", cut | {CONTROL}, UNSURE
            cut.add(CONTROL)
            if _CALLS.search(mark[0]):
                return "", cut, CALL
            return "".join([*kept, text[start : mark.start()]]), cut, None
    return "".join([*kept, text[start:]]), cut, None


def _begin(text: str, place: int, cut: set[str]) -> int:
    """Where the text after `place` begins, behind the tokens that open a turn."""
    found = _BEGINNING.match(text, place)
    if found is None:
        return place
    cut.add(CONTROL)
    return found.end()


def _end_of_fence(text: str, mark: re.Match[str]) -> int:
    """The end of a fenced block of code; of its first line where nothing closes it, or where a token ends a line in it."""
    closing = re.compile(rf"^[ \t>]*{re.escape(mark['ticks'][0])}{{{len(mark['ticks'])},}}[ \t]*$", re.MULTILINE)
    found = closing.search(text, mark.end())
    if found is None or re.search(rf"(?:{_TOKEN})", text[mark.end() : found.start()]):
        return mark.end()
    return found.end()


def _end_of_thought(text: str, mark: re.Match[str]) -> int | None:
    """The end of the block that `mark` opens, with blocks inside it; None where nothing closes it."""
    name = re.escape(mark["tag"]) if mark["tag"] else None
    both = re.compile(rf"<(/?){name}\s*>" if name else rf"(?P<end>{_OTHER_CLOSE})", re.IGNORECASE)
    depth, place, last = 1, mark.end(), None
    while (found := both.search(text, place)) is not None:
        place = found.end()
        depth += -1 if name is None or found[1] else 1
        if found[0].startswith("</") or name is None:
            last = place
        if depth == 0:
            return place
    return last  # opened twice, closed once


def _ends_thought(text: str, mark: re.Match[str]) -> bool:
    """Whether an end without a beginning ends a thought: it does for `</think>`; the tags of other names must end a line."""
    return not mark["ended"] or mark["ended"].lower().endswith("think") or text[mark.end() :].split("\n", 1)[0].strip() == ""


def _spoken_of(text: str, mark: re.Match[str]) -> bool:
    """Whether a sentence or a program speaks of the mark: it is in quotes or brackets, or a word of a sentence."""
    before, after = text[: mark.start()], text[mark.end() :]
    if before[-1:] and after[:1] and before[-1] + after[0] in ('""', "''", "``", "()", "“”", "‘’", "**"):
        return not (before[-1] == '"' and before[-3:-1] == ": ")  # a text of a JSON object, whole
    if mark[0].upper() in ("[INST]", "[/INST]"):  # stand between texts, with spaces
        return False
    line = before.rsplit("\n", 1)[-1]
    return bool(re.search(r"[\w,]\s$", line)) and bool(re.match(r"[ \t]+\w|,", after))


def _is_markup(text: str, first: int, mark: re.Match[str]) -> bool:
    """Whether `<s>` or `</s>` is HTML (the text begins at `first`), or another word of `_SOFT` part of a program or sentence."""
    if mark[0] == "<s>":
        return "</s>" in text[mark.end() :]
    if mark[0] == "</s>":
        before = text[first : mark.start()]
        return before.count("<s>") > before.count("</s>")
    return _spoken_of(text, mark)
