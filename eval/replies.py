"""Between lm-eval and the model: what is known is taken from the store, the rest is asked in fixed batches and kept as it comes.

A reply is known by the hash of the model, the rendered prompt, and the decoding: a killed evaluation goes on where it was,
another suite takes over the items that it shares, and a new extraction needs no model at all.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.backends import Ask, Backend, Refusal, Reply, continues
from eval.store import NAME, Record, Store
from gra.errors import EvalError
from gra.wellformed import well_formed

if TYPE_CHECKING:
    from eval.backends.front import Front

Progress = Callable[[int, int, str], None]  # (items answered, items in all, leaf task)
HOPELESS = 50  # refusals one after the other that may lie in the server: it is taken for broken
# What a model is loaded from. Weights and tokenizers lie at any depth; what runs wrote into the folder is no part of the model.
_OF_A_MODEL = {
    ".json", ".safetensors", ".bin", ".pt", ".pth", ".model", ".jinja", ".py", ".txt", ".tiktoken", ".spm", ".vocab", ".bpe"
}  # fmt: skip
_OF_RUNS = {"wandb", "runs", "outputs", "logs"}  # and folders with kept replies, and hidden ones
log = logging.getLogger(__name__)


@dataclass
class Account:
    """What happened to the requests: for results.json.

    By leaf task: `cut`: prompts whose head was left out for lack of room; `continued`: talks that end in the reply's beginning,
    for a chat server to go on from; `refused`: prompts that a server would not answer, and whose replies count as empty.
    `ended`: by leaf task and number of the item among those asked, whether a reply ended at its limit of tokens (see Reply).
    """

    asked: int = 0
    known: int = 0
    cut: Counter[str] = field(default_factory=Counter)
    continued: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    ended: dict[tuple[str, int], bool | None] = field(default_factory=dict)
    answer_limits: dict[str, int] = field(default_factory=dict)  # tokens that the suite allows -> what the model has room for


def keep(front: Front, backend: Backend, store: Store, model: str, progress: Progress | None = None) -> Account:
    """Make `front` answer from `store` first and from `backend` then. `model`: see model_key.

    `progress` is called for each leaf task with what was known at first, and as its replies come. Returns the account, which
    is filled as lm-eval asks. Replies that a server refused are not kept: they are asked for again. Raises EvalError.
    """
    account = Account()

    def answer(kind: str, requests: Sequence[Any]) -> list[Any]:
        asks = _asks(front, kind, requests, model, account)
        known = store.find(ask.key for ask in asks)
        distinct = {ask.key: ask for ask in asks}
        totals = Counter(ask.task for ask in asks)
        done = Counter(ask.task for ask in asks if ask.key in known)
        times = Counter(ask.key for ask in asks)
        refused: dict[str, Refusal] = {}
        in_a_row = 0
        account.known += len(known)
        if kind == "generate_until" and not front.renders:
            account.continued.update(ask.task for ask in asks if continues(json.loads(ask.args[0].prompt)))
        if progress is not None:
            for task, total in totals.items():
                progress(done[task], total, task)

        def told(group: Sequence[Ask], replies: Sequence[Any]) -> None:
            nonlocal in_a_row
            account.asked += len(group)
            records = []
            for ask, reply in zip(group, replies, strict=True):
                if isinstance(reply, Refusal):
                    refused[ask.key] = reply
                    in_a_row += reply.passing
                else:
                    records.append(_record(front, kind, ask, reply))
                    in_a_row = 0
            if in_a_row >= HOPELESS:
                raise _error(front, kind, store, distinct, refused)
            store.add(records)
            known.update((record.key, record) for record in records)
            for ask in group:
                done[ask.task] += times[ask.key]
                if progress is not None:
                    progress(done[ask.task], totals[ask.task], ask.task)

        if len(known) < len(distinct):
            whole = backend.cut(kind, _with_tokens(front, kind, list(distinct.values())))
            left = [[ask for ask in batch if ask.key not in known] for batch in whole]
            backend.answer(kind, [batch for batch in left if batch], told)
        if refused:
            if kind != "generate_until" or front.model.refused == "error" or len(refused) == len(distinct):
                raise _error(front, kind, store, distinct, refused)
            known |= {key: _record(front, kind, distinct[key], "") for key in refused}
            counts = Counter(ask.task for ask in asks if ask.key in refused)
            account.refused.update(counts)
            named = ", ".join(f"{task} {count} of {totals[task]}" for task, count in sorted(counts.items()))
            log.warning("refused by the server, and counted as empty replies: %s (%s)", named, next(iter(refused.values())).words)
        cut = Counter(ask.task for ask in asks if known[ask.key].cut)
        account.cut.update(cut)
        if cut:
            named = ", ".join(f"{task} {count} of {totals[task]}" for task, count in sorted(cut.items()))
            log.warning("prompts without their head, as the model has room for %s tokens in all: %s", front.max_length, named)
        if kind == "generate_until":
            for ask in asks:
                if ask.doc is not None:  # of several replies to one item, one at its limit counts
                    place = ask.task, ask.doc
                    account.ended[place] = account.ended.get(place) or known[ask.key].at_limit
        return [_value(kind, known[ask.key].reply) for ask in asks]

    front.answer = answer
    return account


def model_key(path: str, revision: str, dtype: str, *more: Any) -> str:
    """A name for what answers: of a local folder the content of its files, else the hub id; `more`: what else decides replies.

    Of a folder everything counts that a model is loaded from, and nothing that a run put there.
    """
    folder = Path(path)
    files = sorted(_files_of(folder)) if folder.is_dir() else []
    with ThreadPoolExecutor(4) as pool:  # a large model's files are read side by side
        digests = dict(zip((p.relative_to(folder).as_posix() for p in files), pool.map(_digest, files), strict=True))
    what: list[Any] = [digests or path, "" if digests else revision, dtype, *more]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _files_of(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if not (entry.name.startswith(".") or entry.name in _OF_RUNS or (entry / NAME).exists()):
                yield from _files_of(entry)
        elif entry.suffix in _OF_A_MODEL and entry.is_file():
            yield entry


def _error(front: Front, kind: str, store: Store, asks: Mapping[str, Ask], refused: Mapping[str, Refusal]) -> EvalError:
    """Who was refused, in the server's words. `asks`: key -> request, of all that were made."""
    model = front.model
    shown = [f"    {asks[key].task}, item {asks[key].doc}: {why.words}" for key, why in list(refused.items())[:3]]
    if (more := len(refused) - len(shown)) > 0:
        shown.append(f"    and {more} more")
    remedy = (
        "where all are refused: see the server's own log; if it reads fewer tokens than the model's config says, set "
        "model.max_length; if it takes no tokens, model.send=text"
    )
    if kind == "generate_until" and model.refused == "error":
        remedy += f". To count these as empty replies: model.refused=empty, another output, 'runtime.reuse=[{store.path.parent}]'"
    head = f"server {model.base_url}, model {model.name or model.path}: refused {len(refused)} of {len(asks)} requests"
    return EvalError("\n".join([f"{head}; what was answered is kept", *shown, f"    -> {remedy}"]))


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
        asks.append(Ask(key, request.task_name or "", args, doc=getattr(request, "doc_id", None)))
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
    value, at_limit = (reply.text, reply.at_limit) if isinstance(reply, Reply) else (reply, None)
    decoding = json.dumps(ask.decoding, sort_keys=True, default=str)
    return Record(ask.key, kind, ask.task, decoding, well_formed(value), cut, at_limit)


def _value(kind: str, reply: Any) -> Any:
    return (float(reply[0]), bool(reply[1])) if kind == "loglikelihood" else reply
