"""Archived objects are read after they were restored, and only for a while."""

import pytest

DAY_S = 24 * 3600


async def restore(wire, *, days=1, tier="Standard", key="k"):
    body = (
        f"<RestoreRequest><Days>{days}</Days><CASJobParameters><Tier>{tier}</Tier>"
        "</CASJobParameters></RestoreRequest>"
    )
    return await wire.ask("POST", f"/{key}?restore", {}, body.encode())


@pytest.fixture
async def archived(wire):
    await wire.ask("PUT", "/k", {"x-cos-storage-class": "ARCHIVE"}, b"cold")


async def test_restore(server, wire, archived):
    """A restored object becomes readable after hours, and is archived again after days."""
    answer = await wire.ask("GET", "/k")
    assert (answer.status, answer.code) == (403, "InvalidObjectState")
    assert (await wire.ask("HEAD", "/k")).headers["x-cos-storage-class"] == "ARCHIVE"
    assert (await restore(wire, days=2)).status == 202
    head = await wire.ask("HEAD", "/k")
    assert head.headers["x-cos-restore"] == 'ongoing-request="true"'
    assert head.headers["x-cos-restore-status"].startswith('tier="standard"; request-date="')
    assert (await wire.ask("GET", "/k")).status == 403
    again = await restore(wire)
    assert (again.status, again.code) == (409, "RestoreAlreadyInProgress")

    server.clock.advance(hours=6)
    got = await wire.ask("GET", "/k")
    assert got.body == b"cold"
    assert got.headers["x-cos-restore"].startswith('ongoing-request="false", expiry-date="')

    server.clock.advance(days=2)
    assert (await wire.ask("GET", "/k")).code == "InvalidObjectState"
    assert "x-cos-restore" not in (await wire.ask("HEAD", "/k")).headers
    assert (await restore(wire)).status == 202


async def test_restored_copy_is_kept_longer(server, wire, archived):
    """Restoring what is restored answers 200 and starts its days anew."""
    await restore(wire, days=1, tier="Expedited")
    server.clock.advance(minutes=6)
    assert (await restore(wire, days=5)).status == 200
    server.clock.advance(days=4)
    assert (await wire.ask("GET", "/k")).body == b"cold"


@pytest.mark.parametrize(
    ("storage_class", "tier", "hours"),
    [
        ("ARCHIVE", "Expedited", 0.2),
        ("ARCHIVE", "Bulk", 13),
        ("DEEP_ARCHIVE", "Standard", 13),
        ("DEEP_ARCHIVE", "Bulk", 49),
    ],
)
async def test_tiers(server, wire, storage_class, tier, hours):
    """Each retrieval tier takes its time."""
    await wire.ask("PUT", "/k", {"x-cos-storage-class": storage_class}, b"cold")
    assert (await restore(wire, tier=tier)).status == 202
    server.clock.advance(hours=hours / 4)
    assert (await wire.ask("GET", "/k")).status == 403
    server.clock.advance(hours=hours)
    assert (await wire.ask("GET", "/k")).status == 200


async def test_what_cannot_be_restored(wire):
    """Objects that are not archived, tiers that do not exist and zero days are refused."""
    await wire.ask("PUT", "/warm", {}, b"")
    answer = await restore(wire, key="warm")
    assert (answer.status, answer.code) == (405, "RestoreNonArchiveObject")
    assert (await restore(wire, key="none")).code == "NoSuchKey"
    await wire.ask("PUT", "/k", {"x-cos-storage-class": "DEEP_ARCHIVE"}, b"")
    assert (await restore(wire, tier="Expedited")).code == "InvalidArgument"
    assert (await restore(wire, days=0)).code == "MalformedXML"


async def test_archived_object_is_not_copied(wire, archived):
    """An archived object cannot be the source of a copy."""
    source = {"x-cos-copy-source": "/examplebucket-1250000000/k"}
    assert (await wire.ask("PUT", "/copy", source, b"")).code == "InvalidObjectState"
