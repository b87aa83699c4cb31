"""The pages of what is going on: uploads, requests, faults, the server itself.

In: a view. Out: a page, which comes anew every few seconds until it is told to stand still.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable
from itertools import islice

from ..faults import SELECTORS, FaultRule
from ..journal import RequestRecord
from ..records import Part
from . import queries
from .html import Html, clock, code, empty, facts, key, link, moment, page, plain, size, table, tag
from .view import View

REFRESH_S = 2
SHOWN = 100

_KEY_SHOWN = 8


def _live(view: View, title: str, here: str, *body: str) -> Html:
    """A page that comes anew by itself."""
    is_still = view.param("still") == "1"
    words = "Go on" if is_still else "Stand still"
    params = {"open": view.param("open")} if view.param("open") else {}
    params |= {} if is_still else {"still": "1"}
    told = "Standing still." if is_still else f"Anew every {REFRESH_S} seconds."
    state = tag("p", plain(f"{told} "), link(words, here, **params), class_="quiet")
    top = tag("div", tag("h1", title), state, class_="title")
    return page(title, here, top, *body, refresh_s=None if is_still else REFRESH_S)


async def uploads(view: View) -> Html:
    for name in list(view.services.buckets):
        await view.services.sweeper.settle(name)
    found = await view.run(queries.uploads)
    body = [_upload(view, begun) for begun in found] or [
        empty(
            "No multipart upload is under way. Large files are uploaded in parts:",
            'await client.upload_file(Bucket="…", Key="big.bin", LocalFilePath="big.bin")',
        )
    ]
    return _live(view, "Uploads in progress", "/uploads", *body)


def _upload(view: View, begun: queries.Begun) -> Html:
    upload = begun.upload
    # Opened by the address: what a page opens by itself would close when it comes anew.
    is_open = view.param("open") == upload.id
    still = {"still": "1"} if view.param("still") == "1" else {}
    switch = (
        link("Hide the parts", "/uploads", **still)
        if is_open
        else link("Show the parts", "/uploads", **still, open=upload.id)
    )
    more = [tag("p", f"The first {len(begun.first)} of {begun.parts:,} parts.", class_="quiet")]
    return tag(
        "article",
        tag("h2", link(key(upload.bucket), "/bucket", bucket=upload.bucket), " ", key(upload.key)),
        facts(
            [
                ("Parts", f"{begun.parts:,}"),
                ("Bytes", size(begun.size)),
                ("Begun", moment(upload.created)),
                ("Class", upload.attributes.storage_class),
                ("Upload id", code(upload.id)),
            ]
        ),
        tag("p", switch),
        *([_parts(begun.first), *more * (begun.parts > SHOWN)] if is_open else []),
    )


def _parts(parts: list[Part]) -> Html:
    if not parts:
        return tag("p", "None has arrived.", class_="quiet")
    rows = [
        (str(part.number), size(part.size), code(part.etag), moment(part.modified))
        for part in parts
    ]
    return table((">Part", ">Size", "*ETag", "?Arrived, UTC"), rows)


async def requests(view: View) -> Html:
    records = view.server.requests
    latest = list(islice(reversed(list(records)), SHOWN))
    body = (
        _requests(latest)
        if latest
        else empty(
            "No request has come yet. Point a client here:",
            "config = CosConfig(**server.settings())",
        )
    )
    return _live(view, "Requests", "/requests", body)


def _requests(latest: Iterable[RequestRecord]) -> Html:
    rows = [
        (
            clock(record.began),
            record.operation or record.method,
            _place(record),
            _status(record),
            size(record.bytes_in) if record.bytes_in else "",
            size(record.bytes_out) if record.bytes_out else "",
            _struck(record.fault) if record.fault is not None else "",
        )
        for record in latest
    ]
    columns = ("?Time, UTC", "Operation", "*Object", "Answer", "?>In", "?>Out", "?Fault")
    return table(columns, rows, class_="stack")


def _struck(rule: FaultRule) -> Html:
    """What went wrong, without which requests it is for."""
    told = rule.to_dict()
    return code(", ".join(f"{name} {told[name]}" for name in told if name not in SELECTORS))


def _place(record: RequestRecord) -> Html:
    if not record.bucket:
        return key(record.raw_path) if not record.operation else plain("")
    if not record.key:
        return key(record.bucket)
    place = tag("span", key(f"{record.bucket}/"), class_="quiet")
    return Html(place + link(key(record.key), "/object", bucket=record.bucket, key=record.key))


def _status(record: RequestRecord) -> Html:
    if not record.status:
        return tag("span", "no answer", class_="mark none")
    kind = "bad" if record.status >= 500 else "odd-one" if record.status >= 300 else "good"
    return tag("span", f"{record.status} {record.code}".strip(), class_=f"mark {kind}")


async def faults(view: View) -> Html:
    found = list(view.server.faults)
    rows = [
        (code(json.dumps(fault.rule.to_dict())), f"{fault.seen:,}", f"{fault.fired:,}")
        for fault in found
    ]
    body = (
        table(("*Rule", ">Seen", ">Fired"), rows)
        if rows
        else empty(
            "All is well: no fault is in force. Let the third part of every upload fail:",
            'server.fail("UploadPart", part=3, status=503)',
        )
    )
    return _live(view, "Faults", "/faults", body)


async def server(view: View) -> Html:
    it, times = view.server, view.services.clock
    now = time.time()
    tls = [("HTTPS", code(it.tls_url)), ("Certificate to trust", code(str(it.ca_file)))]
    place = [
        ("HTTP", code(it.url)),
        *(tls if it.ca_file is not None else []),
        ("Region", code(it.region)),
        ("Account", code(it.appid)),
        ("Key id", code(f"{it.secret_id[:_KEY_SHOWN]}…")),
        ("Signatures", "not checked" if it.is_anonymous else "checked"),
        ("Up for", _span(now - it.began)),
    ]
    calendar = [
        ("Calendar", moment(times.now())),
        ("Ahead by", _span(times.now() - now)),
        ("Date header", moment(times.wall())),
        ("Wrong by", _span(times.wall() - now)),
    ]
    limits = dataclasses.asdict(view.services.limits)
    rows = [(_label(name), _limit(name, value)) for name, value in limits.items()]
    return page(
        "Server",
        "/server",
        tag("h1", "Server"),
        tag("h2", "How to reach it"),
        facts(place),
        tag("h2", "Clock"),
        facts(calendar),
        tag("h2", "Limits"),
        facts(rows),
    )


def _label(name: str) -> str:
    words = name.removeprefix("max_").removesuffix("_s").removesuffix("_size").replace("_", " ")
    return words.capitalize().replace("Xml", "XML").replace("Min part", "Smallest part")


def _limit(name: str, value: float) -> Html:
    if name.endswith("_s"):
        return plain(f"{value:g} s")
    return size(int(value)) if name.endswith("_size") else plain(f"{value:,}")


def _span(seconds: float) -> str:
    """A length of time, in whole seconds; what is less counts as nothing."""
    whole = round(seconds)
    days, rest = divmod(abs(whole), 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    units = ((days, "d"), (hours, "h"), (minutes, "min"), (left, "s"))
    told = " ".join(f"{number} {unit}" for number, unit in units if number)
    return f"{'−' * (whole < 0)}{told or '0 s'}"
