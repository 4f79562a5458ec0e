"""Answers lm-eval's requests from the reply store. Requests without a stored reply are sent to the model.

New replies are stored as they arrive. A reply's key is the hash of the model, the rendered prompt and the decoding.
Three things follow: a killed evaluation resumes where it stopped, another suite reuses the replies to items that it
shares, and changed extraction rules can be applied without the model.
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

from gra.errors import EvalError
from gra.eval.backends import EvalBackend, ModelRequest, Refusal, Reply, continues
from gra.eval.inference.reply_store import NAME, Record, ReplyStore
from gra.wellformed import well_formed

if TYPE_CHECKING:
    from gra.eval.backends.front import HarnessModel

Progress = Callable[[int, int, str], None]  # (items answered, items in total, leaf task)
# The server counts as broken after this many refusals that may be its own fault, without a reply in between.
HOPELESS = 50
# Endings of the files that a model is loaded from, at any depth. Other files in the folder are not part of the model.
_OF_A_MODEL = {
    ".json",
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".model",
    ".jinja",
    ".py",
    ".txt",
    ".tiktoken",
    ".spm",
    ".vocab",
    ".bpe",
}
_OF_RUNS = {"wandb", "runs", "outputs", "logs"}  # skipped, as are hidden folders and folders with a reply store
log = logging.getLogger(__name__)


@dataclass
class ReplyCounts:
    """Counts of what happened to the requests. They are written to results.json.

    - `sent`: the number of requests sent to the model.
    - `known`: the number of requests answered from the store.
    - `cut`: for each leaf task, the number of prompts whose start was removed to fit the model's context.
    - `continued`: for each leaf task, the number of conversations that end with the beginning of a reply (lm-eval's
      gen_prefix), which a chat server has to continue.
    - `refused`: for each leaf task, the number of prompts that the server refused. A refused prompt counts as an empty
      reply.
    - `ended`: for each (leaf task, index of the item among the evaluated items), whether the reply was truncated at its
      token limit; None if unknown.
    """

    sent: int = 0
    known: int = 0
    cut: Counter[str] = field(default_factory=Counter)
    continued: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    ended: dict[tuple[str, int], bool | None] = field(default_factory=dict)
    # a task's token limit -> the lower limit that fits the model's context
    answer_limits: dict[str, int] = field(default_factory=dict)


def keep(
    lm: HarnessModel, backend: EvalBackend, store: ReplyStore, model: str, progress: Progress | None = None
) -> ReplyCounts:
    """Make `lm` take stored replies from `store` and all other replies from `backend`. Return counts of the requests.

    The counts grow while lm-eval runs. `model`: the hash that `model_key` returns.

    While lm-eval runs, `progress` is called for each leaf task: first with the number of stored replies, then whenever
    new replies arrive. Refusals are not stored, so the next evaluation sends these requests again.

    While lm-eval runs, `lm` raises EvalError in four cases:

    - The number of refusals in a row reached the constant HOPELESS. Only refusals that may be the server's own fault
      count.
    - The server refused all requests.
    - The server refused a request for log-likelihoods.
    - The server refused at least one request, and `model.refused=error` is set.
    """
    counts = ReplyCounts()

    def answer(kind: str, instances: Sequence[Any]) -> list[Any]:
        requests = _requests(lm, kind, instances, model, counts)
        known = store.find(request.key for request in requests)
        distinct = {request.key: request for request in requests}
        totals = Counter(request.task for request in requests)
        done = Counter(request.task for request in requests if request.key in known)
        times = Counter(request.key for request in requests)
        refused: dict[str, Refusal] = {}
        in_a_row = 0
        counts.known += len(known)
        if kind == "generate_until" and not lm.renders:
            counts.continued.update(
                request.task for request in requests if continues(json.loads(request.args[0].prompt))
            )
        if progress is not None:
            for task, total in totals.items():
                progress(done[task], total, task)

        def on_replies(group: Sequence[ModelRequest], replies: Sequence[Any]) -> None:
            nonlocal in_a_row
            counts.sent += len(group)
            records = []
            for request, reply in zip(group, replies, strict=True):
                if isinstance(reply, Refusal):
                    refused[request.key] = reply
                    in_a_row += reply.passing
                else:
                    records.append(_record(lm, kind, request, reply))
                    in_a_row = 0
            if in_a_row >= HOPELESS:
                raise _error(lm, kind, store, distinct, refused)
            store.add(records)
            known.update((record.key, record) for record in records)
            for request in group:
                done[request.task] += times[request.key]
                if progress is not None:
                    progress(done[request.task], totals[request.task], request.task)

        if len(known) < len(distinct):
            whole = backend.cut(kind, _with_tokens(lm, kind, list(distinct.values())))
            left = [[request for request in batch if request.key not in known] for batch in whole]
            backend.answer(kind, [batch for batch in left if batch], on_replies)
        if refused:
            if kind != "generate_until" or lm.model.refused == "error" or len(refused) == len(distinct):
                raise _error(lm, kind, store, distinct, refused)
            known |= {key: _record(lm, kind, distinct[key], "") for key in refused}
            per_task = Counter(request.task for request in requests if request.key in refused)
            counts.refused.update(per_task)
            named = ", ".join(f"{task} {count} of {totals[task]}" for task, count in sorted(per_task.items()))
            log.warning(
                "refused by the server, counted as empty replies: %s (%s)", named, next(iter(refused.values())).words
            )
        cut = Counter(request.task for request in requests if known[request.key].cut)
        counts.cut.update(cut)
        if cut:
            named = ", ".join(f"{task} {count} of {totals[task]}" for task, count in sorted(cut.items()))
            log.warning("prompts shortened at their start to fit the model's %s tokens: %s", lm.max_length, named)
        if kind == "generate_until":
            for request in requests:
                if request.doc is not None:  # an item with several replies counts as truncated if one of them was
                    place = request.task, request.doc
                    counts.ended[place] = counts.ended.get(place) or known[request.key].at_limit
        return [_value(kind, known[request.key].reply) for request in requests]

    lm.answer = answer
    return counts


def model_key(path: str, revision: str, dtype: str, *more: Any) -> str:
    """Return a hash that identifies the model. It is part of the key of each stored reply.

    For a local model, the hash covers the content of the model's files. Files that GRA's runs wrote into the model's
    folder are not covered. For any other model, it covers the hub id and `revision`. In both cases it also covers
    `dtype` and `*more`. `*more` is everything else that changes the replies, such as the backend.
    """
    folder = Path(path)
    files = sorted(_files_of(folder)) if folder.is_dir() else []
    with ThreadPoolExecutor(4) as pool:  # a large model has several files
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


def _error(
    lm: HarnessModel, kind: str, store: ReplyStore, requests: Mapping[str, ModelRequest], refused: Mapping[str, Refusal]
) -> EvalError:
    """Return the error for refused requests, with the server's words. `requests`: all requests by key."""
    model = lm.model
    shown = [
        f"    {requests[key].task}, item {requests[key].doc}: {why.words}" for key, why in list(refused.items())[:3]
    ]
    if (more := len(refused) - len(shown)) > 0:
        shown.append(f"    and {more} more")
    remedy = (
        "if all are refused: see the server's log; if the server's context is shorter than the model's config says, set "
        "model.max_length; if it does not accept token ids, set model.send=text"
    )
    if kind == "generate_until" and model.refused == "error":
        reuse = f"'runtime.reuse=[{store.path.parent}]'"
        remedy += f". To count them as empty replies, set model.refused=empty, another output and {reuse}"
    head = (
        f"server {model.base_url}, model {model.name or model.path}: refused {len(refused)} of {len(requests)} requests"
    )
    return EvalError("\n".join([f"{head}; the replies so far are kept", *shown, f"    -> {remedy}"]))


def _digest(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _requests(
    lm: HarnessModel, kind: str, instances: Sequence[Any], model: str, counts: ReplyCounts
) -> list[ModelRequest]:
    """Return lm-eval's requests with their keys. If replies are sampled, repeats of a request get different keys."""
    requests, seen = [], Counter[str]()
    for instance in instances:
        args = tuple(instance.args)
        if kind == "generate_until":
            args = (args[0], _decoding(lm, args[1], counts))
        text = json.dumps([kind, model, lm.max_length, args], sort_keys=True)
        sampled = kind == "generate_until" and (args[1].get("do_sample") or args[1].get("temperature", 0.0) > 0.0)
        seen[text] += 1
        copy = seen[text] if sampled else 1
        key = hashlib.sha256(f"{text}\0{copy}".encode()).hexdigest()
        requests.append(ModelRequest(key, instance.task_name or "", args, doc=getattr(instance, "doc_id", None)))
    return requests


def _decoding(lm: HarnessModel, given: Mapping[str, Any], counts: ReplyCounts) -> dict[str, Any]:
    """Return the generation keywords in lm-eval's canonical form, with `max_gen_toks` limited to half of the model's context.

    A higher limit (4096 tokens for a model with a context of 2048) would leave little or no room for the prompt: lm-eval would
    refuse the request or cut the prompt to almost nothing.
    """
    from lm_eval.models.utils import normalize_gen_kwargs

    decoding: dict[str, Any] = dict(normalize_gen_kwargs(dict(given), default_max_gen_toks=256))
    allowed = decoding["max_gen_toks"]
    if lm.max_length is not None and allowed > lm.max_length // 2:
        decoding["max_gen_toks"] = lm.max_length // 2
        if str(allowed) not in counts.answer_limits:
            log.warning(
                "replies are limited to %d tokens, not %d: the model's context is %d tokens, and half of it is left for the prompt",
                decoding["max_gen_toks"],
                allowed,
                lm.max_length,
            )
        counts.answer_limits[str(allowed)] = decoding["max_gen_toks"]
    return decoding | lm.extra_decoding


def _with_tokens(lm: HarnessModel, kind: str, requests: Sequence[ModelRequest]) -> list[ModelRequest]:
    if not lm.renders:  # a chat server tokenises; batches are then ordered by text
        return list(requests)
    if kind == "loglikelihood":
        pairs = lm.pairs(requests)
        together = zip(requests, pairs, strict=True)
        return [replace(request, ids=(*head, *tail), scored=len(tail)) for request, (head, tail) in together]
    found = lm.tokens([request.args[0] for request in requests])
    return [replace(request, ids=tuple(ids)) for request, ids in zip(requests, found, strict=True)]


def _record(lm: HarnessModel, kind: str, request: ModelRequest, reply: Any) -> Record:
    cut = False
    if lm.max_length is not None and kind != "loglikelihood_rolling":
        room = lm.max_length - request.decoding["max_gen_toks"] if kind == "generate_until" else lm.max_length + 1
        cut = len(request.ids) > room
    value, at_limit = (reply.text, reply.at_limit) if isinstance(reply, Reply) else (reply, None)
    decoding = json.dumps(request.decoding, sort_keys=True, default=str)
    return Record(request.key, kind, request.task, decoding, well_formed(value), cut, at_limit)


def _value(kind: str, reply: Any) -> Any:
    return (float(reply[0]), bool(reply[1])) if kind == "loglikelihood" else reply
