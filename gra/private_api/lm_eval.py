"""Private names of lm_eval that GRA uses or patches. Written for lm_eval 0.4.13.

The reasons: lm-eval compiles a template again for every item. It runs git to find the current commit, and git's
messages appear on the terminal. Its model classes do not report whether a reply was truncated, and they build requests
to servers in a private method.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gra.private_api import found, moved

READ_FROM = "lm_eval 0.4.13"
NAMES = (
    "lm_eval.utils.env.from_string",
    "lm_eval.evaluator.get_git_commit_hash",
    "lm_eval.models.huggingface.HFLM._model_generate",
    "lm_eval.models.openai_completions.LocalCompletionsAPI._create_payload",
    "lm_eval.models.openai_completions.LocalChatCompletion._create_payload",
    "lm_eval.models.vllm_causallms.VLLM._model_generate",
)
Generate = Callable[..., Any]


@contextmanager
def compiled_once() -> Iterator[None]:
    """During the `with` block, make lm-eval compile each template only once. By itself, it compiles a template again
    for every benchmark question, which takes minutes for the paper's benchmarks."""
    env = found("lm_eval.utils.env", READ_FROM)
    before = found("lm_eval.utils.env.from_string", READ_FROM)
    env.from_string = functools.lru_cache(256)(before)
    try:
        yield
    finally:
        env.from_string = before


@contextmanager
def commit_from(commit: Callable[[], str | None]) -> Iterator[None]:
    """During the `with` block, make lm-eval call the function `commit` to find the commit of the current folder,
    instead of running git."""
    evaluator = found("lm_eval.evaluator", READ_FROM)
    before = found("lm_eval.evaluator.get_git_commit_hash", READ_FROM)
    evaluator.get_git_commit_hash = commit
    try:
        yield
    finally:
        evaluator.get_git_commit_hash = before


@contextmanager
def generating_through(lm: Any, wrapped: Callable[[Generate], Generate]) -> Iterator[None]:
    """During the `with` block, replace the method with which lm-eval's model object `lm` generates text. `wrapped` gets
    the original method and returns the function that replaces it. lm-eval calls this function with keyword
    arguments."""
    try:
        before = lm._model_generate
    except AttributeError:
        raise moved(f"{type(lm).__name__}._model_generate", READ_FROM) from None
    lm._model_generate = wrapped(before)
    try:
        yield
    finally:
        lm._model_generate = before


def payload(wire: Any, message: Any, **options: Any) -> dict[str, Any]:
    """Return the body of a request with `message`. `wire`: lm-eval's model object for this kind of server, which builds
    the body."""
    try:
        create = wire._create_payload
    except AttributeError:
        raise moved(f"{type(wire).__name__}._create_payload", READ_FROM) from None
    body: dict[str, Any] = create(message, **options)
    return body
