"""Serves the simulated models over OpenAI-compatible HTTP, to test everything that calls real servers.

    python -m gra.simulation.server --port 8000      # then: pool=servers pool.base_url=http://127.0.0.1:8000/v1

The replies are the same as those of the pool `simulated`. Like some real servers, this one accepts a `response_format`
but ignores it, so a reply can be faulty JSON. Endpoints: GET /health, GET /v1/models, POST /v1/chat/completions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gra.models.base import Reply, Request
from gra.models.openai.forced import text_of
from gra.simulation.models import MODELS, answer
from gra.simulation.traits import OWN, Traits, from_words

if TYPE_CHECKING:
    from aiohttp import web

MAX_BODY = 4 << 20  # bytes of one request
DEFAULT_MAX_TOKENS = 4096


class _Part(BaseModel):
    type: Literal["text"]
    text: str


class _Message(BaseModel):
    role: Literal["system", "user", "assistant", "developer", "tool"]
    content: str | list[_Part]

    def plain(self) -> dict[str, str]:
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": self.role, "content": text}


class _Body(BaseModel):
    """The keys of a request that are used; other OpenAI keys are accepted and ignored."""

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: list[_Message] = Field(min_length=1)
    temperature: float | None = Field(1.0, ge=0, le=2)
    top_p: float | None = Field(1.0, ge=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    seed: int | None = None
    n: Literal[1] | None = 1
    stream: Literal[False] | None = False
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    grammar: str = ""  # as llama.cpp has it: the only reply that is allowed

    def request(self) -> Request:
        limit = self.max_completion_tokens or self.max_tokens or DEFAULT_MAX_TOKENS
        temperature = 1.0 if self.temperature is None else self.temperature
        top_p = 1.0 if self.top_p is None else self.top_p
        forced = text_of(self.grammar)
        choices = ("Yes", "No") if self.logprobs and not forced else ()  # the only first tokens with probabilities
        messages = tuple(m.plain() for m in self.messages)
        return Request(self.model, messages, temperature, top_p, limit, self.seed or 0, choices=choices, forced=forced)


def application(
    models: Sequence[str] = MODELS,
    world_seed: int = 0,
    latency: float = 0.0,
    refuse_schema: bool = False,
    no_logprobs: bool = False,
    traits: Traits = OWN,
) -> web.Application:
    """Return the HTTP server of the simulated models, as an aiohttp application.

    `latency`: the seconds that each call takes. `refuse_schema`: whether the server refuses each request that has a
    `response_format`, with status 400. `no_logprobs`: whether the server leaves token probabilities out of its replies.
    """
    from aiohttp import web

    def refusal(status: int, message: str, code: str) -> web.Response:
        kind = "invalid_request_error"
        return web.json_response(
            {"error": {"message": message, "type": kind, "param": None, "code": code}}, status=status
        )

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "simulated": True})

    async def listing(_: web.Request) -> web.Response:
        data = [{"id": model, "object": "model", "created": 0, "owned_by": "simulation"} for model in models]
        return web.json_response({"object": "list", "data": data})

    async def chat(http: web.Request) -> web.Response:
        try:
            body = _Body.model_validate(json.loads(await http.text()))
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            return refusal(400, f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}", "invalid_value")
        except (ValueError, RecursionError) as error:
            return refusal(400, f"the body is not JSON: {error}", "invalid_json")
        if body.model not in models:
            return refusal(404, f"no model `{body.model}`; there are: {', '.join(models)}", "model_not_found")
        if refuse_schema and body.response_format is not None:
            return refusal(400, "response_format is not supported by this server", "unsupported_parameter")
        await asyncio.sleep(latency)
        request = body.request()
        reply = answer(request, world_seed, traits)
        message = {"role": "assistant", "content": request.forced or reply.text}
        usage = {"prompt_tokens": reply.tokens_in, "completion_tokens": reply.tokens_out}
        usage["total_tokens"] = (reply.tokens_in or 0) + (reply.tokens_out or 0)
        choice = {"index": 0, "message": message, "finish_reason": reply.finish, "logprobs": None}
        if request.choices and not no_logprobs:
            choice["logprobs"] = {"content": [_first_token(reply, body.top_logprobs or 0)]}
        elif request.forced and not no_logprobs:  # the tokens have the same probability, so that their mean is exact
            entry: dict[str, Any] = {"token": "...", "logprob": reply.logprob, "top_logprobs": []}
            choice["logprobs"] = {"content": [entry] * (reply.tokens_out or 0)}
        return web.json_response(
            {
                "id": "chatcmpl-simulated",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": body.model,
                "choices": [choice],
                "usage": usage,
            }
        )

    app = web.Application(client_max_size=MAX_BODY)
    app.add_routes([web.get("/health", health), web.get("/v1/models", listing), web.post("/v1/chat/completions", chat)])
    return app


def _first_token(reply: Reply, top: int) -> dict[str, Any]:
    """The first token and its most likely alternatives in OpenAI's format."""
    likely = sorted((reply.choices or {}).items(), key=lambda pair: -pair[1])
    rest = max(1e-6, 1.0 - sum(mass for _, mass in likely))
    named = [*[(token, mass) for token, mass in likely if mass > 0], ("I", rest)]
    listed = [{"token": token, "logprob": math.log(mass), "bytes": list(token.encode())} for token, mass in named]
    own = next((entry for entry in listed if entry["token"] == reply.text), listed[-1])
    return {**own, "top_logprobs": listed[:top]}


async def serve(app: web.Application, host: str, port: int) -> None:
    """Run the server until this coroutine is cancelled. Once the server listens, print its URL. If `port` is 0, choose
    a free port. Raises OSError if the server cannot listen."""
    from aiohttp import web

    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=1024)
        await site.start()
        bound = runner.addresses[0][1]
        print(f"simulated models on http://{host}:{bound}/v1", flush=True)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m gra.simulation.server",
        description="SIMULATED small language models over OpenAI-compatible HTTP. They answer from a closed world of checkable "
        "skills, with systematic mistakes and faults. Needs no download and no GPU.",
        epilog="Then, in another shell: gra synthesize pool=servers pool.base_url=http://127.0.0.1:PORT/v1 "
        "'pool.models=[slm-a,slm-b,slm-c,slm-d,slm-e]' seeds=alpaca output=DIR",
    )
    parser.add_argument(
        "--port", type=int, required=True, help="port to listen on; 0 chooses a free port and prints it"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, local only)")
    parser.add_argument(
        "--models", default=",".join(MODELS), help="models to serve, comma-separated (default: %(default)s)"
    )
    parser.add_argument("--world-seed", type=int, default=0, help="like pool.world_seed (default: %(default)s)")
    parser.add_argument(
        "--trait", action="append", default=[], metavar="KEY=VALUE", help="like pool.traits.KEY=VALUE; may be repeated"
    )
    parser.add_argument(
        "--latency", type=float, default=0.0, metavar="S", help="seconds per call (default: %(default)s)"
    )
    parser.add_argument(
        "--refuse-schema", action="store_true", help="answer 400 to any response_format, like some servers"
    )
    parser.add_argument("--no-logprobs", action="store_true", help="return no token probabilities, like some servers")
    given = parser.parse_args(argv)
    given.models = [name.strip() for name in given.models.split(",") if name.strip()]
    unknown = [name for name in given.models if name not in MODELS]
    if unknown or not given.models:
        parser.error(
            f"--models: no simulated model {', '.join(unknown) or '(none given)'}; there are: {', '.join(MODELS)}"
        )
    try:
        given.traits = from_words(given.trait)
    except ValueError as error:
        parser.error(f"--trait: {error}")
    if not given.latency >= 0:
        parser.error("--latency: must be 0 or more seconds")
    return given


def main() -> None:
    given = arguments()
    app = application(
        given.models, given.world_seed, given.latency, given.refuse_schema, given.no_logprobs, given.traits
    )
    try:
        asyncio.run(serve(app, given.host, given.port))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (OSError, OverflowError) as error:
        remedy = "choose another --port (0: a free port)"
        raise SystemExit(f"cannot listen on {given.host}:{given.port}: {error}\n    -> {remedy}") from None


if __name__ == "__main__":
    main()
