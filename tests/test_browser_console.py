"""The web console in a real browser: nothing runs, nothing is blocked, nothing sticks out."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.conftest import BUCKET
from tests.support.browser import CHROMIUM, chromium

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

EVIL = "<script>alert(1)</script>"
WIDE, PHONE = {"width": 1180, "height": 800}, {"width": 390, "height": 844}


def background(colour):
    """How light a colour is that the browser tells, from 0 to 255."""
    return sum(int(part) for part in colour.strip("rgb()").split(",")) / 3


async def test_the_console_in_a_browser(client, emulator):
    """Each page opens in light and dark, on a desk and a phone, with its style and no script."""
    await client.create_multipart_upload(BUCKET, EVIL)
    await client.put_object(BUCKET, EVIL.encode(), EVIL, ContentType="text/html")
    await client.put_object(BUCKET, b"x" * 5000, "long " * 100)
    emulator.fail("HeadObject", message=EVIL * 10, status=503)
    place = urlencode({"bucket": BUCKET, "key": EVIL})
    pages = ["", f"/bucket?bucket={BUCKET}", f"/object?{place}"]
    pages += ["/uploads", "/requests", "/faults", "/server"]
    async with chromium() as browser:
        for scheme, size in (("light", WIDE), ("dark", PHONE)):
            context = await browser.new_context(color_scheme=scheme, viewport=size)
            page = await context.new_page()
            told, opened = [], []
            page.on("console", lambda message, told=told: told.append(message.text))
            page.on("dialog", lambda dialog, opened=opened: opened.append(dialog.message))
            await page.goto(emulator.console_url)
            assert page.url == f"{emulator.url}/_console"
            for path in pages:
                answer = await page.goto(f"{emulator.url}/_console{path}")
                assert answer is not None
                assert answer.status == 200
                style = "getComputedStyle(document.body).backgroundColor"
                assert (background(await page.evaluate(style)) > 128) is (scheme == "light")
                wider = "document.documentElement.scrollWidth - innerWidth"
                assert await page.evaluate(wider) <= 0
            assert (told, opened) == ([], [])
            await context.close()


async def test_the_way_through_the_console(client, emulator):
    """By its links alone somebody gets from the buckets to an object and its content."""
    await client.put_object(BUCKET, "größe".encode(), "a/b/note #1.txt")
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(emulator.console_url)
        page.set_default_timeout(10_000)
        for words in (BUCKET, "a/", "b/", "note #1.txt"):
            await page.get_by_role("link", name=words, exact=True).click()
        assert await page.locator("pre.content").inner_text() == "größe"
        await page.get_by_role("link", name=BUCKET, exact=True).click()
        await page.get_by_label("Prefix").fill("nothing/")
        await page.get_by_role("button", name="Show").click()
        assert "No key begins with this prefix" in await page.inner_text("main")
        await page.get_by_role("link", name="Requests", exact=True).click()
        assert "PutObject" in await page.inner_text("main")
