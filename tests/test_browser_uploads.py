"""A page in a real browser uploads to another origin, and reads back, without an account."""

from __future__ import annotations

import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import BUCKET
from tests.support.browser import CHROMIUM, chromium, page_site

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

TEXT = "内容 and content\r\n"
SIZE = 1 << 20


async def allow(client, origin):
    """Let pages of one origin, and of no other, use the bucket."""
    rule = {
        "AllowedOrigin": origin,
        "AllowedMethod": ["GET", "PUT", "POST"],
        "AllowedHeader": "*",
        "ExposeHeader": "ETag",
        "MaxAgeSeconds": 60,
    }
    await client.put_bucket_cors(BUCKET, {"CORSRule": [rule]})


async def test_a_page_uploads_and_reads_back(client, emulator):
    """By a form, by PUT and in parts; what the policy or another origin forbids is refused."""
    async with page_site() as origin, page_site() as stranger, chromium() as browser:
        await allow(client, origin)
        page = await browser.new_page()
        await page.goto(origin)

        made = await client.get_presigned_post(
            BUCKET, "u/${filename}", ContentType="text/plain", SuccessActionStatus=201
        )
        given = {"made": made, "content": TEXT, "name": '图 "a".txt'}
        told = await page.evaluate("given => post(given)", given)
        etag = f'"{hashlib.md5(TEXT.encode()).hexdigest()}"'
        assert (told["status"], told["etag"]) == (201, etag)
        assert "<Key>u/图 &quot;a&quot;.txt</Key>" in told["text"]

        url = await client.get_presigned_url(BUCKET, 'u/图 "a".txt', "GET")
        told = await page.evaluate("given => send(given)", {"url": url, "method": "GET"})
        assert told == {"status": 200, "etag": etag, "text": TEXT}

        other = {"url": made["url"], "fields": {**made["fields"], "key": "v/x"}}
        told = await page.evaluate("given => post(given)", given | {"made": other})
        assert (told["status"], "<Code>AccessDenied</Code>" in told["text"]) == (403, True)

        headers = {"Content-Type": "text/x-note", "x-cos-meta-by": "page"}
        url = await client.get_presigned_url(BUCKET, "put", "PUT", Headers=headers)
        put = {"url": url, "method": "PUT", "content": TEXT, "headers": headers}
        assert (await page.evaluate("given => send(given)", put))["status"] == 200
        assert (await client.head_object(BUCKET, "put"))["x-cos-meta-by"] == "page"

        parts = await client.create_presigned_multipart(BUCKET, "big", 3)
        told = await page.evaluate("given => inParts(given)", {"made": parts, "size": SIZE})
        assert told["status"] == 200
        content = b"".join(bytes([number]) * SIZE for number in (1, 2, 3))
        assert await emulator.read(BUCKET, "big") == content

        made = await client.get_presigned_post(
            BUCKET, "form", SuccessActionRedirect=f"{origin}/done"
        )
        await page.evaluate("given => submit(given)", given | {"made": made})
        await page.wait_for_url(f"{origin}/done?*")
        query = parse_qs(urlsplit(page.url).query)
        assert query == {"bucket": [BUCKET], "key": ["form"], "etag": [etag]}
        assert await emulator.read(BUCKET, "form") == TEXT.encode()

        await page.goto(stranger)
        assert await page.evaluate("given => refused(given)", put) == "TypeError"
