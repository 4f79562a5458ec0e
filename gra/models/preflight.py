"""Checks before a run whether the servers list the pool's models, and whether weights and hub ids are available.

A server that does not answer is not an error yet: it may still be loading, and the run waits for it
(runtime.startup_wait_s) before it makes calls. Its Problem is marked as `passing`: GRA reports it with the other
problems, but it does not stop the run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from gra.errors import Problem
from gra.hub import hub_problem, is_hub_id
from gra.models.local import transformers
from gra.models.openai import settings as openai
from gra.models.openai.http_client import Fault, Limits, Session
from gra.models.openai.wire import listed_models, said, serves
from gra.models.pool import PoolBase, settings_of
from gra.models.time_sharing import vllm
from gra.waiting import reported
from gra.weights.command import catalogue, command_for
from gra.weights.place import fault

LIMITS = Limits(10.0, 5.0)
_NOT_UP_YET = (502, 503, 504)

Listing = dict[str, str] | Problem  # model id -> owner ({} if the server lists nothing); or why the list is unknown
# (URL, API key) -> listing of a server that answered. Kept, because the arms of an experiment share servers.
_known: dict[tuple[str, str], Listing] = {}


def pool_problems(pool: Mapping[str, Any]) -> list[Problem]:
    """Check the servers, weights and hub ids of a valid pool, and return the faults found. For example, a server does
    not answer or does not list a model, weights are missing, or a hub id does not exist.

    The pool of a user's own backend is not checked.
    """
    settings = settings_of(pool)
    if isinstance(settings, openai.PoolSettings) and settings.serve is None:
        return _server_problems(settings)
    if isinstance(settings, openai.PoolSettings) and (missing := weights_problems(settings)):
        return missing
    if isinstance(settings, openai.PoolSettings | vllm.PoolSettings | transformers.PoolSettings):
        found = [
            hub_problem(f"pool.models.{index}", model.served, revision=model.revision)
            for index, model in enumerate(settings.models)
            if is_hub_id(model.served) and _names_hub(settings, model.served)
        ]
        return [problem for problem in found if problem is not None]
    return []


def weights_problems(settings: openai.PoolSettings) -> list[Problem]:
    """Return a list with one Problem if the cache lacks weights that the pool's servers need. Otherwise return []. The
    Problem names the missing weights and the command that downloads them."""
    if settings.serve is None or not settings.serve.says("{weights}"):
        return []
    with reported("reading the models' weights"):
        faults = {model.name: fault(model.weights) for model in settings.models if model.weights is not None}
    missing = {name: why for name, why in faults.items() if why}
    if not missing:
        return []
    groups = {why: ", ".join(name for name in missing if missing[name] == why) for why in missing.values()}
    words = "; ".join(f"weights of {names} {why}" for why, names in groups.items())
    remedy = f"{command_for(_named(settings, list(missing)))}    (shows the licences; GRA_CACHE sets the folder)"
    return [Problem("pool.models", words, remedy)]


def _named(settings: openai.PoolSettings, names: list[str]) -> list[str]:
    """Return the names under which `gra fetch models` knows the weights of these models, each once; several models can share
    weights."""
    known = {weights.sha256: name for models in catalogue().values() for name, weights in models.items()}
    found = {model.name: model.weights for model in settings.models}
    return list(
        dict.fromkeys(known.get(weights.sha256, name) for name in names if (weights := found[name]) is not None)
    )


def _names_hub(settings: PoolBase, served: str) -> bool:
    """Return whether the pool loads the hub id `served`, itself or through a server that it starts."""
    if not isinstance(settings, openai.PoolSettings):
        return True
    command = settings.serve.command if settings.serve is not None else ""
    return "/" in served and any("{model}" in word for word in ([command] if isinstance(command, str) else command))


def server_problems(
    key: str, urls: Mapping[str, list[str]], api_key_env: str, remedy: str, url_key: str
) -> list[Problem]:
    """Return a Problem for each server that does not answer or refuses the API key, and for each model that its server
    does not list.

    `key`: the config key that sets the models. `urls`: the URLs of each model, by the model's id. `url_key`: the config
    key that sets the URLs. `api_key_env`: the environment variable that holds the API key. `remedy`: what the user can
    do about a model that a server does not list.
    """
    variable = os.environ.get(api_key_env, "").strip()
    wanted = list(dict.fromkeys(url for group in urls.values() for url in group))
    listings = _listings(wanted, variable, url_key, api_key_env)
    problems = [found for found in listings.values() if isinstance(found, Problem)]
    for model, group in urls.items():
        for url in group:
            found = listings[url]
            if isinstance(found, dict) and found and not serves(found, model):
                has = ", ".join(sorted(found)[:20])
                problems.append(Problem(key, f"{url} does not list `{model}`; it has: {has}", remedy))
    return list(dict.fromkeys(problems))


def _server_problems(settings: openai.PoolSettings) -> list[Problem]:
    if not settings.check_models:
        return []
    urls: dict[str, list[str]] = {}
    for model in settings.models:
        group = urls.setdefault(model.served, [])
        group += [url for url in settings.urls_of(model) if url not in group]
    remedy = "correct pool.models (NAME, or {name: NAME, model: ID}), or set pool.check_models=false"
    return server_problems("pool.models", urls, settings.api_key_env, remedy, "pool.base_url")


def _listings(urls: list[str], key: str, url_key: str, variable: str) -> dict[str, Listing]:
    missing = [url for url in urls if (url, key) not in _known]
    with reported(f"requesting the list of models from {', '.join(missing[:3])}"):
        found = (
            dict(zip(missing, asyncio.run(_ask_all(missing, key, url_key, variable)), strict=True)) if missing else {}
        )
    _known.update({(url, key): listing for url, listing in found.items() if isinstance(listing, dict)})
    return {url: found[url] if url in found else _known[url, key] for url in urls}


async def _ask_all(urls: list[str], key: str, url_key: str, variable: str) -> list[Listing]:
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"} | (
        {"Authorization": f"Bearer {key}"} if key else {}
    )
    session = Session(headers)
    try:
        return await asyncio.gather(*(_ask(session, url, key, url_key, variable) for url in urls))
    finally:
        await session.close()


async def _ask(session: Session, url: str, key: str, url_key: str, variable: str) -> Listing:
    try:
        answer = await session.exchange("GET", f"{url}/models", None, LIMITS)
    except Fault as fault:
        return Problem(
            url_key, f"{url} does not answer ({fault})", "start the server, or correct the URL", passing=True
        )
    words = said(answer.body)
    words = words.replace(key, "***") if key else words
    if answer.status in _NOT_UP_YET:
        return Problem(
            url_key, f"{url} is not ready (HTTP {answer.status}: {words})", "wait until it is ready", passing=True
        )
    if answer.status in (401, 403):
        state = "is set" if key else "is not set"
        return Problem(
            url_key, f"{url} refuses (HTTP {answer.status}: {words})", f"check the key in {variable}, which {state}"
        )
    return listed_models(answer.body) if answer.status == 200 else {}
