"""The report in a real browser: no fault, no request, filters, keys and links work, and it fits a phone. By Chromium, else skipped.

Needs Debian's package `chromium`; without it the test is skipped, and says so. GRA_SCREENSHOTS=DIR keeps the pictures.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import chromium
import pytest

from gra.compare.experiment import compare

ATTACK = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"></script></div>"
READY = "document.getElementById('samples').dataset.ready === 'yes'"
SHOWN = "document.querySelector('.found').textContent"
IDS = "[...document.querySelectorAll('.sample')].map((one) => one.dataset.id)"


@pytest.fixture
def page(make_arm: Any, tmp_path: Path) -> Path:
    texts = {"instruction": ATTACK, "response": ATTACK, "keywords": ["findable"], "id": "r1-000001 <&>"}
    tasks = {
        f"world_{name}": 60 for name in ("arithmetic", "reading_comprehension", "coding", "logic", "knowledge", "words")
    }
    arms = [
        make_arm("gra", label="GRA", skill=0.08, kept=40, dropped=30, texts=texts, tasks=tasks),
        make_arm("single", label="One SLM, no review", kept=20, dropped=6, tasks=tasks, seed=1),
    ]
    audit = arms[0].folders["audit"] / "audit.json"
    audit.write_text(
        '{"n": 40, "wrong": 1, "wrong_share": 0.025, "unknown": 0, "wrong_ids": ["r1-000001 <&>"], "unknown_ids": []}'
    )
    compare(arms, title="Test", reference="gra", output=tmp_path / "out", options={"resamples": 400})
    return tmp_path / "out" / "report.html"


def test_the_report_in_a_browser(page: Path, tmp_path: Path) -> None:
    path = chromium.found()
    if path is None:
        pytest.skip("no chromium here (Debian: apt-get install chromium): the report was NOT looked at in a browser")
    kept = Path(os.environ.get("GRA_SCREENSHOTS") or tmp_path / "screenshots")
    kept.mkdir(parents=True, exist_ok=True)
    asyncio.run(walk(path, page, kept, tmp_path))
    assert len(list(kept.glob("*.png"))) == 4
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)


async def walk(path: str, page: Path, kept: Path, scratch: Path) -> None:
    async with chromium.browser(path, scratch) as tab:
        await pictures(tab, page, kept)
        await filters(tab)
        await keys(tab)
        await links(tab, page)
        assert tab.told == []
        assert set(tab.asked) == {page.as_uri()}, "the page asked for something"
        assert await tab.value("document.title") == "Test (simulated)"


async def pictures(tab: chromium.Page, page: Path, kept: Path) -> None:
    """At a desk and on a phone, light and dark: nothing beyond the edge but tables that say so."""
    for width, height in ((1280, 900), (400, 800)):
        for dark in (False, True):
            await tab.size(width, height, dark)
            await tab.open(page.as_uri())
            await tab.until(READY)
            assert await tab.value("document.documentElement.scrollWidth") <= width
            light = await tab.value("getComputedStyle(document.body).backgroundColor")
            assert (light == "rgb(255, 255, 255)") is not dark
            await tab.picture(kept / f"report-{width}-{'dark' if dark else 'light'}.png", whole=True)
    wide = "[...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > one.clientWidth + 1)"
    assert await tab.value(f"{wide}.length") > 0, "no table is wider than a phone: the cue is not tried"
    cue = "getComputedStyle(one, '::before').content.includes('scroll') && one.tabIndex === 0"
    assert await tab.value(f"{wide}.every((one) => {cue})")
    await tab.size(1280, 900, False)


async def filters(tab: chromium.Page) -> None:
    async def choose(**fields: str) -> list[str]:
        sets = "".join(f"form.elements.{name}.value = {value!r};" for name, value in fields.items())
        await tab.value(
            f"(() => {{ const form = document.querySelector('.filters'); form.reset(); {sets}"
            "form.dispatchEvent(new Event('input')); })()"
        )
        ids: list[str] = await tab.value(IDS)
        return ids

    assert (await tab.value(SHOWN)).startswith("70 of 70 samples: 40 kept, 1 of the kept are wrong")
    assert len(await choose(fate="rejected")) == 25  # a page of 30
    assert (await tab.value(SHOWN)).startswith("30 of 70 samples: 0 kept")
    assert await choose(search="FINDABLE") == ["r1-000001 <&>"]
    assert await choose(fate="kept, but wrong") == ["r1-000001 <&>"]
    assert await tab.value("document.querySelector('.mark-wrong').textContent") == "wrong"
    assert 0 < len(await choose(reason="duplicate")) < 25
    assert await choose(mean_low="9.9", std_high="0.01") != await choose(mean_high="7")
    assert await choose(search="no such words anywhere") == []


async def keys(tab: chromium.Page) -> None:
    await tab.value("document.querySelector('.clear').click()")
    await tab.key("/")
    assert await tab.value("document.activeElement.name") == "search"
    await tab.value("document.activeElement.blur()")
    for sign in "jjk":
        await tab.key(sign)
    assert await tab.value("document.activeElement.parentElement === document.querySelector('.sample')")
    await tab.key("n")
    assert await tab.value("document.querySelector('.pages span').textContent") == "page 2 of 3"


async def links(tab: chromium.Page, page: Path) -> None:
    """A link to a sample opens it, with its texts as they are; an unknown one is told."""
    await tab.open("about:blank")
    tab.asked.clear()
    await tab.open(f"{page.as_uri()}#sample={'r1-000001%20%3C%26%3E'}")
    await tab.until(READY)
    opened = "document.querySelector('.sample[open]')"
    assert await tab.value(f"{opened}.dataset.id") == "r1-000001 <&>"
    await tab.until(f"{opened}.querySelector('.text') !== null")
    assert await tab.value(f"{opened}.querySelector('.text').textContent") == ATTACK
    assert await tab.value("document.querySelectorAll('img').length") == 0
    await tab.value("location.hash = '#sample=nobody'")
    await tab.until(f"{SHOWN}.includes('nobody is not in this page')")
    tab.asked[:] = [address.partition("#")[0] for address in tab.asked]
