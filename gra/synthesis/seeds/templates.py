r"""PURE: splits a text in a chat template, e.g. "### Human: Q### Assistant: A" or "<s>[INST] Q [/INST] A </s>", into
turns.

Data sets prepared for one model have this form (Guanaco, Llama 2 and ChatML texts, Anthropic's HH, Glaive). Each
template has marks that begin a user, assistant or system turn. A text is in a template only if it begins with the
template's mark of a user or system turn. It is split at the marks of this template only.
"""

from __future__ import annotations

import re
from functools import lru_cache

_USER = r"(?P<user>{})"
_ASSISTANT = r"(?P<assistant>{})"
_SYSTEM = r"(?P<system>{})"


def _family(user: str, assistant: str, system: str = r"(?!)") -> re.Pattern[str]:
    return re.compile(rf"{_SYSTEM.format(system)}|{_USER.format(user)}|{_ASSISTANT.format(assistant)}", re.MULTILINE)


_ROLE = r"<\|{}\|>:?[ \t]*\n?"
_FAMILIES = (
    _family(r"<\|im_start\|>user\n?", r"<\|im_start\|>assistant\n?", r"<\|im_start\|>system\n?"),
    _family(*(rf"<\|start_header_id\|>{role}<\|end_header_id\|>\s*" for role in ("user", "assistant", "system"))),
    _family(r"<start_of_turn>user\n?", r"<start_of_turn>model\n?"),
    _family(r"(?:<s>\s*)?\[INST\](?:\s*(?=<<SYS>>))?", r"\[/INST\]"),
    _family(
        *(
            _ROLE.format(names)
            for names in ("(?:[Uu]ser|prompter|Human|human)", "(?:[Aa]ssistant|bot|MOSS)", "[Ss]ystem")
        )
    ),
    _family(r"<｜User｜>", r"<｜Assistant｜>"),
    _family(r"\[\|(?:Human|user)\|\]", r"\[\|(?:AI|assistant)\|\]", r"\[\|system\|\]"),
    _family(r"<human>:", r"<bot>:"),
    _family(r"### ?(?:Human|User) ?:", r"### ?(?:Assistant|AI|Bot) ?:", r"^### ?System ?:"),
    _family(r"^### ?(?:Instruction|User) ?:", r"^### ?(?:Response|Assistant) ?:", r"^### ?System ?:"),
    _family(r"^USER ?:", r"(?:^|(?<= ))ASSISTANT ?:", r"^SYSTEM ?:"),
    _family(r"^Human ?:", r"^(?:Assistant|AI) ?:"),
)
_OPENING = re.compile(
    r"\s*(?:Below is an instruction that describes a task[^\n]*\n\s*)?"
    r"(?:<s>|<\|begin_of_text\|>|<bos>|<｜begin▁of▁sentence｜>|<\|endoftext\|>)?\s*"
)
_SYS = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>", re.DOTALL)
_END = re.compile(
    r"(?:\s*(?:</?s>|<\|(?:im_end|eot_id|end_of_text|end|endoftext)\|>|<end_of_turn>|<eos>|<eo[ahmp]>|<｜end▁of▁sentence｜>"
    r"|\[\|endofturn\|\]))+\s*\Z"
)


@lru_cache(64)
def template_turns(text: str) -> tuple[tuple[str, str], ...]:
    """Return (role, text) for each turn of a text in a chat template. Return () if the text is in no known template or
    has no user turn."""
    start = _OPENING.match(text)
    place = start.end() if start else 0
    for family in _FAMILIES:
        first = family.match(text, place)
        if first is None or first.lastgroup not in ("user", "system"):
            continue
        marks = list(family.finditer(text, place))
        ends = [*(mark.start() for mark in marks[1:]), len(text)]
        turns: list[tuple[str, str]] = []
        for mark, end in zip(marks, ends, strict=True):
            said = _END.sub("", text[mark.end() : end]).strip()
            if (hidden := _SYS.match(said)) is not None:
                turns.append(("system", hidden[1].strip()))
                said = said[hidden.end() :].strip()
            turns.append((str(mark.lastgroup), said))
        return tuple(turns) if any(role == "user" for role, _ in turns) else ()
    return ()


def holds_chat(text: str) -> bool:
    """Return whether `text` is in a chat template and contains a question and a later answer."""
    roles = [role for role, said in template_turns(text) if said]
    return "user" in roles and "assistant" in roles[roles.index("user") :]
