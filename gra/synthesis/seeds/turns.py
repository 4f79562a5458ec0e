"""Reads the first question and its answer from a chat in any known form.

Known forms of turns: {role, content}, {from, value} and similar keys (in parquet, one turn can have both kinds of keys,
with nulls); contents as a list of parts; pairs {human, assistant}; texts that alternate between user and assistant; a
mapping of lists; any of these as a JSON text. A chat whose answer needs a tool's output or an image is not a seed,
because its instruction alone cannot be answered.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from gra.synthesis.seeds.templates import holds_chat, template_turns
from gra.synthesis.seeds.text import BadRecord, Dropped, Fields, check_text, kind_of, missing_column, present, stripped

Role = Literal["user", "assistant", "system", "tool"]
ROLE_KEYS = ("role", "from", "speaker", "author", "sender")
CONTENT_KEYS = ("content", "value", "text", "message", "utterance", "parts")
_ROLES: dict[Role, tuple[str, ...]] = {
    "user": (
        "user",
        "human",
        "prompter",
        "instruction",
        "question",
        "query",
        "customer",
        "student",
        "usr",
        "用户",
        "人类",
    ),
    "assistant": (
        "assistant",
        "gpt",
        "model",
        "bot",
        "ai",
        "bing",
        "llm",
        "chatbot",
        "response",
        "answer",
        "agent",
        "teacher",
        "助手",
    ),
    "system": ("system", "developer", "sys", "context", "系统"),
    "tool": (
        "tool",
        "function",
        "functioncall",
        "functionresponse",
        "functionresult",
        "observation",
        "toolcall",
        "toolcalls",
        "toolresponse",
        "toolresult",
        "tooloutput",
        "ipython",
        "environment",
    ),
}
# roles that are the name of a model, e.g. gpt-4
_MODELS = re.compile("chatgpt|gpt|bard|claude|gemini|llama|mistral|qwen|deepseek|vicuna|copilot|assistant")
_ROLE_OF = {name: role for role, names in _ROLES.items() for name in names}
_IN_PAIRS: dict[str, Role] = {"input": "user", "output": "assistant"}
_CALLS = ("tool_calls", "function_call", "tool_call")
_CALL_IN_TEXT = re.compile(r"<(tool_call|function_?call)>", re.IGNORECASE)
_THOUGHTS = ("reasoning", "thinking", "thought", "thoughts", "analysis")  # roles of turns that hold reasoning
_TEXT_PARTS = ("", "text", "input_text", "output_text")
_BESIDE_TEXT = ("type", "text", "annotations", "cache_control")  # keys that a part of type text may have
_PICTURE = re.compile(r"\A<image>|<image>\Z")  # where LLaVA's data mark an image
TOOL = "its answer needs a tool's output, which is not part of a seed"


def is_turn(value: Any) -> bool:
    """Return whether `value` is one turn of a chat and its speaker has a known role. A list of such values is a chat,
    not a list of records."""
    return _has_turn_keys(value) and role_of(_lowered(value)) is not None


def is_chat(value: Any) -> bool:
    """Return whether `value` may be a chat. A chat is a list of turns or of texts, a mapping of lists, or a text that
    contains a chat as JSON or in a chat template."""
    if isinstance(value, str):
        return value.lstrip()[:1] == "[" or holds_chat(value)
    if isinstance(value, dict):
        return _has_turn_keys(value) and all(isinstance(entry, list) for entry in value.values())
    if not isinstance(value, list):
        return False
    return (
        is_role_pairs(value)
        or all(_has_turn_keys(turn) or _is_pair(turn) for turn in value)
        or all(isinstance(turn, str) for turn in value)
    )


def is_role_pairs(value: Any) -> bool:
    """Return whether `value` has the form [["user", question], ["assistant", answer], ...]."""
    if not isinstance(value, list) or len(value) < 2:
        return False
    pairs = all(isinstance(turn, list) and len(turn) == 2 and isinstance(turn[0], str) for turn in value)
    roles = {_ROLE_OF.get(turn[0].casefold()) for turn in value} if pairs else set()
    return {"user", "assistant"} <= roles and None not in roles


def chat(record: Any, column: str) -> list[Fields]:
    """Return a list with one seed, which consists of the first question in a chat and its answer. If the record is a
    list, the record itself is the chat. Otherwise the chat is the value of the column `column`. Consecutive turns of
    the same speaker are joined.

    The seed's field `dropped` says whether a system prompt, turns before the question or turns after the answer were
    left out. Raises BadRecord if the chat has no question with an answer, or if the question or the answer needs a tool
    or an image.
    """
    value = record if isinstance(record, list) else record.get(column) if isinstance(record, dict) else None
    if value is None and not (isinstance(record, dict) and column in record):
        raise missing_column(record, column)
    turns = _turns(value, column)
    question: list[str] = []
    answer: list[str] = []
    needs_tool = system = False
    earlier = used = 0
    for place, turn in enumerate(turns):
        role = role_of(turn)
        if answer and role in ("user", "system", None):
            break
        if role is None and _role_name(turn).casefold() in _THOUGHTS:  # not part of the answer
            used = place + 1
            continue
        if role is None and _text_of(turn, column):
            raise BadRecord(f"`{column}` has a turn with the unknown role {_role_name(turn)!r}")
        if role == "system":
            system = system or bool(_text_of(turn, column))
        elif question and (role == "tool" or any(_calls(turn.get(key)) for key in _CALLS)):
            needs_tool = True
        elif role == "assistant" and turn.get("channel") in (
            "analysis",
            "commentary",
        ):  # harmony: not part of the answer
            pass
        elif role == "user":
            question.append(_needed(turn, column, "the question"))
        elif role == "assistant" and not question:
            earlier += 1
        elif role == "assistant" and not needs_tool:
            answer.append(_text_of(turn, column))
            needs_tool = _CALL_IN_TEXT.match(answer[-1]) is not None
        used = place + 1
    if needs_tool:
        raise BadRecord(TOOL)
    if not question or not answer:
        raise BadRecord(f"`{column}` has no user turn followed by an answer")
    texts = ["\n\n".join(filter(None, side)) for side in (question, answer)]
    if _PICTURE.search(texts[0]):
        raise BadRecord(f"the question in `{column}` contains something other than text (`<image>`)")
    if not texts[1]:
        raise BadRecord(f"the answer in `{column}` is empty")
    for text in texts:
        check_text(text, column)
    later = sum(1 for turn in turns[used:] if role_of(turn) != "system")
    return [Fields(texts[0], texts[1], dropped=Dropped(system, earlier + later))]


def role_of(turn: Mapping[str, Any]) -> Role | None:
    """Return the role of the turn's speaker, which is user, assistant, system or tool. Return None if no key in
    ROLE_KEYS has a known role as its value."""
    for key in ROLE_KEYS:
        value = turn.get(key)
        value = value.get("role") if isinstance(value, dict) else value
        if isinstance(value, str):
            name = re.sub(r"[\W_]", "", value.casefold())
            role = (
                _ROLE_OF.get(name)
                or _ROLE_OF.get(re.sub(r"\d+$", "", name))
                or ("assistant" if _MODELS.match(name) else None)
            )
            if role is not None:
                return role
    return None


def _turns(value: Any, column: str) -> list[dict[str, Any]]:
    """Return the turns of a chat in any known form as mappings. Raises BadRecord for other values."""
    if not present(value):
        raise BadRecord(f"`{column}` is empty")
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        value = template_turns(value) or _read_text(value, column)
    if isinstance(value, str):
        value = template_turns(value)
    if is_role_pairs(value):
        value = [{"role": role, "content": said} for role, said in value]
    if isinstance(value, tuple):
        value = [{"role": role, "content": said} for role, said in value if said]
    if isinstance(value, dict) and value and all(isinstance(entry, list) for entry in value.values()):
        if len({len(entry) for entry in value.values()}) > 1:
            raise BadRecord(f"the lists in `{column}` have different lengths")
        value = [dict(zip(value, turn, strict=True)) for turn in zip(*value.values(), strict=True)]
    if isinstance(value, list) and value and all(isinstance(turn, str) for turn in value):
        return [{"role": ("user", "assistant")[place % 2], "content": turn} for place, turn in enumerate(value)]
    if not isinstance(value, list) or not all(isinstance(turn, dict) for turn in value):
        raise BadRecord(f"`{column}` is not a list of turns")
    return [part for turn in value for part in (_pair(turn) if _is_pair(turn) else [_lowered(turn)])]


def _read_text(value: str, column: str) -> Any:
    """Parse turns that are written as JSON, or as Python or numpy print them (CSV files written with pandas)."""
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        try:
            return ast.literal_eval(re.sub(r"\}\s*\n\s*\{", "}, {", value.strip()))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            raise BadRecord(f"`{column}` is a text that is not JSON: {str(error)[:60]}") from error


def _calls(value: Any) -> bool:
    """Return whether the value of a call field is a real tool call; parquet and CSV keep empty call fields in every turn."""
    if isinstance(value, dict):
        return any(map(present, value.values()))
    return present(value) and not (isinstance(value, str) and value.strip() in ("[]", "{}", "[null]"))


def _has_turn_keys(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    value = _lowered(value)
    return any(key in value for key in ROLE_KEYS) and any(key in value for key in (*CONTENT_KEYS, *_CALLS))


def _lowered(turn: dict[str, Any]) -> dict[str, Any]:
    """Return the turn with keys such as `Role` and `Content` in lower case."""
    usual = any(key in turn for key in ROLE_KEYS)
    return turn if usual else {key.lower() if isinstance(key, str) else key: entry for key, entry in turn.items()}


def _is_pair(turn: Any) -> bool:
    """Return whether this is {human: question, assistant: answer}, two turns in one mapping."""
    if not isinstance(turn, dict):
        return False
    if {key for key, entry in turn.items() if isinstance(entry, str)} == {"input", "output"}:  # Capybara
        return True
    roles = {
        _ROLE_OF.get(key.lower()) for key, entry in turn.items() if isinstance(key, str) and isinstance(entry, str)
    }
    return {"user", "assistant"} <= roles and not any(isinstance(turn.get(key), str) for key in ROLE_KEYS)


def _pair(turn: dict[str, Any]) -> list[dict[str, Any]]:
    sides = [(_ROLE_OF.get(key.lower()) or _IN_PAIRS.get(key), entry) for key, entry in turn.items()]
    order = ("system", "user", "assistant")
    return [{"role": role, "content": entry} for wanted in order for role, entry in sides if role == wanted]


def _text_of(turn: Mapping[str, Any], column: str) -> str:
    """Return the turn's text; "" if it has none. Raises BadRecord for contents other than text."""
    found = next((turn[key] for key in CONTENT_KEYS if present(turn.get(key))), None)
    if isinstance(found, dict):  # {content_type, parts}, or one part alone
        found = found["parts"] if isinstance(found.get("parts"), list) else [found]
    if isinstance(found, list):
        return "\n".join(filter(None, (_part(part, column) for part in found)))
    return stripped(found, f"a turn in `{column}`")


def _part(part: Any, column: str) -> str:
    if isinstance(part, dict):
        kind = str(part.get("type") or "").lower()
        if kind in ("thinking", "reasoning", "redacted_thinking"):  # not part of the answer
            return ""
        if kind not in _TEXT_PARTS:
            if "tool" in kind or "function" in kind:
                raise BadRecord(TOOL)
            raise BadRecord(f"a turn in `{column}` contains something other than text ({kind[:40]!r})")
        other = next((key for key in part if key not in _BESIDE_TEXT and present(part[key])), None)
        if other is not None and not present(part.get("text")):
            raise BadRecord(f"a turn in `{column}` contains something other than text ({str(other)[:40]!r})")
        part = part.get("text")
    return stripped(part, f"a part of a turn in `{column}`")


def _needed(turn: Mapping[str, Any], column: str, what: str) -> str:
    if not (text := _text_of(turn, column)):
        raise BadRecord(f"{what} in `{column}` is empty")
    return text


def _role_name(turn: Mapping[str, Any]) -> str:
    found = next((turn[key] for key in ROLE_KEYS if present(turn.get(key))), None)
    return (found if isinstance(found, str) else kind_of(found))[:40]
