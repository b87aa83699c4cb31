"""Objects move, expire and go by the bucket's rules, as the server's calendar moves on."""

import pytest
from cos_wire import BUCKET

from aiocos.emulator import CosEmulator

DAY_S = 24 * 3600


def rule(actions, filter_="<Filter><Prefix></Prefix></Filter>", status="Enabled"):
    return f"<Rule>{filter_}<Status>{status}</Status>{actions}</Rule>"


async def put_rules(wire, *rules):
    body = f"<LifecycleConfiguration>{''.join(rules)}</LifecycleConfiguration>"
    answer = await wire.ask("PUT", "/?lifecycle", {}, body.encode())
    assert answer.status == 200, answer.body


async def keys(wire):
    return (await wire.ask("GET", "/")).all("Contents/Key")


async def history(wire):
    """Each version and marker, newest first."""
    listed = await wire.ask("GET", "/?versions")
    return [len(listed.all(name)) for name in ("Version", "DeleteMarker")]


async def storage_class(wire, key="k"):
    head = await wire.ask("HEAD", f"/{key}")
    return head.headers.get("x-cos-storage-class", "STANDARD")


def expire(days):
    return f"<Expiration><Days>{days}</Days></Expiration>"


def move(days, to):
    return f"<Transition><Days>{days}</Days><StorageClass>{to}</StorageClass></Transition>"


async def test_expiry(server, wire):
    """An object goes so many times 24 hours after it was written, and not before."""
    await wire.ask("PUT", "/k", {}, b"v")
    await put_rules(wire, rule(expire(2)))
    server.clock.advance(days=1, hours=23, minutes=59)
    assert (await wire.ask("GET", "/k")).body == b"v"
    server.clock.advance(minutes=2)
    assert (await wire.ask("GET", "/k")).code == "NoSuchKey"
    assert await keys(wire) == []


async def test_content_goes_with_the_object(tmp_path):
    """What has expired takes up no room, once a request has met the bucket."""
    async with CosEmulator(tmp_path) as server:
        from cos_wire import Wire

        wire = Wire(server)
        await wire.ask("PUT", "/k", {}, bytes(1 << 20))
        await put_rules(wire, rule(expire(1)))
        large = [p for p in tmp_path.rglob("*") if p.is_file() and p.stat().st_size == 1 << 20]
        assert len(large) == 1
        server.clock.advance(days=2)
        await wire.ask("HEAD", "/")
        assert not large[0].exists()


async def test_the_way_the_calendar_moves_does_not_matter():
    """One leap and many steps lead to the same, each thing dated when it was due."""
    seen = []
    for steps in (1, 40):
        async with CosEmulator() as server:
            from cos_wire import Wire

            wire = Wire(server)
            body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
            await wire.ask("PUT", "/?versioning", {}, body)
            for key in ("a", "b"):
                await wire.ask("PUT", f"/{key}", {}, b"1")
                await wire.ask("PUT", f"/{key}", {}, b"2")
            await put_rules(
                wire,
                rule(move(5, "STANDARD_IA") + move(9, "ARCHIVE")),
                rule(
                    expire(12) + "<NoncurrentVersionExpiration><NoncurrentDays>20</NoncurrentDays>"
                    "</NoncurrentVersionExpiration>",
                    "<Filter><Prefix>b</Prefix></Filter>",
                ),
            )
            for _ in range(steps):
                server.clock.advance(days=40 / steps)
                await wire.ask("HEAD", "/")
            listed = await wire.ask("GET", "/?versions")
            names = ("Version/Key", "Version/StorageClass", "DeleteMarker/Key")
            seen.append([listed.all(name) for name in names])
    assert seen[0] == seen[1]
    assert seen[0] == [["a", "a"], ["ARCHIVE", "STANDARD"], ["b"]]


async def test_transitions(server, wire):
    """An object moves down from class to class, keeps its date, and never moves up."""
    await wire.ask("PUT", "/k", {}, b"v")
    await wire.ask("PUT", "/cold", {"x-cos-storage-class": "DEEP_ARCHIVE"}, b"v")
    date = (await wire.ask("HEAD", "/k")).headers["Last-Modified"]
    await put_rules(wire, rule(move(30, "Standard_IA") + move(90, "ARCHIVE")))
    assert await storage_class(wire) == "STANDARD"
    server.clock.advance(days=31)
    assert await storage_class(wire) == "STANDARD_IA"
    assert (await wire.ask("GET", "/k")).body == b"v"
    server.clock.advance(days=60)
    assert await storage_class(wire) == "ARCHIVE"
    assert (await wire.ask("GET", "/k")).code == "InvalidObjectState"
    assert (await wire.ask("HEAD", "/k")).headers["Last-Modified"] == date
    assert await storage_class(wire, "cold") == "DEEP_ARCHIVE"


@pytest.mark.parametrize(
    ("filter_", "left"),
    [
        ("<Filter><Prefix>logs/</Prefix></Filter>", ["other", "tagged", "twice"]),
        ("<Prefix>logs/</Prefix>", ["other", "tagged", "twice"]),
        ("<Filter><Tag><Key>a</Key><Value>1</Value></Tag></Filter>", ["logs/a", "other"]),
        (
            "<Filter><And><Prefix>t</Prefix><Tag><Key>a</Key><Value>1</Value></Tag>"
            "<Tag><Key>b</Key><Value>2</Value></Tag></And></Filter>",
            ["logs/a", "other", "tagged"],
        ),
        (
            "<Filter><And><ObjectSizeGreaterThan>3</ObjectSizeGreaterThan>"
            "<ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter>",
            ["logs/a", "tagged", "twice"],
        ),
        ("<Filter><And><PrefixNotEquals>t</PrefixNotEquals></And></Filter>", ["tagged", "twice"]),
        ("", []),
    ],
)
async def test_filters(server, wire, filter_, left):
    """A rule is about the objects that fit all of its filter."""
    await wire.ask("PUT", "/logs/a", {}, b"123")
    await wire.ask("PUT", "/other", {}, b"1234")
    await wire.ask("PUT", "/tagged", {"x-cos-tagging": "a=1"}, b"12345")
    await wire.ask("PUT", "/twice", {"x-cos-tagging": "a=1&b=2"}, b"12345")
    await put_rules(wire, rule(expire(1), filter_))
    server.clock.advance(days=2)
    assert await keys(wire) == left


async def test_rule_that_is_off(server, wire):
    """A rule that is disabled, or deleted again, does nothing."""
    await wire.ask("PUT", "/k", {}, b"v")
    await put_rules(wire, rule(expire(1), status="Disabled"))
    server.clock.advance(days=2)
    assert await keys(wire) == ["k"]
    await put_rules(wire, rule(expire(9)))
    await wire.ask("DELETE", "/?lifecycle")
    server.clock.advance(days=20)
    assert await keys(wire) == ["k"]


async def test_new_rule_and_new_tag_count_at_once(server, wire):
    """Old objects go as soon as a rule, or a tag that a rule is about, is put."""
    await wire.ask("PUT", "/k", {}, b"v")
    await wire.ask("PUT", "/t", {}, b"v")
    server.clock.advance(days=5)
    tagged = "<Filter><Tag><Key>a</Key><Value>1</Value></Tag></Filter>"
    await put_rules(wire, rule(expire(3), tagged), rule(expire(3), "<Prefix>k</Prefix>"))
    assert await keys(wire) == ["t"]
    body = b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
    await wire.ask("PUT", "/t?tagging", {}, body)
    assert await keys(wire) == []


async def test_date(server, wire):
    """A rule with a date does its work from that day on, also on what comes later."""
    await wire.ask("PUT", "/k", {}, b"v")
    late = "<Expiration><Date>2100-01-01T00:00:00+08:00</Date></Expiration>"
    await put_rules(wire, rule(late))
    server.clock.advance(days=30)
    assert await keys(wire) == ["k"]
    await put_rules(wire, rule("<Expiration><Date>2018-04-24T00:00:00+08:00</Date></Expiration>"))
    assert await keys(wire) == []
    await wire.ask("PUT", "/k", {}, b"v")
    assert await keys(wire) == []


async def versioned(wire, status="Enabled"):
    body = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>"
    await wire.ask("PUT", "/?versioning", {}, body.encode())


async def test_expiry_with_versions(server, wire):
    """With versions, an expired object is hidden behind a delete marker."""
    await versioned(wire)
    version = (await wire.ask("PUT", "/k", {}, b"v")).headers["x-cos-version-id"]
    await put_rules(wire, rule(expire(1)))
    server.clock.advance(days=2)
    gone = await wire.ask("GET", "/k")
    assert (gone.code, gone.headers["x-cos-delete-marker"]) == ("NoSuchKey", "true")
    assert (await wire.ask("GET", f"/k?versionId={version}")).body == b"v"
    server.clock.advance(days=30)
    assert await history(wire) == [1, 1]


async def test_expiry_when_versions_are_suspended(server, wire):
    """Suspended, the object without a version id is replaced by a marker."""
    await versioned(wire)
    await wire.ask("PUT", "/k", {}, b"1")
    await versioned(wire, "Suspended")
    await wire.ask("PUT", "/k", {}, b"2")
    await put_rules(wire, rule(expire(1)))
    server.clock.advance(days=2)
    listed = await wire.ask("GET", "/?versions")
    assert listed.all("DeleteMarker/VersionId") == ["null"]
    assert len(listed.all("Version")) == 1


async def test_old_versions(server, wire):
    """Old versions move and go so many days after they were superseded, the newest stays."""
    await versioned(wire)
    await wire.ask("PUT", "/k", {}, b"1")
    server.clock.advance(days=100)
    await wire.ask("PUT", "/k", {}, b"2")
    old = "<NoncurrentDays>{}</NoncurrentDays>"
    await put_rules(
        wire,
        rule(
            f"<NoncurrentVersionTransition>{old.format(5)}<StorageClass>ARCHIVE</StorageClass>"
            "</NoncurrentVersionTransition>"
            f"<NoncurrentVersionExpiration>{old.format(10)}</NoncurrentVersionExpiration>"
        ),
    )
    server.clock.advance(days=4)
    assert await history(wire) == [2, 0]
    server.clock.advance(days=2)
    listed = await wire.ask("GET", "/?versions")
    assert listed.all("Version/StorageClass") == ["STANDARD", "ARCHIVE"]
    server.clock.advance(days=5)
    assert await history(wire) == [1, 0]
    assert (await wire.ask("GET", "/k")).body == b"2"


async def test_delete_markers_that_hide_nothing(server, wire):
    """A marker goes when the last version it hid has gone."""
    await versioned(wire)
    await wire.ask("PUT", "/k", {}, b"1")
    await wire.ask("PUT", "/stays", {}, b"1")
    await wire.ask("DELETE", "/k")
    markers = "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"
    await put_rules(
        wire,
        rule(
            f"<Expiration>{markers}</Expiration><NoncurrentVersionExpiration><NoncurrentDays>3"
            "</NoncurrentDays></NoncurrentVersionExpiration>"
        ),
    )
    assert await history(wire) == [2, 1]
    server.clock.advance(days=4)
    assert await history(wire) == [1, 0]
    assert await keys(wire) == ["stays"]


async def test_uploads_that_were_not_completed(server, wire):
    """An upload is aborted so many days after it began; others go on."""
    began = await wire.ask("POST", "/logs/a?uploads", {}, b"")
    await wire.ask("POST", "/other?uploads", {}, b"")
    upload = began.xml("UploadId")
    await wire.ask("PUT", f"/logs/a?partNumber=1&uploadId={upload}", {}, b"part")
    abort = (
        "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>"
        "</AbortIncompleteMultipartUpload>"
    )
    await put_rules(wire, rule(abort, "<Filter><Prefix>logs/</Prefix></Filter>"))
    server.clock.advance(days=6)
    assert len(await server.uploads(BUCKET)) == 2
    server.clock.advance(days=2)
    assert [key for key, _ in await server.uploads(BUCKET)] == ["other"]
    answer = await wire.ask("PUT", f"/logs/a?partNumber=2&uploadId={upload}", {}, b"part")
    assert answer.code == "NoSuchUpload"


async def test_markers_may_be_named_and_spared(server, wire):
    """An expiry in days counts, also when it says that markers stay."""
    await wire.ask("PUT", "/k", {}, b"v")
    spare = "<ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker>"
    await put_rules(wire, rule(f"<Expiration><Days>1</Days>{spare}</Expiration>"))
    server.clock.advance(days=2)
    assert await keys(wire) == []


async def test_source_of_a_copy_expires(server, wire):
    """What has expired cannot be copied to another bucket either."""
    await server.create_bucket("other-1250000000")
    await wire.ask("PUT", "/k", {}, b"v")
    await put_rules(wire, rule(expire(1)))
    server.clock.advance(days=2)
    source = {"x-cos-copy-source": f"/{BUCKET}/k"}
    host = "other-1250000000.cos.ap-guangzhou.myqcloud.com"
    assert (await wire.ask("PUT", "/k", source, b"", host=host)).code == "NoSuchKey"


@pytest.mark.parametrize(
    "actions",
    [
        "<Expiration><Days>x</Days></Expiration>",
        "<Expiration><Days>-1</Days></Expiration>",
        "<Expiration><Days>1</Days><Date>2018-04-24T00:00:00+08:00</Date></Expiration>",
        "<Expiration><Date>tomorrow</Date></Expiration>",
        "<Transition><StorageClass>ARCHIVE</StorageClass></Transition>",
    ],
)
async def test_bad_times(wire, actions):
    """A rule without a time that can be understood is refused."""
    body = f"<LifecycleConfiguration>{rule(actions)}</LifecycleConfiguration>"
    assert (await wire.ask("PUT", "/?lifecycle", {}, body.encode())).code == "MalformedXML"


async def test_ids_are_unique(wire):
    """Two rules cannot have one ID."""
    twice = rule("<ID>a</ID>" + expire(1)) * 2
    body = f"<LifecycleConfiguration>{twice}</LifecycleConfiguration>"
    assert (await wire.ask("PUT", "/?lifecycle", {}, body.encode())).code == "InvalidArgument"
