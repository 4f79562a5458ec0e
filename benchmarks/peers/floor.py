"""The like workload with nothing around it: bare asyncio + aiohttp, one limit, nothing kept.

python floor.py URL IN_FLIGHT ROWS FOLDER
"""

import asyncio
import sys

import aiohttp


async def main() -> None:
    url, in_flight, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    slots = asyncio.Semaphore(in_flight)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(model: str, text: str) -> str:
            body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 64}
            async with slots, session.post(f"{url}/chat/completions", json=body) as response:
                reply: str = (await response.json())["choices"][0]["message"]["content"]
                return reply

        async def row(number: int) -> int:
            text = await ask("gen", f"Write an instruction about topic {number}")
            return len(await asyncio.gather(*(ask(f"judge-{x}", f"Rate: {text}") for x in "abc")))

        done = await asyncio.gather(*(row(i) for i in range(count)))
    print(f"whole rows: {sum(n == 3 for n in done)}")


if __name__ == "__main__":
    asyncio.run(main())
