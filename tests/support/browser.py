"""A page of another origin, and Chromium to look at it.

In: what the page is to do, as JavaScript. Out: what came of it.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator

from aiohttp import web
from playwright.async_api import Browser, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

PAGE = """<!doctype html><meta charset="utf-8"><title>uploads</title>
<form id="form" method="post" enctype="multipart/form-data"></form>
<script>
function formOf(made, content, name) {
  const form = new FormData();
  for (const [field, value] of Object.entries(made.fields)) form.append(field, value);
  form.append("file", new Blob([content]), name);
  return form;
}
async function tell(request) {
  const answer = await request;
  return {status: answer.status, etag: answer.headers.get("ETag"), text: await answer.text()};
}
const post = ({made, content, name}) =>
  tell(fetch(made.url, {method: "POST", body: formOf(made, content, name)}));
const send = ({url, method, content, headers}) =>
  tell(fetch(url, {method, body: content, headers}));
async function refused(given) {
  try { await send(given); return null; } catch (error) { return error.name; }
}
async function inParts({made, size}) {
  let listed = "";
  for (const [index, url] of made.parts.entries()) {
    const part = new Uint8Array(size).fill(index + 1);
    const etag = (await tell(fetch(url, {method: "PUT", body: part}))).etag;
    listed += `<Part><PartNumber>${index + 1}</PartNumber><ETag>${etag}</ETag></Part>`;
  }
  const body = `<CompleteMultipartUpload>${listed}</CompleteMultipartUpload>`;
  return tell(fetch(made.complete, {method: "POST", body}));
}
function submit({made, content, name}) {
  const form = document.getElementById("form");
  form.action = made.url;
  for (const [field, value] of Object.entries(made.fields)) {
    const input = document.createElement("input");
    Object.assign(input, {type: "hidden", name: field, value});
    form.append(input);
  }
  const input = document.createElement("input"), files = new DataTransfer();
  files.items.add(new File([content], name));
  Object.assign(input, {type: "file", name: "file", files: files.files});
  form.append(input);
  form.submit();
}
</script>
"""


@contextlib.asynccontextmanager
async def page_site() -> AsyncIterator[str]:
    """Serve the page, and give its origin."""

    async def show(request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/{any:.*}", show)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run the browser that this machine has."""
    async with async_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        try:
            yield browser
        finally:
            await browser.close()
