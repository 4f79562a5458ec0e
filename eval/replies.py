"""Between lm-eval and the model: what is known is taken from the store, the rest is asked in fixed batches and kept as it comes.

A reply is known by the hash of the model, the rendered prompt, and the decoding: a killed evaluation goes on where it was,
another suite takes over the items that it shares, and a new extraction needs no model at all.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.backends import Ask, Backend
from eval.store import Record, Store
from gra.wellformed import well_formed

if TYPE_CHECKING:
    from eval.backends.front import Front

Progress = Callable[[int, int, str], None]  # (items answered, items in all, leaf task)
log = logging.getLogger(__name__)


@dataclass
class Account:
    """What happened to the requests: for results.json. `cut`: leaf task -> prompts whose head was left out for lack of room."""

    asked: int = 0
    known: int = 0
    cut: Counter[str] = field(default_factory=Counter)
    answer_limits: dict[str, int] = field(default_factory=dict)  # tokens that the suite allows -> what the model has room for


def keep(front: Front, backend: Backend, store: Store, model: str, progress: Progress | None = None) -> Account:
    """Make `front` answer from `store` first and from `backend` then. `model`: see model_key.

    `progress` is called for each leaf task with what was known at first, and as its replies come. Returns the account, which
    is filled as lm-eval asks.
    """
    account = Account()

    def answer(kind: str, requests: Sequence[Any]) -> list[Any]:
        asks = _asks(front, kind, requests, model, account)
        known = store.find(ask.key for ask in asks)
        distinct = {ask.key: ask for ask in asks}
        totals = Counter(ask.task for ask in asks)
        done = Counter(ask.task for ask in asks if ask.key in known)
        times = Counter(ask.key for ask in asks)
        account.known += len(known)
        if progress is not None:
            for task, total in totals.items():
                progress(done[task], total, task)

        def told(group: Sequence[Ask], replies: Sequence[Any]) -> None:
            records = [_record(front, kind, ask, reply) for ask, reply in zip(group, replies, strict=True)]
            store.add(records)
            account.asked += len(records)
            for record in records:
                known[record.key] = record
                done[record.task] += times[record.key]
                if progress is not None:
                    progress(done[record.task], totals[record.task], record.task)

        if len(known) < len(distinct):
            whole = backend.cut(kind, _with_tokens(front, kind, list(distinct.values())))
            left = [[ask for ask in batch if ask.key not in known] for batch in whole]
            backend.answer(kind, [batch for batch in left if batch], told)
        cut = Counter(ask.task for ask in asks if known[ask.key].cut)
        account.cut.update(cut)
        if cut:
            named = ", ".join(f"{task} {count} of {totals[task]}" for task, count in sorted(cut.items()))
            log.warning("prompts without their head, as the model has room for %s tokens in all: %s", front.max_length, named)
        return [_value(kind, known[ask.key].reply) for ask in asks]

    front.answer = answer
    return account


def model_key(path: str, revision: str, dtype: str, *more: Any) -> str:
    """A name for what answers: of a local folder the content of every file, else the hub id; `more`: what else decides replies."""
    folder = Path(path)
    files = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []
    with ThreadPoolExecutor(4) as pool:  # a large model's files are read side by side
        digests = dict(zip((p.relative_to(folder).as_posix() for p in files), pool.map(_digest, files), strict=True))
    what: list[Any] = [digests or path, "" if digests else revision, dtype, *more]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _digest(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _asks(front: Front, kind: str, requests: Sequence[Any], model: str, account: Account) -> list[Ask]:
    """lm-eval's requests with their keys; of repeated ones that sample their replies each has a key of its own."""
    asks, seen = [], Counter[str]()
    for request in requests:
        args = tuple(request.args)
        if kind == "generate_until":
            args = (args[0], _decoding(front, args[1], account))
        text = json.dumps([kind, model, front.max_length, args], sort_keys=True)
        sampled = kind == "generate_until" and (args[1].get("do_sample") or args[1].get("temperature", 0.0) > 0.0)
        seen[text] += 1
        copy = seen[text] if sampled else 1
        key = hashlib.sha256(f"{text}\0{copy}".encode()).hexdigest()
        asks.append(Ask(key, request.task_name or "", args))
    return asks


def _decoding(front: Front, given: Mapping[str, Any], account: Account) -> dict[str, Any]:
    """The keywords of a generation, in lm-eval's canonical form, with room in the model's context for prompt and reply.

    A reply may take half of the context at most: beyond it the model's head room is what counts, not the suite's number
    (4096 of a model that reads 2048 tokens), and lm-eval itself would refuse, or leave next to nothing of the prompts.
    """
    from lm_eval.models.utils import normalize_gen_kwargs

    decoding: dict[str, Any] = dict(normalize_gen_kwargs(dict(given), default_max_gen_toks=256))
    asked = decoding["max_gen_toks"]
    if front.max_length is not None and asked > front.max_length // 2:
        decoding["max_gen_toks"] = front.max_length // 2
        if str(asked) not in account.answer_limits:
            log.warning(
                "replies may have %d tokens, not %d: the model reads %d in all, and half is left for the prompt",
                decoding["max_gen_toks"], asked, front.max_length,
            )  # fmt: skip
        account.answer_limits[str(asked)] = decoding["max_gen_toks"]
    return decoding | front.extra_decoding


def _with_tokens(front: Front, kind: str, asks: Sequence[Ask]) -> list[Ask]:
    if not front.renders:  # a chat server counts for itself; the text's length orders just as well
        return list(asks)
    if kind == "loglikelihood":
        pairs = front.pairs(asks)
        return [replace(ask, ids=(*head, *tail), scored=len(tail)) for ask, (head, tail) in zip(asks, pairs, strict=True)]
    found = front.tokens([ask.args[0] for ask in asks])
    return [replace(ask, ids=tuple(ids)) for ask, ids in zip(asks, found, strict=True)]


def _record(front: Front, kind: str, ask: Ask, reply: Any) -> Record:
    cut = False
    if front.max_length is not None and kind != "loglikelihood_rolling":
        room = front.max_length - ask.decoding["max_gen_toks"] if kind == "generate_until" else front.max_length + 1
        cut = len(ask.ids) > room
    return Record(ask.key, kind, ask.task, json.dumps(ask.decoding, sort_keys=True, default=str), well_formed(reply), cut)


def _value(kind: str, reply: Any) -> Any:
    return (float(reply[0]), bool(reply[1])) if kind == "loglikelihood" else reply
