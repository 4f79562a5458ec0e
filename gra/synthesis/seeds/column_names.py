"""PURE: finds columns by their usual names, and builds the overrides (`seeds.columns.NAME=COLUMN`) that the user can
type if the names are unknown or ambiguous."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from gra.synthesis.seeds.templates import holds_chat
from gra.synthesis.seeds.text import ColumnFault, columns_of, present
from gra.synthesis.seeds.turns import is_chat, is_turn

CHATS = ("messages", "conversations", "conversation", "dialog", "dialogue", "chat", "turns", "data", "contents")
INSTRUCTIONS = ("instruction", "question", "prompt", "query", "problem", "user", "human")
RESPONSES = (
    "output",
    "response",
    "answer",
    "completion",
    "reply",
    "solution",
    "generated_solution",
    "assistant",
    "gpt",
    "chatgpt",
)
# Used only if the record has none of the names above.
OTHER_INSTRUCTIONS = ("user_prompt", "user_query", "user_input", "user_message", "user_question", "human_input")
OTHER_RESPONSES = (
    "model_response",
    "model_output",
    "model_answer",
    "assistant_response",
    "assistant_message",
    "bot_response",
    "gpt_response",
    "ai_response",
    "final_answer",
)
OTHER_PAIRS = (("input", "target"), ("source", "target"))
INPUTS = ("input", "context")
SYSTEMS = ("system", "system_prompt", "system_message")
MEDIA = ("image", "images", "video", "videos", "audio", "audios")
# Columns that never hold the answer to an instruction in the same record.
ASIDE = (
    "id",
    "idx",
    "index",
    "uid",
    "uuid",
    "",
    "domain",
    "category",
    "topic",
    "subject",
    "source",
    "type",
    "task",
    "skill",
    "level",
    "difficulty",
    "language",
    "lang",
    "split",
    "url",
    "date",
    "license",
    *SYSTEMS,
    *INPUTS,
)


_ASIDE_OF_TEXT = tuple(name for name in ASIDE if name not in (*INPUTS, "task", "topic", "source"))


@lru_cache(10_000)
def fold(name: object) -> str:
    """Return the normal form of a column's name, by which names are compared. It is in lower case, has "_" for
    separators, and has no "_text" or plural s at its end. The usual names of chat and media columns (the constants
    CHATS and MEDIA) keep their final s."""
    folded = re.sub(r"[\s_\-.]+", "_", str(name).strip().lower()).removesuffix("_text")
    return folded if folded in CHATS or folded in MEDIA else folded.removesuffix("s")


def suggest(record: Any, key: str = "seeds.columns") -> str:
    """Return Hydra overrides that the user can type to map the columns of `record`; "" if no column fits. The project
    does not recognise the names of these columns, so the columns are selected by their values.

    If a column holds a chat, the first such column is mapped. Otherwise the first two text columns are mapped to
    instruction and response. If some text columns hold several words, columns that hold a single word, e.g. a ticket
    number, are skipped.
    """
    if not isinstance(record, dict):
        return ""
    chats = [name for name, value in record.items() if value and is_chat(value)]
    chats = [name for name in chats if not isinstance(record[name], str) or holds_chat(record[name])]
    chats = [
        name for name in chats if fold(name) in CHATS or not isinstance(record[name], list) or is_turn(record[name][0])
    ]
    if chats:
        return override("messages", chats[0], key)
    texts = [str(name) for name, value in record.items() if isinstance(value, str) and _may_hold_text(fold(name))]
    texts = [name for name in texts if name.isprintable()]
    texts = [name for name in texts if len(record[name].split()) > 1] or texts
    return " ".join(override(*pair, key) for pair in zip(("instruction", "response"), texts[:2], strict=False))


def _may_hold_text(name: str) -> bool:
    """Return whether a column of this folded name can hold a question or an answer. An id, metadata or a rejected answer cannot."""
    return (
        name not in (*_ASIDE_OF_TEXT, "rejected", "role", "model")
        and re.search(r"(^|_)(id|hash|uuid|name)$", name) is None
    )


def override(name: str, column: str, key: str = "seeds.columns") -> str:
    """Return `seeds.columns.NAME=COLUMN`, quoted for Hydra and the shell."""
    if re.fullmatch(r"[A-Za-z_][\w.\-]*", column, re.ASCII) and column.lower() not in (
        "null",
        "true",
        "false",
        "nan",
        "inf",
    ):
        return f"{key}.{name}={column}"
    # Hydra: a backslash is literal except before a quote
    quoted = re.sub(r'(\\+)(?="|\Z)', r"\1\1", column).replace('"', '\\"')
    return shlex.quote(f'{key}.{name}="{quoted}"')


def named(record: Mapping[str, Any], names: tuple[str, ...], holds: Callable[[Any], bool] | None = None) -> list[str]:
    """Return the columns of `record` whose names are in `names`. Names are compared in their normal form (`fold`).

    If the function `holds` is given, only columns for whose value it returns True are returned. Without `holds`, if
    several columns match (as in merged data sets), the empty ones are left out. If all of them are empty, all are
    returned.
    """
    found = [name for name in record if isinstance(name, str) and fold(name) in names]
    if holds is not None:
        return [name for name in found if present(record[name]) and holds(record[name])]
    return ([name for name in found if present(record[name])] if len(found) > 1 else found) or found


def ambiguous(
    record: Mapping[str, Any], what: str, one: list[str], answers: list[str], instructions: list[str] | None = None
) -> ColumnFault:
    """Return the error for a record in which several columns may hold the same part of a seed. Its message contains
    overrides that choose one column.

    `what`: the name of this part, which is "the instruction", "the response", "the input" or "the chat". `one`: the
    columns that may hold this part. But if `what` is "the response", these are the columns that may hold the
    instruction. `answers`: the columns that may hold the response. `instructions`: the instruction column, needed only
    if `what` is "the input".
    """
    many = answers if what == "the response" else one
    if what == "the chat":
        choice = override("messages", many[0])
    elif what == "the input":
        known = [
            ("instruction", (instructions or many)[0]),
            ("input", many[0]),
            *(("response", name) for name in answers),
        ]
        choice = " ".join(override(*pair) for pair in known)
    else:
        choice = " ".join(
            override(*pair) for pair in (("instruction", one[0]), *(("response", name) for name in answers[:1]))
        )
    return ColumnFault(
        f"several columns may hold {what} ({', '.join(f'`{name[:40]}`' for name in many[:6])}; {columns_of(record)}): "
        f"choose one, e.g. {choice}"
    )
