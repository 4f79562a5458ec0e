"""A headless Chromium for tests of a page, over its DevTools protocol by aiohttp, which the project has already.

https://chromedevtools.github.io/devtools-protocol/: no driver to install, and the browser is Debian's own package `chromium`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_S = 20.0
FLAGS = (
    *(
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--no-first-run",
    ),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0"),
)


def found() -> str | None:
    """The browser's path; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """A tab. `told`: messages of its console and exceptions; `asked`: addresses that it requested."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: str) -> None:
        self._socket, self._session = socket, session
        self._numbers = count(10)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.told: list[str] = []
        self.asked: list[str] = []
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            found = json.loads(message.data)
            method, given = found.get("method"), found.get("params", {})
            if found.get("id") in self._waiting:
                self._waiting.pop(found["id"]).set_result(found)
            elif method == "Runtime.exceptionThrown":
                self.told.append(json.dumps(given["exceptionDetails"])[:1000])
            elif method == "Log.entryAdded":
                self.told.append(given["entry"]["text"])
            elif method == "Runtime.consoleAPICalled":
                self.told.append(json.dumps(given["args"])[:1000])
            elif method == "Network.requestWillBeSent":
                self.asked.append(given["request"]["url"])

    async def call(self, method: str, **given: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": given, "sessionId": self._session})
        answer = await asyncio.wait_for(self._waiting[number], PATIENCE_S)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def value(self, script: str) -> Any:
        """The value of a JavaScript expression, promises awaited."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + PATIENCE_S
        while not await self.value(script):
            assert time.monotonic() < end, f"never true: {script}; console: {self.told}"
            await asyncio.sleep(0.03)

    async def size(self, width: int, height: int, dark: bool) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", features=scheme)

    async def open(self, address: str) -> None:
        await self.call("Page.navigate", url=address)
        await self.until("document.readyState === 'complete'")

    async def picture(self, path: Path, whole: bool = False) -> None:
        """A screenshot of the window, or of the whole page."""
        answer = await self.call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=whole, **await self._clip(whole)
        )
        path.write_bytes(base64.b64decode(answer["data"]))

    async def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 12000), "scale": 1}}

    async def key(self, sign: str) -> None:
        for kind in ("keyDown", "keyUp"):
            given = {"text": sign} if kind == "keyDown" and len(sign) == 1 else {}
            await self.call("Input.dispatchKeyEvent", type=kind, key=sign, **given)


@asynccontextmanager
async def browser(path: str, scratch: Path) -> AsyncIterator[Page]:
    """A tab of a new browser, which is ended afterwards."""
    profile = scratch / "profile"
    process = await asyncio.create_subprocess_exec(
        path,
        *FLAGS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port, where = await _address(profile / "DevToolsActivePort", process)
        address = f"ws://127.0.0.1:{port}{where}"
        async with aiohttp.ClientSession() as client, client.ws_connect(address, max_msg_size=0) as socket:
            target = await _ask(socket, 1, "Target.createTarget", url="about:blank")
            attached = await _ask(socket, 2, "Target.attachToTarget", targetId=target["targetId"], flatten=True)
            page = Page(socket, attached["sessionId"])
            for part in ("Page", "Runtime", "Log", "Network"):
                await page.call(f"{part}.enable")
            yield page
            page.reader.cancel()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _address(file: Path, process: asyncio.subprocess.Process) -> tuple[str, str]:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        assert process.returncode is None, f"the browser ended with {process.returncode}"
        if file.exists() and len(lines := file.read_text().splitlines()) == 2:
            return lines[0], lines[1]
        await asyncio.sleep(0.05)
    raise TimeoutError(f"the browser wrote no {file}")


async def _ask(socket: aiohttp.ClientWebSocketResponse, number: int, method: str, **given: Any) -> dict[str, Any]:
    await socket.send_json({"id": number, "method": method, "params": given})
    while True:
        found = json.loads((await asyncio.wait_for(socket.receive(), PATIENCE_S)).data)
        if found.get("id") == number:
            result: dict[str, Any] = found["result"]
            return result
