r"""PURE: finds the turn that a model invents after its answer. Models do so if turns begin with plain words in their
chat template, such as "### Human:" or "USER:".

A server returns "Paris.\n### Human: And Germany?\n### Assistant: Berlin." if it has no stop words for Vicuna, Guanaco
or Alpaca, or if its tokenizer drops special tokens. The text is cut where the invented turn begins. An answer that is
itself a dialogue looks similar. Therefore, most names of speakers count only in pairs: the second name must follow the
first. If a name has no "###", the text before it must also end with a finished sentence, have no speakers and not
mention a dialogue. No name counts inside code.

Templates: FastChat's conversation.py, the model cards of Alpaca, Dolly, Guanaco, OpenChatKit and RWKV (2026).
"""

from __future__ import annotations

import re

_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})[^\n]*\n(?:.*?^[ \t>]*\1[`~]*[ \t]*$|.*\Z)", re.MULTILINE | re.DOTALL)
_SENTENCE_END = re.compile(r"[.!?…。！？)\]}\"'”’`*\d][ \t]*\Z")
_HINT = re.compile(r"###|(?:USER|[Uu]ser|HUMAN|[Hh]uman|Instruct)[*\]]{0,2} ?:|<human>|(?:user|assistant)[ \t]*\n")
_HINTED = (
    "###",
    "USER",
    "User",
    "user",
    "uman",
    "HUMAN",
    "assistant",
    "Instruct:",
)  # plain substrings, faster to search for than _HINT; every match of _HINT contains one


def _speaker(*names: str) -> str:
    """Return a pattern for a speaker's name with its colon, also as `**User:**`, `[USER]:` and OpenChat's `GPT4 Correct
    User:`."""
    return rf"(?:\*\*|\[)?(?:GPT4 (?:Correct )?)?(?:{'|'.join(names)})(?:\*\*|\])? ?:"


# These names alone open a user's turn; the names in _PAIRS count only if the second name of the pair follows.
_ALONE = re.compile(
    r"^[ \t]*###? ?Human ?:|(?<=[.!?}])[ \t]*### ?Human ?:|^### ?End[ \t]*(?:\Z|\n+###)|^<human> ?:", re.MULTILINE
)
_PAIRS = tuple(
    (re.compile(rf"^[ \t]*{one}", re.MULTILINE), re.compile(rf"^[ \t]*{other}", re.MULTILINE), plain)
    for one, other, plain in (
        (r"###? ?(?:User|USER|Question) ?:", r"###? ?(?:Assistant|ASSISTANT|Response|Answer|AI|Bot) ?:", False),
        (r"###? ?Instructions? ?:?[ \t]*$", r"###? ?Response ?:", False),
        (r"###? ?Instruction ?:", r"###? ?(?:Response|Output|Answer) ?:", False),
        (r"###? ?Input ?:", r"###? ?Response ?:", False),
        (_speaker("USER", "HUMAN"), _speaker("ASSISTANT", "AI", "BOT"), True),
        (_speaker("[Hh]uman", "[Uu]ser"), _speaker("[Aa]ssistant", "AI", "Bot", "GPT", "Model"), True),
        (r"Instruct ?:", r"Output ?:", True),
        (r"user[ \t]*$", r"(?:model|assistant)[ \t]*$", True),
    )
)
_CALL = re.compile(
    r"(?:^[ \t]*|[.!?:][ \t]*)<(?:tool_?call|function_?call|tool_use|function)(?:=\w+)?>\s*[{<\[]",
    re.MULTILINE | re.IGNORECASE,
)
# Llama 3's headers without their special tokens
_GLUED = re.compile(r"(?<=[.!?…)\]}\"'`])(?:assistant|user)\n\n(?=\S)")
_DIALOGUE = re.compile(
    r"\b(?:dialogues?|conversations?|chats?|chatbots?|transcripts?|interviews?|scripts?|skits?|role-?play|exchanges?|prompts?|turns?"
    r"|templates?|formats?)\b",
    re.IGNORECASE,
)
_SPEAKER = re.compile(r"^[ \t]*(?:\*\*)?[A-Z<][\w .<>]{0,24}(?:\*\*)?:(?:\*\*)?[ \t]+\S", re.MULTILINE)
_OPENING = re.compile(r"\A\s*###? ?(?:Response|Assistant) ?:[ \t]*\n*")


def opening(text: str) -> int:
    """Return the length of the speaker's name with which an answer begins, such as "### Response:", including the white
    space around it. Return 0 if the answer does not begin with a speaker's name, or if no text follows the name."""
    found = _OPENING.match(text)
    return found.end() if found and text[found.end() :].strip() else 0


def next_turn(text: str) -> int | None:
    """Return the position in `text` at which the model's answer ends and an invented turn of the dialogue begins, such
    as "### Human: And Germany?". Return None if the model invented no turn."""
    if not any(map(text.__contains__, _HINTED)) or _HINT.search(text) is None:
        return None
    code = blocks(text)
    starts = [
        found.start() for found in (*_ALONE.finditer(text), *_GLUED.finditer(text)) if _outside(found.start(), code)
    ]
    for one, other, plain in _PAIRS:
        for found in one.finditer(text):
            if not _outside(found.start(), code) or other.search(text, found.end()) is None:
                continue
            if not plain or _finished(text[: found.start()]):
                starts.append(found.start())
                break
    starts = [start for start in starts if text[:start].strip()]
    return min(starts, default=None)


def blocks(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of each fenced code block. An unclosed block ends with the text."""
    return [found.span() for found in _FENCE.finditer(text)]


def call_in(text: str) -> bool:
    """Return whether `text` calls a tool outside code blocks. A call looks like `<tool_call>{"name": ...` and stands at
    the beginning of a line or after a sentence."""
    code = blocks(text)
    return any(_outside(found.start(), code) for found in _CALL.finditer(text))


def _finished(answer: str) -> bool:
    """Return whether `answer` is complete: its last sentence has ended, and it is not part of a dialogue."""
    if not answer.endswith("\n") or _SENTENCE_END.search(answer.rstrip()) is None:
        return False
    return _DIALOGUE.search(answer) is None and _SPEAKER.search(answer) is None


def _outside(place: int, spans: list[tuple[int, int]]) -> bool:
    return not any(start <= place < end for start, end in spans)
