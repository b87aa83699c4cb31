"""Who is not the owner may do what the lists of bucket and object say, and nothing else."""

import pytest
from cos_wire import BUCKET

from aiocos.emulator import CosEmulator

OTHER = {"secret_id": "other", "secret_key": "secret"}
OTHER_ID = "qcs::cam::uin/1259999999:uin/1259999999"


@pytest.fixture
def wire(server, wire):
    server.add_credentials("other", "secret", appid="1259999999")
    return wire


async def acl(wire, target, canned):
    assert (await wire.ask("PUT", f"{target}?acl", {"x-cos-acl": canned}, b"")).status == 200


@pytest.mark.parametrize(
    ("bucket", "object_", "reads", "lists", "writes"),
    [
        ("private", "default", False, False, False),
        ("private", "public-read", True, False, False),
        ("public-read", "default", True, True, False),
        ("public-read", "private", False, True, False),
        ("public-read-write", "default", True, True, True),
        ("public-read-write", "private", False, True, True),
    ],
)
@pytest.mark.parametrize("who", ["anybody", "another account"])
async def test_canned_lists(wire, who, bucket, object_, reads, lists, writes):
    """The bucket's list counts, unless the object has one of its own for reading."""
    signing = {"signed": False} if who == "anybody" else OTHER
    await wire.ask("PUT", "/k", {}, b"v")
    await acl(wire, "/", bucket)
    await acl(wire, "/k", object_)
    for method in ("GET", "HEAD"):
        assert (await wire.ask(method, "/k", **signing)).status == (200 if reads else 403)
    for target in ("/", "/?prefix=k"):
        assert (await wire.ask("GET", target, **signing)).status == (200 if lists else 403)
    assert (await wire.ask("PUT", "/new", {}, b"v", **signing)).status == (200 if writes else 403)
    assert (await wire.ask("DELETE", "/k", **signing)).status == (204 if writes else 403)


async def test_refusals_say_so(wire):
    """A refusal is AccessDenied, also for a key that does not exist."""
    for target in ("/none", "/none?acl", "/none?tagging", "/none?symlink"):
        answer = await wire.ask("GET", target, signed=False)
        assert (answer.status, answer.code) == (403, "AccessDenied")
    for target in ("/none?acl", "/none?tagging"):
        body = b"<Tagging><TagSet/></Tagging>" if "tagging" in target else b""
        answer = await wire.ask("PUT", target, {}, body, signed=False)
        assert (answer.status, answer.code) == (403, "AccessDenied")


async def test_lists_are_the_owners(wire):
    """A public bucket does not let others see or change who may do what, or tags."""
    await acl(wire, "/", "public-read-write")
    await wire.ask("PUT", "/k", {}, b"v")
    for signing in ({"signed": False}, OTHER):
        for target in ("/?acl", "/k?acl", "/k?tagging"):
            assert (await wire.ask("GET", target, **signing)).status == 403
        for target in ("/?acl", "/k?acl"):
            headers = {"x-cos-acl": "public-read"}
            assert (await wire.ask("PUT", target, headers, b"", **signing)).status == 403
        assert (await wire.ask("DELETE", "/k?tagging", {}, b"", **signing)).status == 403


async def test_grants_to_an_account(wire):
    """A grant opens a bucket or an object to the account it names, and to no other."""
    await wire.ask("PUT", "/k", {}, b"v")
    assert (await wire.ask("GET", "/k", **OTHER)).status == 403
    await wire.ask("PUT", "/k?acl", {"x-cos-grant-read": f'id="{OTHER_ID}"'}, b"")
    assert (await wire.ask("GET", "/k", **OTHER)).body == b"v"
    assert (await wire.ask("GET", "/k", signed=False)).status == 403
    assert (await wire.ask("GET", "/k?acl", **OTHER)).status == 403
    await wire.ask("PUT", "/?acl", {"x-cos-grant-full-control": f'id="{OTHER_ID}"'}, b"")
    assert (await wire.ask("PUT", "/new", {}, b"v", **OTHER)).status == 200
    assert (await wire.ask("GET", "/?acl", **OTHER)).status == 200
    assert (await wire.ask("GET", "/?cors", **OTHER)).status == 403


async def test_list_that_comes_with_the_object(wire):
    """A grant may come with a PUT, or with the beginning of an upload."""
    grant = {"x-cos-grant-read": f'id="{OTHER_ID}"'}
    await wire.ask("PUT", "/k", grant, b"v")
    assert (await wire.ask("GET", "/k", **OTHER)).body == b"v"
    upload = (await wire.ask("POST", "/parts?uploads", grant, b"")).xml("UploadId")
    part = await wire.ask("PUT", f"/parts?partNumber=1&uploadId={upload}", {}, b"v")
    body = (
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
        f"<ETag>{part.headers['ETag']}</ETag></Part></CompleteMultipartUpload>"
    )
    await wire.ask("POST", f"/parts?uploadId={upload}", {}, body.encode())
    assert (await wire.ask("GET", "/parts", **OTHER)).body == b"v"


async def test_policy_document(wire):
    """A list that was put as a document counts like one in headers; everyone has two names."""
    await wire.ask("PUT", "/k", {}, b"v")
    for who in (
        "<ID>qcs::cam::anyone:anyone</ID>",
        "<URI>http://cam.qcloud.com/groups/global/AllUsers</URI>",
    ):
        body = (
            "<AccessControlPolicy><Owner><ID>x</ID></Owner><AccessControlList><Grant>"
            f"<Grantee>{who}</Grantee><Permission>READ</Permission></Grant></AccessControlList>"
            "</AccessControlPolicy>"
        )
        assert (await wire.ask("PUT", "/k?acl", {}, body.encode())).status == 200
        assert (await wire.ask("GET", "/k", signed=False)).body == b"v"
        await acl(wire, "/k", "default")
        assert (await wire.ask("GET", "/k", signed=False)).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"x-cos-grant-read": "somebody"},
        {"x-cos-grant-read": 'id="a b"'},
        {"x-cos-acl": "default"},
        {"x-cos-acl": "authenticated"},
    ],
)
async def test_lists_that_make_no_sense(wire, headers):
    """Lists nobody could understand are refused; a bucket has no default to fall back on."""
    answer = await wire.ask("PUT", "/?acl", headers, b"")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert (await wire.ask("GET", "/?acl")).all("AccessControlList/Grant/Permission") == [
        "FULL_CONTROL"
    ]


async def test_list_of_a_version(wire):
    """Each version has a list of its own."""
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    await wire.ask("PUT", "/?versioning", {}, body)
    first = (await wire.ask("PUT", "/k", {}, b"1")).headers["x-cos-version-id"]
    await wire.ask("PUT", "/k", {}, b"2")
    headers = {"x-cos-acl": "public-read"}
    await wire.ask("PUT", f"/k?acl&versionId={first}", headers, b"")
    assert (await wire.ask("GET", f"/k?versionId={first}", signed=False)).body == b"1"
    assert (await wire.ask("GET", "/k", signed=False)).status == 403


async def test_policy_is_not_enforced(wire):
    """A bucket policy is kept, and neither opens nor closes anything."""
    await wire.ask("PUT", "/k", {}, b"v")
    body = (
        '{"Statement":[{"Principal":{"qcs":["qcs::cam::anyone:anyone"]},"Effect":"allow",'
        f'"Action":["name/cos:*"],"Resource":["qcs::cos:::{BUCKET}/*"]}}],"version":"2.0"}}'
    )
    assert (await wire.ask("PUT", "/?policy", {}, body.encode())).status == 200
    assert (await wire.ask("GET", "/?policy")).body == body.encode()
    assert (await wire.ask("GET", "/k", signed=False)).status == 403


async def test_server_that_checks_nobody():
    """A server told to be anonymous takes everybody for the owner, whatever the lists say."""
    from cos_wire import Wire

    async with CosEmulator(anonymous=True) as server:
        wire = Wire(server)
        assert (await wire.ask("PUT", "/k", {"x-cos-acl": "private"}, b"v")).status == 200
        for method, target in [("GET", "/k"), ("GET", "/?acl"), ("GET", "/?lifecycle")]:
            answer = await wire.ask(method, target, signed=False)
            assert answer.status in (200, 404)
        headers = {"referer": "https://evil.example/"}
        assert (await wire.ask("GET", "/k", headers, signed=False)).body == b"v"
