"""PURE: extracts the answer from a model's text by removing reasoning and chat-template tokens.

Reasoning is in blocks (`<think>`, `[THINK]`, `<thinking>`, `<thought>`), in channels (gpt-oss's harmony format), or
before a closing tag whose opening tag is not in the text (the chat template puts it into the prompt). A server that
does not stop at a turn-end token returns the token as text, followed by a turn that the model invented. The text is cut
at such a token (next_turn.py handles turns that begin with plain words). A text that calls a tool has no answer
(`Answer.fault` is `CALL`).

An answer can also mention a tag or token: inside code, as the `</s>` that closes an HTML `<s>`, or in words such as
"use <think> tags". Such a mention stays in the answer. If it is uncertain whether a token is only mentioned, the reply
is unusable (`Answer.fault` is `UNSURE`), because an answer cut in half would be worse than none.

Source of the tags and tokens: the chat templates and reasoning parsers of vLLM, SGLang and llama.cpp (2026).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gra.models.openai.next_turn import call_in, next_turn, opening

THOUGHT, CONTROL = "reasoning", "control_tokens"  # kinds of text that are removed
NO_ANSWER = "no answer outside its reasoning"
UNSURE = "control tokens inside the answer"
CALL = "a call of a tool in place of an answer"

# Names of reasoning blocks contain one of these words: seed:think, thinking_process, inner_monologue, longcat_think
_THINKING = r"(?:(?:ant)?think(?:ing)?|thoughts?|reason(?:ing)?|reflect(?:ion)?|cot|scratch_?pad|monologue)"
_NAMES = rf"(?:\w{{1,30}}[:_])?{_THINKING}(?:_(?:process|block|content|fast|slow))?"
# e.g. <|begin_of_thought|>, <|START_THINKING|>, <|think_start|>, <｜think▁begin｜>
_OF = r"[_▁](?:of[_▁])?"
_OPEN_TOKEN = rf"<[|｜](?:(?:begin|start){_OF}{_THINKING}|{_THINKING}(?:[_▁](?:begin|start))?)[|｜]>"
_CLOSE_TOKEN = rf"<[|｜](?:(?:/|end{_OF}){_THINKING}|{_THINKING}[_▁]end)[|｜]>"
_OPEN = (
    rf"<\s?(?P<tag>{_NAMES})(?:\s+\w+=\"[^\"<>]*\")?\s*>|(?P<other>\[THINK\]|\[(?P<box>{_THINKING})\](?=[\s\S]*\[/(?P=box)\])"
    rf"|◁think▷|{_OPEN_TOKEN}|<\|inner_prefix\|>|<\|channel>\s*(?:thought|analysis)\b|<unused94>\s*thought\b)"
)
_OTHER_CLOSE = (
    rf"\[/{_THINKING}\]|◁/think▷|{_CLOSE_TOKEN}|<channel\|>"
    r"|<unused95>|<\|inner_suffix\|>|<\|end\|>(?=<\|begin\|>assistant)"
)
# Turn-end tokens that a model spells with ordinary tokens: <|im_end>, <im_end>, <eot_id>, <endoftext>
_TURN_END = (
    r"(?:im_(?:start|end|sep)|eo[tm](?:_id)?|eou|(?:end|start)_?of_?(?:text|turn|sentence|message|sequence|response))"
)
# Any `<|name|>` is a template token; the others are from Gemma, Mistral and Llama 2, EXAONE, InternLM, Nemotron, Baichuan, GLM,
# Seed, MiniMax, LongCat.
_TOKEN = (
    r"<\|[A-Za-z_][\w.:▁-]{0,48}\|>|<｜[\w▁ -]{1,48}｜>|<(?:start|end)_of_turn>|<\|turn>|<turn\|>|<end_of_utterance>"
    r"|\[/?INST\]|<</?SYS>>|\[/?SYSTEM_PROMPT\]|\[TOOL_CALLS\]|\[\|/?[a-z]{2,20}\|\]|\[UNUSED_TOKEN_\d+\]|<eo[ahmp]>"
    r"|<SPECIAL_\d+>|<TOKENS_UNUSED_\d+>|<seed:[be]os>|\[e~\[|\]~!?b\]?|</longcat_s>|\[(?:AVAILABLE_TOOLS|TOOL_RESULTS)\]|<extra_id_\d+>|<reserved_\d+>|\[gMASK\]|<sop>|<EOT>|<EOD>|<unused\d+>"
    rf"|<\|?{_TURN_END}\|?>"
)
_SOFT = r"</?s>|<[be]os>|<eod>|\[EOS\]"  # tokens that also occur in HTML and programs
_MARK = re.compile(
    rf"(?P<fence>^[ \t>]*(?P<ticks>`{{3,}}|~{{3,}}))|(?P<code>(?<!`)(?P<quote>`{{1,2}})(?!`)[^`\n]+(?P=quote)(?!`))"
    rf"|(?P<open>{_OPEN})|(?P<close><\s?/\s?(?P<ended>{_NAMES})\s*>|{_OTHER_CLOSE})|(?P<token>{_TOKEN})|(?P<soft>{_SOFT})",
    re.MULTILINE | re.IGNORECASE,
)
_CALLS = re.compile(r"tool.?call|function|python_tag|plugin|action_start|<\|call\|>", re.IGNORECASE)  # in tokens only
_PADDING = re.compile(
    r"(?<=\S)(?:\s*(?:<pad>|\[PAD\]|(?-i:(?<!\s)\[(?:EOT|END|STOP)\])|<(?:stop|end)>|<unk>\s*<unk>))+\s*\Z|\A(?:\s*<pad>)+(?=.*\S)"
    # the beginning of a token, cut by a limit or a stop string
    r"|(?<=[^ ])(?:<\|(?:[a-z]\w{0,20}\|?)?|<(?:(?:end|start)_of|im)_\w{0,8})\Z",
    re.IGNORECASE | re.DOTALL,
)
_BOX = re.compile(r"<\|(?:begin|end)_of_box\|>")  # GLM writes them around the result, a part of the answer
# Leading reasoning in words or other markup: Granite 3.2, Ollama, Open WebUI, `<think>` with escaped brackets, `<analysis>`.
_LEADING = re.compile(
    r"\A\s*(?:Here(?:'s| is) my thought process:.*?Here(?:'s| is) my response:|<details\s+type=\"reasoning\".*?</details>"
    r"|&lt;think&gt;.*?&lt;/think&gt;|<think\s*/>|Thinking\.\.\.\n.*?\n\.\.\.done thinking\."
    r"|(?i:<(analysis)>.*?</analysis>|\[(analysis)\].*?\[/analysis\])(?=\s*(?:[^<\[\s]|[<\[](?:answer|output|response|result|final))))\s*",
    re.DOTALL,
)
_LEADING_ALONE = re.compile(
    r"\A\s*(?:Here(?:'s| is) my thought process:|<details\s+type=\"reasoning\"|&lt;think&gt;|Thinking\.\.\.\n)"
)
# Text without one of these contains no marks.
_HINT = re.compile(r"[<\[] ?[|｜/<]?[A-Za-z]|◁|\[e~\[|\]~|<\|\Z")
_HINT_AT_START = re.compile(r"analysis|commentary|\s*(?:assistant\s?final|Here|&lt;|Thinking\.\.\.)")
_BEGINNING = re.compile(  # tokens that open the model's turn
    r"(?:\s*(?:<\|(?:begin_of_text|startoftext|im_sep|message|START_RESPONSE|START_TEXT|begin_of_solution|assistant|bos|turn_start)\|>"
    r"|<\|im_start\|>(?:\s*assistant\b)?|<\|im_assistant\|>(?:\s*assistant\b)?(?:<\|im_middle\|>)?"
    r"|<\|begin\|>assistant(?:<\|content\|>)?|<\|MOSS\|>:"
    r"|<\|(?:start_header_id|header_start|start_of_role)\|>\s*assistant\s*<\|\w+\|>"
    r"|<start_of_turn>\s*model\b|<\|turn>\s*model\b|<\|START_OF_TURN_TOKEN\|>(?:<\|CHATBOT_TOKEN\|>)?|<\|start\|>(?:\s*assistant\b)?"
    r"|<｜(?:begin▁of▁sentence|Assistant)｜>|\[\|assistant\|\]|<s>(?!.*</s>.*\S)|<bos>|\[/INST\]|\[gMASK\]|<sop>|<extra_id_1>Assistant\b"
    r"))+\s*",
    re.IGNORECASE | re.DOTALL,
)
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(?P<name>\w+)(?:[^<]{0,200}<\|constrain\|>\s*\w+)?[^<\n]{0,100}?(?:\s*<\|message\|>|\b)"
)
# harmony without its special tokens
_BARE_FINAL = re.compile(r"\A\s*(?:(?:analysis|commentary).*)?assistant\s?final(?![a-z])", re.DOTALL)
_BARE_ANALYSIS = re.compile(r"\A\s*analysis(?=[A-Z])")
_WRAPPED = re.compile(
    r"\A\s*<(answer|output|response|solution|final|final_answer)>(.*?)(?:</\1>)?\s*\Z", re.DOTALL | re.IGNORECASE
)
_OF_THOUGHTS = re.compile(r"think|thought|channel|message|constrain|start\|", re.IGNORECASE)


class Answer(NamedTuple):
    """The answer that was extracted from a model's text.

    `text`: the answer. `cut`: the kinds of text that were removed around it, which are reasoning (THOUGHT) and control
    tokens (CONTROL). `fault`: the reason why there is no answer, or None if there is one.
    """

    text: str
    cut: tuple[str, ...] = ()
    fault: str | None = None


def answer_of(text: str, thoughts: bool = True) -> Answer:
    """Return the answer that a model's `text` contains. Control tokens are always removed. Reasoning is removed only if
    `thoughts` is true (`pool.strip_think`)."""
    hinted = any(map(text.__contains__, "<[◁~")) and _HINT.search(text) is not None
    if not hinted and _HINT_AT_START.match(text) is None:
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
        elif _BARE_ANALYSIS.match(text) or (
            channels and not text[: channels[0].start()].replace("<|start|>assistant", "").strip()
        ):
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
    """Return the text without a leading speaker name and without an invented next turn in plain words."""
    text = text[opening(text) :]
    return text[: next_turn(text)]


def _scan(text: str, thoughts: bool) -> tuple[str, set[str], str | None]:
    """Return the text without reasoning up to its first turn-end token, the kinds of text removed, and the fault."""
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
                kept = []  # the prompt opened the block, or the model reasoned again
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
    """Return where the text begins at or after `place`, after the tokens that open a turn."""
    found = _BEGINNING.match(text, place)
    if found is None:
        return place
    cut.add(CONTROL)
    return found.end()


def _end_of_fence(text: str, mark: re.Match[str]) -> int:
    """Return the end of a fenced code block, or the end of its opening fence if the block is unclosed or contains a
    template token."""
    closing = re.compile(rf"^[ \t>]*{re.escape(mark['ticks'][0])}{{{len(mark['ticks'])},}}[ \t]*$", re.MULTILINE)
    found = closing.search(text, mark.end())
    if found is None or re.search(rf"(?:{_TOKEN})", text[mark.end() : found.start()]):
        return mark.end()
    return found.end()


def _end_of_thought(text: str, mark: re.Match[str]) -> int | None:
    """Return the end of the block that `mark` opens, nested blocks included; None if it is unclosed."""
    name = re.escape(mark["tag"]) if mark["tag"] else None
    both = re.compile(rf"<\s?(/?)\s?{name}\s*>" if name else rf"(?P<end>{_OTHER_CLOSE})", re.IGNORECASE)
    depth, place, last = 1, mark.end(), None
    while (found := both.search(text, place)) is not None:
        place = found.end()
        depth += -1 if name is None or found[1] else 1
        if name is None or found[1]:
            last = place
        if depth == 0:
            return place
    return last  # the block was opened twice and closed once


def _ends_thought(text: str, mark: re.Match[str]) -> bool:
    """Return whether `mark`, a closing tag without an opening tag, ends reasoning. `</think>` and special tokens always
    do; other tags do so only at the end of a line."""
    return (
        not mark["ended"]
        or mark["ended"].lower().endswith("think")
        or text[mark.end() :].split("\n", 1)[0].strip() == ""
    )


def _spoken_of(text: str, mark: re.Match[str]) -> bool:
    """Return whether a sentence or a program only mentions the mark: it is in quotes or brackets, or a word of a sentence."""
    before, after = text[: mark.start()], text[mark.end() :]
    if before[-1:] and after[:1] and before[-1] + after[0] in ('""', "''", "``", "()", "“”", "‘’", "**"):
        return not (before[-1] == '"' and before[-3:-1] == ": ")  # the complete value of a JSON key
    if mark[0].upper() in ("[INST]", "[/INST]"):  # these marks stand between texts, with spaces
        return False
    line = before.rsplit("\n", 1)[-1]
    return bool(re.search(r"[\w,]\s$", line)) and bool(re.match(r"[ \t]+\w|,", after))


def _is_markup(text: str, first: int, mark: re.Match[str]) -> bool:
    """Return whether `mark`, a match of the pattern `_SOFT`, is part of the answer and not a control token. This is so
    if it is an HTML `<s>` or `</s>`, or if a program or a sentence mentions it. `first`: the position at which the
    answer begins."""
    if mark[0] == "<s>":
        return "</s>" in text[mark.end() :]
    if mark[0] == "</s>":
        before = text[first : mark.start()]
        return before.count("<s>") > before.count("</s>")
    return _spoken_of(text, mark)
