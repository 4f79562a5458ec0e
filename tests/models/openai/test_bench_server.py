"""openai_server against the measuring server of the benchmarks, where it is at hand: schemas kept, injected refusals."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gra.models.base import Reply, Request
from gra.models.openai.backend import connect
from gra.synthesis.prompts.schemas import ResponseReview, json_schema

SERVER = Path(__file__).parents[3].parent / "shared" / "bench" / "fake_llm_server.py"
pytestmark = pytest.mark.skipif(not SERVER.is_file(), reason="../shared/bench/fake_llm_server.py is not here")


@pytest.fixture
def url(free_port: int, request: pytest.FixtureRequest) -> Iterator[str]:
    process = subprocess.Popen([sys.executable, str(SERVER), str(free_port), *request.param])
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{free_port}/stats", timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{free_port}/v1"
    finally:
        process.kill()
        process.wait()


def reviews(url: str, calls: int) -> list[Reply]:
    async def run() -> list[Reply]:
        pool = {"_target_": "-", "models": [f"slm-{c}" for c in "abcde"], "base_url": url}
        schema = json_schema("review")
        async with connect(pool, {}) as models:
            asks = [
                Request(
                    f"slm-{'abcde'[i % 5]}", ({"role": "user", "content": f"Rate {i}"},), 0, 1, 200, i, "review", schema
                )
                for i in range(calls)
            ]
            return await asyncio.gather(*map(models.chat, asks))

    return asyncio.run(run())


@pytest.mark.parametrize("url", [["--latency", "0.02"]], indirect=True)
def test_reviews_fit_their_schema_and_overhead_is_small(url: str) -> None:
    start = time.process_time()
    replies = reviews(url, 1000)
    seconds = time.process_time() - start
    assert all(ResponseReview.model_validate_json(reply.text) for reply in replies)
    assert seconds / 1000 < 2e-3  # 0.2 ms seen; a busy machine may be slower


@pytest.mark.parametrize("url", [["--latency", "0.001", "--error-every", "7"]], indirect=True)
def test_injected_refusals_stay_refusals_and_schemas_stay_on(url: str) -> None:
    replies = reviews(url, 300)
    refused = [reply for reply in replies if reply.error]
    assert {reply.error for reply in refused} == {"HTTP 400: injected"}
    assert 15 < len(refused) < 90
    assert all(json.loads(reply.text) for reply in replies if not reply.error)
    assert reviews(url, 300) == replies
