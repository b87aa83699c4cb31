"""Multipart uploads: create, parts, part copies, complete, abort.

In: a ``Call``. Out: a ``Reply``, or a refusal.
"""

from __future__ import annotations

import os
from urllib.parse import quote

from . import access, attributes, uploads
from .blobs import cut
from .clock import short_date
from .conditions import exact_span
from .copying import open_source
from .errors import CosError
from .objects import guard, written
from .records import Part, Upload
from .uploads import Listed
from .wire import Call, Reply, natural, xml_reply
from .xml import Element, Node

MAX_PARTS = 10_000


async def create_multipart_upload(call: Call) -> Reply:
    bucket = call.bucket()
    access.write(call.caller, bucket)
    described = attributes.from_headers(call)
    # Begins with the time: ids sort as the uploads were begun, also when one of them has gone.
    microseconds = int(call.services.clock.now() * 1_000_000)
    identity = f"{microseconds}{os.urandom(29).hex()}"
    await call.run(uploads.begin, Upload(identity, bucket.name, call.key, call.now, described))
    nodes: list[Node] = [("Bucket", bucket.name), ("Key", call.key), ("UploadId", identity)]
    told = attributes.customer_headers(attributes.customer_key(call.headers))
    return xml_reply("InitiateMultipartUploadResult", nodes, described.encryption | told)


async def upload_part(call: Call) -> Reply:
    number = _part_number(call)
    call.body.require_length(or_chunked=True)
    upload = await _open(call)
    told = attributes.check_customer_key(upload.attributes, call.headers)
    blob = await call.receive()
    part = Part(number, blob.size, blob.md5, blob.crc, call.now, blob.layout)
    try:
        await call.run(uploads.add_part, upload, part)
    except CosError:
        call.discard(blob)
        raise
    return Reply(200, _part_headers(upload, part) | told)


async def upload_part_copy(call: Call) -> Reply:
    number = _part_number(call)
    upload = await _open(call)
    told = attributes.check_customer_key(upload.attributes, call.headers)
    source = await open_source(call)
    wanted = exact_span(call.headers.get("x-cos-copy-source-range", ""), source.version.size)
    if wanted.length > call.services.limits.max_object_size:
        raise CosError("InvalidRequest", "The range is larger than one part may be.")
    layout = cut(source.version.layout, wanted.start, wanted.length)
    md5, crc = await call.services.blobs.digest(layout)
    part = Part(number, wanted.length, md5, crc, call.now, layout)
    await call.run(uploads.add_part, upload, part)
    nodes: list[Node] = [
        ("ETag", f'"{md5}"'),
        ("CRC64", str(crc)),
        ("LastModified", short_date(part.modified)),
    ]
    return xml_reply(
        "CopyPartResult", nodes, upload.attributes.encryption | told | source.headers()
    )


def _part_number(call: Call) -> int:
    number = natural(call.params["partNumber"])
    if number is None or not 1 <= number <= MAX_PARTS:
        raise CosError(
            "InvalidArgument",
            f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive",
        )
    return number


async def _open(call: Call) -> Upload:
    bucket = call.bucket()
    access.write(call.caller, bucket)
    return await call.run(uploads.find, bucket.name, call.key, call.params["uploadId"])


def _part_headers(upload: Upload, part: Part) -> dict[str, str]:
    return {
        "ETag": f'"{part.etag}"',
        "x-cos-hash-crc64ecma": str(part.crc),
        **upload.attributes.encryption,
    }


async def complete_multipart_upload(call: Call) -> Reply:
    upload = await _open(call)
    listed = await call.body.xml("CompleteMultipartUpload", _listed_parts)
    saved = await call.run(
        uploads.complete,
        upload,
        listed,
        minimum=call.services.limits.min_part_size,
        guard=guard(call.headers),
        now=call.now,
    )
    nodes: list[Node] = [
        ("Location", _location(call)),
        ("Bucket", saved.bucket),
        ("Key", saved.key),
        ("ETag", f'"{saved.etag}"'),
    ]
    told = written(call, saved) | {"x-cos-hash-crc64ecma": str(saved.crc)}
    if upload.attributes.customer_key:
        told["x-cos-server-side-encryption-customer-algorithm"] = "AES256"
    return xml_reply("CompleteMultipartUploadResult", nodes, told)


def _listed_parts(body: Element) -> list[Listed]:
    listed = [_listed(part) for part in body.children("Part")]
    if not 1 <= len(listed) <= MAX_PARTS:
        raise CosError("MalformedXML", f"1 to {MAX_PARTS} parts must be listed.")
    return listed


def _listed(part: Element) -> Listed:
    number, etag = natural((part.text("PartNumber") or "").strip()), part.text("ETag")
    if number is None or etag is None:
        raise CosError("MalformedXML", "Each part needs a PartNumber and an ETag.")
    return Listed(number, etag.strip().strip('"'))


def _location(call: Call) -> str:
    return f"http://{call.target.host}{quote(call.target.path)}"


async def abort_multipart_upload(call: Call) -> Reply:
    bucket = call.bucket()
    access.write(call.caller, bucket)
    await call.run(uploads.abort, bucket.name, call.key, call.params["uploadId"])
    return Reply(204)
