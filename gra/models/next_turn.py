r"""PURE: the turn that a model invents after its answer where its template has no tokens of its own: "### Human:", "USER:" ...

A server that knows neither the stop words of Vicuna, Guanaco or Alpaca nor that its tokenizer drops special tokens hands back
"Paris.\n### Human: And Germany?\n### Assistant: Berlin." What begins the next turn is cut off with all that follows. A dialogue
that was asked for looks alike: so the names of speakers count only in pairs, at the beginning of lines, outside code, after a
finished sentence, and where the text before speaks of no dialogue and has no speakers.

Templates: FastChat's conversation.py, the model cards of Alpaca, Dolly, Guanaco, OpenChatKit and RWKV (2026).
"""

from __future__ import annotations

import re

_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})[^\n]*\n(?:.*?^[ \t>]*\1[`~]*[ \t]*$|.*\Z)", re.MULTILINE | re.DOTALL)
_SENTENCE_END = re.compile(r"[.!?…。！？)\]}\"'”’`*\d][ \t]*\Z")
_HINT = re.compile(r"###|USER ?:|User ?:|Human ?:|<human>|(?:user|assistant)[ \t]*\n")
# One name opens a turn of nobody but a template's user; the others count where the second name follows.
_ALONE = re.compile(r"^[ \t]*###? ?Human ?:|(?<=[.!?}])[ \t]*### ?Human ?:|^### ?End[ \t]*(?:\Z|\n+###)|^<human> ?:", re.MULTILINE)
_PAIRS = tuple(
    (re.compile(rf"^[ \t]*{one}", re.MULTILINE), re.compile(rf"^[ \t]*{other}", re.MULTILINE), plain)
    for one, other, plain in (
        (r"###? ?(?:User|USER|Question) ?:", r"###? ?(?:Assistant|ASSISTANT|Response|Answer|AI|Bot) ?:", False),
        (r"###? ?Instructions? ?:?[ \t]*$", r"###? ?Response ?:", False),
        (r"###? ?Instruction ?:", r"###? ?(?:Response|Output|Answer) ?:", False),
        (r"USER ?:", r"ASSISTANT ?:", True),
        (r"(?:Human|User) ?:", r"(?:Assistant|AI|Bot|GPT|Model) ?:", True),
        (r"user[ \t]*$", r"(?:model|assistant)[ \t]*$", True),
    )
)
_CALL = re.compile(
    r"(?:^[ \t]*|[.!?:][ \t]*)<(?:tool_?call|function_?call|tool_use|function)(?:=\w+)?>\s*[{<\[]", re.MULTILINE | re.IGNORECASE
)
_GLUED = re.compile(r"(?<=[.!?…)\]}\"'`])(?:assistant|user)\n\n(?=\S)")  # Llama 3's headers, their tokens dropped by the server
_DIALOGUE = re.compile(
    r"\b(?:dialogues?|conversations?|chats?|chatbots?|transcripts?|interviews?|scripts?|skits?|role-?play|exchanges?|prompts?|turns?"
    r"|templates?|formats?)\b",
    re.IGNORECASE,
)
_SPEAKER = re.compile(r"^[ \t]*(?:\*\*)?[A-Z<][\w .<>]{0,24}(?:\*\*)?:(?:\*\*)?[ \t]+\S", re.MULTILINE)
_OPENING = re.compile(r"\A\s*###? ?(?:Response|Assistant) ?:[ \t]*\n*")


def opening(text: str) -> int:
    """Where the text begins after the name of the answering side ("### Response:"), if it stands there; else 0."""
    found = _OPENING.match(text)
    return found.end() if found and text[found.end() :].strip() else 0


def next_turn(text: str) -> int | None:
    """Where a turn that the model invented after its answer begins; None where there is none."""
    if _HINT.search(text) is None:
        return None
    code = blocks(text)
    starts = [found.start() for found in (*_ALONE.finditer(text), *_GLUED.finditer(text)) if _outside(found.start(), code)]
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
    """Where fenced blocks of code stand; one that nothing closes lasts to the end."""
    return [found.span() for found in _FENCE.finditer(text)]


def call_in(text: str) -> bool:
    """Whether a tool is called outside code: `<tool_call>{"name": ...` at the beginning of a line or after a sentence."""
    code = blocks(text)
    return any(_outside(found.start(), code) for found in _CALL.finditer(text))


def _finished(answer: str) -> bool:
    """Whether this is an answer by itself: its last sentence has ended, and it is no part of a dialogue."""
    if not answer.endswith("\n") or _SENTENCE_END.search(answer.rstrip()) is None:
        return False
    return _DIALOGUE.search(answer) is None and _SPEAKER.search(answer) is None


def _outside(place: int, spans: list[tuple[int, int]]) -> bool:
    return not any(start <= place < end for start, end in spans)
