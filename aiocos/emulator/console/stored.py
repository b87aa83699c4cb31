"""The pages of what is stored: buckets, their objects, one object.

In: a view. Out: a page. Content is shown by its first bytes only, as text where it is text.
"""

from __future__ import annotations

from urllib.parse import urlencode

from .. import acls, attributes, tags
from ..blobs import cut
from ..listing import Page
from ..records import Attributes, Bucket, Version
from ..wire import natural
from . import queries
from .html import Html, code, empty, facts, key, link, moment, page, path, plain, size, table, tag
from .view import View

SHOWN = 4096
"""So many bytes of the content are shown."""
_LAST_ROW = (1 << 63) - 1
_HEX_ROWS = 16
_HEX = 16


async def buckets(view: View) -> Html:
    found = await view.run(queries.summaries)
    body = (
        _buckets(found)
        if found
        else empty(
            "There is no bucket yet. Make one:",
            'await client.create_bucket(Bucket="examplebucket-1250000000")',
        )
    )
    return page("Buckets", "", tag("h1", "Buckets"), body)


def _buckets(found: list[queries.Summary]) -> Html:
    rows = [
        (
            link(key(bucket.name), "/bucket", bucket=bucket.name),
            f"{count:,}" if count <= queries.COUNTED else f"over {queries.COUNTED:,}",
            size(total),
            bucket.versioning or "Off",
            _access(bucket.acl),
            tag("span", bucket.region, class_="line"),
            moment(bucket.created),
        )
        for bucket, count, total in found
    ]
    columns = (
        "*Bucket",
        ">Objects",
        ">Size",
        "?Versioning",
        "?Access",
        "?Region",
        "?Created, UTC",
    )
    return table(columns, rows)


def _access(acl: str) -> str:
    return acl if acl in acls.CANNED or acl == acls.DEFAULT else "by grants"


async def bucket(view: View) -> Html:
    where = view.bucket()
    prefix, after = view.param("prefix"), view.param("after")
    await view.services.sweeper.settle(where.name)
    settings = await view.run(queries.settings, where.name)
    if view.param("versions"):
        past = natural(view.param("past"))
        row = None if past is None else min(past, _LAST_ROW)
        found = await view.run(queries.history, where.name, prefix, after, row)
        listed = _history(where, found)
    else:
        found = await view.run(queries.objects, where.name, prefix, after)
        listed = _objects(where, prefix, found)
    body = listed if found.size else _nothing(where, prefix, after)
    return page(
        where.name,
        "",
        _way(where, prefix),
        tag("h1", key(where.name)),
        facts(
            [
                ("Versioning", where.versioning or "Off"),
                ("Access", _access(where.acl)),
                ("Created", moment(where.created)),
                ("Settings", ", ".join(settings) or "none"),
            ]
        ),
        _tools(view, where, prefix),
        body,
        _pager(view, where, found),
    )


def _way(where: Bucket, prefix: str, last: str = "") -> Html:
    """Links to what is above."""
    steps = [link("Buckets", ""), link(key(where.name), "/bucket", bucket=where.name)]
    parts = prefix.split("/")
    for index, part in enumerate(parts[:-1], 1):
        above = "/".join(parts[:index]) + "/"
        steps.append(link(key(f"{part}/"), "/bucket", bucket=where.name, prefix=above))
    return path(*steps, *([key(last)] if last else []))


def _tools(view: View, where: Bucket, prefix: str) -> Html:
    versions = view.param("versions")
    tabs = tag(
        "nav",
        *(
            tag("a", words, href=str(address), aria_current="true" if at else None)
            for words, address, at in (
                ("Objects", _address(where, prefix), not versions),
                ("All versions", _address(where, prefix, "1"), bool(versions)),
            )
        ),
        class_="switch",
        aria_label="What is listed",
    )
    form = tag(
        "form",
        tag("input", type="hidden", name="bucket", value=where.name),
        *([tag("input", type="hidden", name="versions", value="1")] if versions else []),
        tag("label", "Prefix", for_="prefix"),
        tag("input", type="search", id="prefix", name="prefix", value=prefix, autocomplete="off"),
        tag("button", "Show"),
        action="/_console/bucket",
    )
    return tag("div", tabs, form, class_="tools")


def _address(where: Bucket, prefix: str, versions: str = "") -> str:
    params = {"bucket": where.name, "prefix": prefix, "versions": versions}
    return f"/_console/bucket?{urlencode({name: text for name, text in params.items() if text})}"


def _objects(where: Bucket, prefix: str, found: Page) -> Html:
    rows: list[tuple[str, ...]] = []
    for raw in found.prefixes:
        name = raw.decode()
        shown = key(name[len(prefix) :])
        rows.append((link(shown, "/bucket", bucket=where.name, prefix=name), "", "", ""))
    for raw, _, count, modified, more in found.rows:
        name = raw.decode()
        known = Attributes.from_json(more)
        shown = link(key(name[len(prefix) :] or name), "/object", bucket=where.name, key=name)
        rows.append((shown, size(count), known.storage_class, moment(modified)))
    return table(("*Key", ">Size", "?Class", "?Modified, UTC"), rows)


def _history(where: Bucket, found: Page) -> Html:
    listed = [Version.from_row(row[1:]) for row in found.rows]
    return _versions(where, listed, is_named=True)


def _versions(where: Bucket, listed: list[Version], *, is_named: bool) -> Html:
    rows = []
    for one_ in listed:
        target = {"bucket": where.name, "key": one_.key, "version": one_.version}
        state = "Deleted" if one_.marker else "Latest" if one_.latest else "Older"
        name = [link(key(one_.key), "/object", **target)] if is_named else []
        identity = code(one_.version) if is_named else link(code(one_.version), "/object", **target)
        total = "" if one_.marker else size(one_.size)
        shown = tag("span", state, class_=f"mark {state.lower()}")
        rows.append((*name, identity, shown, total, moment(one_.modified)))
    first = ("*Key", "?Version") if is_named else ("*Version",)
    return table((*first, "State", ">Size", "?Modified, UTC"), rows)


def _nothing(where: Bucket, prefix: str, after: str) -> Html:
    if after:
        return empty("There is nothing further.")
    if prefix:
        return empty("No key begins with this prefix. Capitals and spaces count.")
    return empty(
        "The bucket is empty. Put something into it:",
        f'await client.put_object(Bucket="{where.name}", Key="a.txt", Body=b"hello")',
    )


def _pager(view: View, where: Bucket, found: Page) -> Html:
    params = {"bucket": where.name} | {
        name: view.param(name) for name in ("prefix", "versions") if view.param(name)
    }
    links = []
    if view.param("after"):
        links.append(link("First page", "/bucket", **params))
    if found.is_truncated:
        params["after"] = found.last.decode()
        if view.param("versions") and found.last_row is not None:
            params["past"] = str(found.last_row[1])
        links.append(link("Next page", "/bucket", **params))
    return tag("nav", *links, class_="pager", aria_label="Pages")


async def one(view: View) -> Html:
    where, name = view.bucket(), view.param("key")
    await view.services.sweeper.settle(where.name)
    found, known = await view.run(queries.one, where.name, name, view.param("version"))
    try:
        content = await _content(view, found)
    finally:
        view.services.database.release(found.layout)
    headers = attributes.describe(
        found, view.services.clock.now(), versioned=bool(where.versioning)
    )
    pieces = [
        _way(where, name[: name.rfind("/") + 1], name[name.rfind("/") + 1 :] or name),
        tag("h1", key(name)),
        _summary(found),
    ]
    if not found.marker:
        pieces += [tag("h2", "Content"), content, tag("h2", "Headers"), _named(headers)]
        kept = tags.read(found.attributes.tagging)
        pieces += [
            tag("h2", "Tags"),
            _named(dict(kept)) if kept else tag("p", "None.", class_="quiet"),
        ]
    pieces += [tag("h2", "Versions"), _versions(where, known, is_named=False)]
    return page(name, "", *pieces)


def _summary(found: Version) -> Html:
    if found.marker:
        return facts([("State", "Deleted, by a marker"), ("Since", moment(found.modified))])
    more = found.attributes
    rows: list[tuple[str, str]] = [
        ("Size", size(found.size)),
        ("Class", more.storage_class),
        ("Kind", more.kind if not more.target else f"symlink to {more.target}"),
        ("Access", "as the bucket" if more.acl == acls.DEFAULT else _access(more.acl)),
        ("Modified", moment(found.modified)),
    ]
    return facts(rows)


def _named(pairs: dict[str, str]) -> Html:
    rows = [(code(name), key(value)) for name, value in pairs.items()]
    return table(("Name", "Value"), rows, class_="pairs")


async def _content(view: View, found: Version) -> Html:
    if found.marker or not found.size:
        return tag("p", "Empty.", class_="quiet")
    if found.attributes.customer_key:
        return tag("p", "Encrypted with a key of the customer's, and not shown.", class_="quiet")
    if not attributes.is_readable(found, view.services.clock.now()):
        return tag("p", "Archived: restore it to read it.", class_="quiet")
    layout = cut(found.layout, 0, SHOWN)
    head = b"".join([piece async for piece in view.services.blobs.read(layout)])
    text = _text(head, is_whole=len(head) == found.size)
    shown = plain(_hex(head), lines=True) if text is None else plain(text, lines=True)
    told = f"The first {len(head[: _HEX * _HEX_ROWS] if text is None else head):,} bytes."
    is_all = len(head) == found.size and (text is not None or len(head) <= _HEX * _HEX_ROWS)
    note = [] if is_all else [tag("p", told, class_="quiet")]
    return tag("div", tag("pre", tag("code", shown), class_="content", tabindex="0"), *note)


def _text(head: bytes, *, is_whole: bool) -> str | None:
    """The text, None if it is none; a character that was cut in two at the end is left out."""
    for missing in range(1 if is_whole else 4):
        try:
            text = head[: len(head) - missing].decode()
        except UnicodeDecodeError:
            continue
        odd = sum(not sign.isprintable() and sign not in "\n\r\t" for sign in text)
        return text.replace("\r\n", "\n") if odd * 20 <= len(text) else None
    return None


def _hex(head: bytes) -> str:
    lines = []
    for start in range(0, min(len(head), _HEX * _HEX_ROWS), _HEX):
        row = head[start : start + _HEX]
        signs = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<47}  {signs}")
    return "\n".join(lines)
