"""Settings of a pool of OpenAI-compatible servers (`gra.models.openai_server.connect`); see conf/pool/servers.yaml."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field

from gra.errors import Problem
from gra.models.pool import ModelSettings, PoolBase, url_problem, variable_problem
from gra.models.serving import ServeSettings

_OWN_KEYS = ("model", "messages", "response_format", "stream", "n")  # of the body: not to be set by extra_body


class PoolSettings(PoolBase):
    """Keys of a pool of servers. `base_url` may be one URL, several for all models, or a mapping from model name to either."""

    base_url: str | list[str] | dict[str, str | list[str]] | None = Field(None, description="Up to and with /v1.")
    api_key_env: str = Field("OPENAI_API_KEY", description="NAME of the variable that holds the key; unset: none is sent.")
    send_seed: bool = Field(True, description="false: for servers that refuse `seed`; sampling then cannot be repeated.")
    structured: Literal["auto", "json_schema", "off"] = Field("auto", description="auto: plain text where a schema is refused.")
    strip_think: bool = Field(True, description="Cut reasoning off a reply, in every form that is known.")
    check_models: bool = Field(True, description="false: start even if a server does not list a model.")
    serve: ServeSettings | None = Field(None, description="Start the servers here and end them with the run; no base_url then.")
    extra_body: dict[str, Any] = Field(default_factory=dict, description="Added to each body, e.g. chat_template_kwargs.")

    def urls_of(self, model: ModelSettings) -> list[str]:
        """The base URLs that serve `model`, without a slash at the end."""
        given = model.base_url or (self.base_url.get(model.name) if isinstance(self.base_url, dict) else self.base_url)
        urls = [given] if isinstance(given, str) else given or []
        return list(dict.fromkeys(url.rstrip("/") for url in urls))

    def serve_problems(self) -> list[Problem]:
        """Faults of `serve`."""
        return self.serve.problems(self.models, at_once=True) if self.serve is not None else []

    def problems(self) -> list[Problem]:
        found: list[Problem | None] = list(super().problems())
        names = {model.name for model in self.models}
        given = {f"pool.models.{i}.base_url": model.base_url for i, model in enumerate(self.models)}
        if isinstance(self.base_url, dict):
            given |= {f"pool.base_url.{name}": urls for name, urls in self.base_url.items()}
            found += [
                Problem(f"pool.base_url.{name}", "no such model in pool.models", f"its models: {', '.join(sorted(names))}")
                for name in sorted(self.base_url.keys() - names)
            ]
        else:
            given["pool.base_url"] = self.base_url
        for key, urls in given.items():
            found += [url_problem(key, url) for url in ([urls] if isinstance(urls, str) else urls or [])]
        without = [model.name for model in self.models if not self.urls_of(model)]
        found += self.serve_problems()
        if self.serve is not None:
            where = [key for key, urls in given.items() if urls]
            found += [Problem(key, "means nothing with pool.serve, which chooses the ports", "leave one out") for key in where]
        elif without:
            found.append(Problem("pool.base_url", f"no URL for {', '.join(without)}", "pool.base_url=http://HOST:PORT/v1"))
        fault = variable_problem("pool.api_key_env", self.api_key_env)
        found.append(fault)
        if not fault and self.api_key_env != "OPENAI_API_KEY" and not os.environ.get(self.api_key_env):
            remedy = f"export {self.api_key_env}=... (or leave pool.api_key_env out if the servers want no key)"
            found.append(Problem("pool.api_key_env", f"the environment variable {self.api_key_env} is not set", remedy))
        found += [
            Problem(f"pool.extra_body.{key}", "is set by the request itself", "leave it out")
            for key in self.extra_body
            if key in _OWN_KEYS
        ]
        return [problem for problem in found if problem]
