"""Settings of a pool of OpenAI-compatible servers (`gra.models.openai.backend.connect`); see conf/pool/servers.yaml."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field

from gra.errors import Problem
from gra.machine import one_server_each
from gra.models.launch.server import ServeSettings
from gra.models.pool import ModelSettings, PoolBase, url_problem, variable_problem

_OWN_KEYS = ("model", "messages", "response_format", "stream", "n")  # keys of the body that extra_body must not set


class PoolSettings(PoolBase):
    """Keys of a pool of OpenAI-compatible servers."""

    base_url: str | list[str] | dict[str, str | list[str]] | None = Field(
        None,
        description="URL of the server including /v1, a list of URLs that share the calls, or a mapping from model name to "
        "either; null: each model's `base_url`, or the servers that `serve` starts.",
    )
    api_key_env: str = Field(
        "OPENAI_API_KEY",
        description="NAME of the environment variable that holds the API key; if it is unset, no key is sent.",
    )
    send_seed: bool = Field(
        True,
        description="true: send a seed with each request; false: send none, for servers that refuse it (sampling is then not "
        "repeatable).",
    )
    structured: Literal["auto", "json_schema", "off"] = Field(
        "auto",
        description="Whether requests carry a JSON schema (response_format). auto: yes, except to a server that refuses it; "
        "json_schema: always; off: never.",
    )
    strip_think: bool = Field(True, description="true: remove the reasoning (e.g. between think tags) from replies.")
    check_models: bool = Field(
        True,
        description="true: refuse to start if a server does not list its model in /v1/models; false: start without this check.",
    )
    serve: ServeSettings | None = Field(
        None, description="How to start the servers, which end with the run; null: they run already, at `base_url`."
    )
    addresses: str | None = Field(
        None,
        description="Folder where running servers publish their addresses, read throughout the run; `gra submit` sets "
        "this key for servers in separate jobs (cluster.stages.NAME.servers); null: `base_url` or `serve`.",
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict, description="Keys added to the body of each request, e.g. chat_template_kwargs."
    )

    def urls_of(self, model: ModelSettings) -> list[str]:
        """Return the base URLs that serve `model`, without a trailing slash."""
        given = model.base_url or (self.base_url.get(model.name) if isinstance(self.base_url, dict) else self.base_url)
        urls = [given] if isinstance(given, str) else given or []
        return list(dict.fromkeys(url.rstrip("/") for url in urls))

    def serve_problems(self) -> list[Problem]:
        """Return the faults of `pool.serve`. Return [] if separate jobs start the servers, because those jobs check
        `pool.serve` themselves."""
        if self.serve is None or self.addresses is not None:  # the servers' own jobs check `serve`
            return []
        return self.serve.problems(self.models, at_once=not one_server_each())

    def problems(self) -> list[Problem]:
        found: list[Problem | None] = list(super().problems())
        names = {model.name for model in self.models}
        given = {f"pool.models.{i}.base_url": model.base_url for i, model in enumerate(self.models)}
        if isinstance(self.base_url, dict):
            given |= {f"pool.base_url.{name}": urls for name, urls in self.base_url.items()}
            found += [
                Problem(
                    f"pool.base_url.{name}", "no such model in pool.models", f"its models: {', '.join(sorted(names))}"
                )
                for name in sorted(self.base_url.keys() - names)
            ]
        else:
            given["pool.base_url"] = self.base_url
        for key, urls in given.items():
            found += [url_problem(key, url) for url in ([urls] if isinstance(urls, str) else urls or [])]
        without = [model.name for model in self.models if not self.urls_of(model)]
        found += self.serve_problems()
        if self.addresses is not None:
            turns = Problem("pool.addresses", "conflicts with models that are loaded in turn", "use pool=servers")
            found += [turns] if self.by_turns else []
            found += [
                Problem(key, "conflicts with pool.addresses, where servers are found", "leave one of them out")
                for key, urls in given.items()
                if urls
            ]
        if self.serve is not None:
            where = [key for key, urls in given.items() if urls]
            found += [
                Problem(key, "conflicts with pool.serve, which chooses the ports", "leave one of them out")
                for key in where
            ]
        elif without and self.addresses is None:
            found.append(
                Problem("pool.base_url", f"no URL for {', '.join(without)}", "pool.base_url=http://HOST:PORT/v1")
            )
        fault = variable_problem("pool.api_key_env", self.api_key_env)
        found.append(fault)
        if not fault and self.api_key_env != "OPENAI_API_KEY" and not os.environ.get(self.api_key_env):
            remedy = f"export {self.api_key_env}=... (or leave pool.api_key_env out if the servers need no key)"
            found.append(Problem("pool.api_key_env", f"the environment variable {self.api_key_env} is not set", remedy))
        found += [
            Problem(f"pool.extra_body.{key}", "is set by the request itself", "leave it out")
            for key in self.extra_body
            if key in _OWN_KEYS
        ]
        return [problem for problem in found if problem]
