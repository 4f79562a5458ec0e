"""The simulated models over real HTTP: same replies as in process, errors as OpenAI-compatible servers give them."""

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from gra.models.base import Request
from gra.models.openai import backend as openai_server
from gra.simulation.backend import connect
from gra.simulation.server import arguments
from gra.simulation.traits import Traits
from gra.synthesis.prompts import render
from gra.synthesis.prompts.schemas import json_schema


def start(*options):
    command = [sys.executable, "-m", "gra.simulation.server", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().split()[-1]


@pytest.fixture(scope="module")
def url():
    process, where = start()
    yield where
    process.terminate()
    process.wait(timeout=10)


def post(url, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/chat/completions", data), timeout=10) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


HELLO = {"model": "slm-a", "messages": [{"role": "user", "content": "What is 17 + 25?"}]}


def requests():
    for seed in range(30):
        for step, values in (
            ("respond", {"instruction": "What is 17 + 25?"}),
            ("check", {"instruction": "What is the opposite of hot?"}),
            ("review", {"instruction": "What is 17 + 25?", "response": "The answer is 42."}),
        ):
            yield Request("slm-d", render(step, **values), 0.7, 0.95, 200, seed, step, json_schema(step))


def test_http_equals_in_process(url):
    async def replies(backend):
        async with backend:
            return await asyncio.gather(*(backend.chat(request) for request in requests()))

    pool = {
        "models": ["slm-a", "slm-d"],
        "_target_": "gra.models.openai.backend.connect",
        "base_url": url,
        "structured": "off",
    }
    over_http = asyncio.run(replies(openai_server.connect(pool, {})))
    here = asyncio.run(replies(connect({"models": ["slm-d"], "_target_": "gra.simulation.backend.connect"}, {})))
    assert over_http == here


def test_models_and_health(url):
    with urllib.request.urlopen(f"{url}/models", timeout=10) as reply:
        assert [m["id"] for m in json.load(reply)["data"]] == ["slm-a", "slm-b", "slm-c", "slm-d", "slm-e", "slm-large"]
    with urllib.request.urlopen(url.removesuffix("/v1") + "/health", timeout=10) as reply:
        assert json.load(reply)["simulated"] is True


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (HELLO, 200),
        (HELLO | {"response_format": {"type": "json_object"}, "top_p": None, "user": "x"}, 200),
        (HELLO | {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}, 200),
        (HELLO | {"model": "gpt"}, 404),
        (HELLO | {"messages": []}, 400),
        (HELLO | {"temperature": 9}, 400),
        (HELLO | {"stream": True}, 400),
        (HELLO | {"messages": [{"role": "user", "content": 3}]}, 400),
        ({"model": "slm-a"}, 400),
        ([1], 400),
        (b"{nonsense", 400),
        (b"\xff\xfe", 400),
        (b'{"model": "slm-a", "messages": [{"role": "user", "content": "\\ud800"}]}', 200),
    ],
)
def test_statuses(url, body, status):
    given, answer = post(url, body)
    assert given == status
    assert ("error" in answer) == (status != 200)


def test_a_server_may_refuse_schemas():
    process, where = start("--refuse-schema", "--models", "slm-a")
    try:
        assert post(where, HELLO)[0] == 200
        assert post(where, HELLO | {"response_format": {"type": "json_object"}})[0] == 400
        assert post(where, HELLO | {"model": "slm-b"})[0] == 404
    finally:
        process.terminate()
        process.wait(timeout=10)


def test_a_server_takes_the_traits_of_a_pool():
    given = arguments(["--port", "0", "--trait", "halo=0.5", "--trait", "greedy_repeats=true", "--trait", "lazy=null"])
    assert given.traits == Traits(halo=0.5, greedy_repeats=True)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--port", "0", "--models", "gpt"],
        ["--port", "0", "--latency", "-1"],
        ["--port", "x"],
        ["--port", "0", "--trait", "halo=2"],
        ["--port", "0", "--trait", "haloo=1"],
    ],
)
def test_wrong_arguments_are_refused(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        arguments(argv)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err
