"""Settings are checked for their form, kept as they came, and gone with their bucket."""

import base64
import hashlib

import pytest
from cos_wire import BUCKET, Wire

from aiocos.emulator import CosEmulator

DECLARATION = b"<?xml version='1.0' encoding='utf-8' ?>\n"
RULE = (
    b"<CORSRule><ID>1</ID><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
    b"<AllowedHeader>*</AllowedHeader></CORSRule>"
)
CORS = b"<CORSConfiguration>" + RULE + b"</CORSConfiguration>"


async def test_document_comes_back_canonical(wire):
    """Order stays; comments, namespaces and the white space between elements do not."""
    body = (
        b'<?xml version="1.0"?>\n<CORSConfiguration xmlns="http://www.qcloud.com/d">\n  <!-- x -->'
        b"\n <CORSRule>\n<AllowedMethod>GET</AllowedMethod><ID>a &lt; b</ID>"
        b"<AllowedOrigin>*</AllowedOrigin></CORSRule>\n</CORSConfiguration>"
    )
    assert (await wire.ask("PUT", "/?cors", {}, body)).status == 200
    got = await wire.ask("GET", "/?cors=")
    assert got.headers["Content-Type"] == "application/xml"
    assert got.body == (
        DECLARATION + b"<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod>"
        b"<ID>a &lt; b</ID><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>"
    )


REFUSED = {
    "cors": ("cors", b"<CORSConfiguration/>"),
    "no XML": ("cors", b"<CORSConfiguration>"),
    "nothing": ("cors", b""),
    "other root": ("cors", CORS.replace(b"CORSConfiguration", b"Configuration")),
    "entity": ("cors", b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + CORS),
    "no origin": ("cors", CORS.replace(b"AllowedOrigin", b"Origin")),
    "one rule of two": (
        "cors",
        CORS.replace(RULE, RULE + RULE.replace(b"AllowedMethod", b"M")),
    ),
    "no status": ("lifecycle", b"<LifecycleConfiguration><Rule/></LifecycleConfiguration>"),
    "status": (
        "lifecycle",
        b"<LifecycleConfiguration><Rule><Status>On</Status></Rule></LifecycleConfiguration>",
    ),
    "no days": (
        "lifecycle",
        b"<LifecycleConfiguration><Rule><Status>Enabled</Status><Expiration/></Rule>"
        b"</LifecycleConfiguration>",
    ),
    "no class": (
        "lifecycle",
        b"<LifecycleConfiguration><Rule><Status>Enabled</Status><Transition><Days>1</Days>"
        b"<StorageClass>WARM</StorageClass></Transition></Rule></LifecycleConfiguration>",
    ),
    "algorithm": (
        "encryption",
        b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>"
        b"<SSEAlgorithm>ROT13</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>"
        b"</ServerSideEncryptionConfiguration>",
    ),
    "key": (
        "encryption",
        b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>"
        b"<SSEAlgorithm>KMS</SSEAlgorithm><KMSMasterKeyID>a\nx-forged: 1</KMSMasterKeyID>"
        b"</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
    ),
    "no value": ("tagging", b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>"),
    "no list": ("acl", b"<AccessControlPolicy/>"),
    "no permission": (
        "acl",
        b"<AccessControlPolicy><AccessControlList><Grant><Grantee><ID>a</ID></Grantee>"
        b"<Permission>ALL</Permission></Grant></AccessControlList></AccessControlPolicy>",
    ),
    "no id": ("inventory&id=a", b"<InventoryConfiguration/>"),
    "target": (
        "logging",
        b"<BucketLoggingStatus><LoggingEnabled/></BucketLoggingStatus>",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_malformed(wire, name):
    """What is not XML of the right form is refused, and changes nothing."""
    await wire.ask("PUT", "/?cors", {}, CORS)
    parameter, body = REFUSED[name]
    answer = await wire.ask("PUT", f"/?{parameter}", {}, body)
    assert (answer.status, answer.code) == (400, "MalformedXML")
    assert (await wire.ask("GET", "/?cors")).body == DECLARATION + CORS


async def test_content_md5(wire):
    """A body that is not what its Content-MD5 says is refused."""
    good = base64.b64encode(hashlib.md5(CORS).digest()).decode()
    other = base64.b64encode(hashlib.md5(b"").digest()).decode()
    for md5, code in [(other, "BadDigest"), ("short", "InvalidDigest")]:
        answer = await wire.ask("PUT", "/?cors", {"content-md5": md5}, CORS)
        assert (answer.status, answer.code) == (400, code)
    assert (await wire.ask("GET", "/?cors")).code == "NoSuchCORSConfiguration"
    assert (await wire.ask("PUT", "/?cors", {"content-md5": good}, CORS)).status == 200


async def test_only_the_owner(server, wire):
    """Nobody else sees or changes a setting, not even of a public bucket."""
    await wire.ask("PUT", "/?acl", {"x-cos-acl": "public-read-write"}, b"")
    await wire.ask("PUT", "/?cors", {}, CORS)
    server.add_credentials("other", "secret", appid="1259999999")
    for signing in ({"signed": False}, {"secret_id": "other", "secret_key": "secret"}):
        for method in ("GET", "PUT", "DELETE"):
            body = CORS if method == "PUT" else b""
            answer = await wire.ask(method, "/?cors", {}, body, **signing)
            assert (answer.status, answer.code) == (403, "AccessDenied")
        for target in ("/?location", "/?acl", "/?inventory", "/?policy"):
            assert (await wire.ask("GET", target, **signing)).status == 403
    assert (await wire.ask("GET", "/?cors")).status == 200


async def test_settings_go_with_their_bucket(wire):
    """A bucket that is made again has none of the settings of the one before."""
    await wire.ask("PUT", "/?cors", {}, CORS)
    await wire.ask("DELETE", "/")
    assert (await wire.ask("GET", "/?cors")).code == "NoSuchBucket"
    await wire.ask("PUT", "/", {}, b"")
    assert (await wire.ask("GET", "/?cors")).code == "NoSuchCORSConfiguration"


async def test_settings_survive_a_restart(tmp_path):
    """Settings, lists of access and tags are there again when the server is."""
    async with CosEmulator(tmp_path) as server:
        wire = Wire(server)
        await wire.ask("PUT", "/?cors", {}, CORS)
        await wire.ask("PUT", "/?acl", {"x-cos-acl": "public-read"}, b"")
        await wire.ask("PUT", "/k", {"x-cos-tagging": "a=b"}, b"v")
    async with CosEmulator(tmp_path) as server:
        wire = Wire(server)
        assert (await wire.ask("GET", "/?cors")).body == DECLARATION + CORS
        assert (await wire.ask("GET", "/k", signed=False)).headers["x-cos-tagging-count"] == "1"
        await wire.ask("DELETE", "/?cors")
        other = "other-1250000000.cos.ap-guangzhou.myqcloud.com"
        for method, target, body in [
            ("PUT", "/", b""),
            ("PUT", "/?cors", CORS),
            ("DELETE", "/", None),
            ("PUT", "/", b""),
        ]:
            assert (await wire.ask(method, target, {}, body, host=other)).status in (200, 204)
    async with CosEmulator(tmp_path) as server:
        assert (await Wire(server).ask("GET", "/?cors")).status == 404
        assert (await Wire(server).ask("GET", "/?cors", host=other)).status == 404


async def test_data_of_an_older_server_is_taken_over(tmp_path):
    """A directory written before there were settings gets a place for them."""
    import sqlite3

    async with CosEmulator(tmp_path) as server:
        await server.put(BUCKET, "k", b"old")
    connection = sqlite3.connect(tmp_path / "metadata.sqlite")
    connection.executescript("DROP TABLE settings; PRAGMA user_version = 1;")
    connection.close()
    async with CosEmulator(tmp_path) as server:
        wire = Wire(server)
        assert (await wire.ask("PUT", "/?cors", {}, CORS)).status == 200
        assert await server.read(BUCKET, "k") == b"old"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", "/?inventory"),
        ("DELETE", "/?inventory"),
        ("POST", "/?inventory"),
        ("PUT", "/?intelligent-tiering"),
        ("GET", "/?domaincertificate"),
        ("GET", "/?inventory&continuation-token=x"),
    ],
)
async def test_parameters(wire, method, target):
    """An id that is missing, or a token that is none, is refused."""
    answer = await wire.ask(method, target, {}, b"<a/>" if method != "GET" else None)
    assert (answer.status, answer.code) == (400, "InvalidArgument")


async def test_id_of_the_document_and_of_the_request(wire):
    """An inventory cannot have two ids."""
    body = (
        b"<InventoryConfiguration><Id>a</Id><Destination><COSBucketDestination><Bucket>b</Bucket>"
        b"</COSBucketDestination></Destination><IncludedObjectVersions>All</IncludedObjectVersions>"
        b"</InventoryConfiguration>"
    )
    assert (await wire.ask("PUT", "/?inventory&id=b", {}, body)).code == "InvalidArgument"
    assert (await wire.ask("PUT", "/?inventory&id=a", {}, body)).status == 200


async def test_rule_named_default_goes_with_its_twin(wire):
    """Deleted by its id, the default rule of tiering is gone in its other form too."""
    body = (
        b"<IntelligentTieringConfiguration><Status>Enabled</Status><Transition><Days>30</Days>"
        b"</Transition></IntelligentTieringConfiguration>"
    )
    assert (await wire.ask("PUT", "/?intelligenttiering", {}, body)).status == 200
    assert (await wire.ask("GET", "/?intelligent-tiering&id=default")).xml("Tiering/Days") == "30"
    await wire.ask("DELETE", "/?intelligent-tiering&id=default")
    assert (await wire.ask("GET", "/?intelligenttiering")).xml("Status") is None
    answer = await wire.ask("GET", "/?intelligent-tiering&id=default")
    assert (answer.status, answer.code) == (404, "NoSuchConfiguration")


async def test_accelerate(wire):
    """Acceleration is nothing at first, and what it was put to afterwards."""
    body = b"<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>"
    answer = await wire.ask("GET", "/?accelerate")
    assert answer.body == DECLARATION + b"<AccelerateConfiguration/>"
    await wire.ask("PUT", "/?accelerate", {}, body)
    assert (await wire.ask("GET", "/?accelerate")).body == DECLARATION + body


async def test_large_document(wire):
    """A setting may be long, but not longer than the service takes."""
    rule = b"<Rule><Status>Enabled</Status><Expiration><Days>9</Days></Expiration></Rule>"
    many = b"<LifecycleConfiguration>" + rule * 2000 + b"</LifecycleConfiguration>"
    assert (await wire.ask("PUT", "/?lifecycle", {}, many)).status == 200
    assert (await wire.ask("GET", "/?lifecycle")).body == DECLARATION + many
    for times in (600, 20_000):
        much = b"<CORSConfiguration>" + RULE * times + b"</CORSConfiguration>"
        answer = await wire.ask("PUT", "/?cors", {}, much)
        assert (answer.status, answer.code) == (400, "XMLSizeLimit")


async def test_private_key_is_not_kept(tmp_path):
    """The key of a certificate is nowhere in the server's files."""
    body = (
        b"<DomainCertificate><CertificateInfo><CertType>CustomCert</CertType><CustomCert>"
        b"<Cert>c</Cert><PrivateKey>key-canary</PrivateKey></CustomCert></CertificateInfo>"
        b"<DomainList><DomainName>a.example</DomainName></DomainList></DomainCertificate>"
    )
    async with CosEmulator(tmp_path) as server:
        assert (await Wire(server).ask("PUT", "/?domaincertificate", {}, body)).status == 200
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert files
        assert not any(b"key-canary" in path.read_bytes() for path in files)


ENCRYPTION = (
    "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>"
    "<SSEAlgorithm>{}</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>"
    "</ServerSideEncryptionConfiguration>"
)
SSE = "x-cos-server-side-encryption"


async def test_objects_are_encrypted_as_the_bucket_is_set(wire):
    """New objects tell of the bucket's encryption, unless they ask for their own."""
    await wire.ask("PUT", "/before", {}, b"")
    await wire.ask("PUT", "/?encryption", {}, ENCRYPTION.format("AES256").encode())
    assert (await wire.ask("PUT", "/k", {}, b"v")).headers[SSE] == "AES256"
    assert (await wire.ask("HEAD", "/k")).headers[SSE] == "AES256"
    itself = {"x-cos-copy-source": f"/{BUCKET}/k"}
    assert (await wire.ask("PUT", "/k", itself, b"")).code == "InvalidRequest"
    assert (await wire.ask("PUT", "/copy", itself, b"")).headers[SSE] == "AES256"
    own = await wire.ask("PUT", "/own", {SSE: "cos/kms"}, b"v")
    assert own.headers[SSE] == "cos/kms"
    upload = await wire.ask("POST", "/parts?uploads", {}, b"")
    assert upload.headers[SSE] == "AES256"
    await wire.ask("PUT", "/?encryption", {}, ENCRYPTION.format("KMS").encode())
    assert (await wire.ask("PUT", "/k", {}, b"v")).headers[SSE] == "cos/kms"
    await wire.ask("DELETE", "/?encryption")
    assert SSE not in (await wire.ask("PUT", "/k", {}, b"v")).headers
    assert SSE not in (await wire.ask("HEAD", "/before")).headers


REFERER = (
    "<RefererConfiguration><Status>{}</Status><RefererType>{}</RefererType><DomainList>"
    "<Domain>*.qq.com</Domain><Domain>10.0.0.1:8080</Domain></DomainList>"
    "<EmptyReferConfiguration>{}</EmptyReferConfiguration></RefererConfiguration>"
)


async def test_referer_of_signed_requests(wire):
    """Signed reads are held to the list when the configuration says so."""
    await wire.ask("PUT", "/k", {}, b"v")
    body = REFERER.format("Enabled", "White-List", "Deny").replace(
        "</RefererType>", "</RefererType><VerifySignatureURL>Enabled</VerifySignatureURL>"
    )
    assert (await wire.ask("PUT", "/?referer", {}, body.encode())).status == 200
    assert (await wire.ask("GET", "/k", {"referer": "https://evil.example/"})).status == 403
    assert (await wire.ask("GET", "/k", {"referer": "https://www.qq.com/"})).status == 200


@pytest.mark.parametrize(
    ("configuration", "referer", "status"),
    [
        (("Enabled", "White-List", "Deny"), "https://www.qq.com/page?a=b", 200),
        (("Enabled", "White-List", "Deny"), "https://evil.example/www.qq.com", 403),
        (("Enabled", "White-List", "Deny"), "https://www.qq.com@evil.example/", 403),
        (("Enabled", "White-List", "Deny"), "http://10.0.0.1:8080/", 200),
        (("Enabled", "White-List", "Deny"), "http://10.0.0.1/", 403),
        (("Enabled", "White-List", "Deny"), "http://user@10.0.0.1:8080/", 200),
        (("Enabled", "White-List", "Deny"), "http://[", 403),
        (("Enabled", "White-List", "Deny"), "", 403),
        (("Enabled", "White-List", "Allow"), "", 200),
        (("Enabled", "Black-List", "Deny"), "https://www.qq.com/", 403),
        (("Enabled", "Black-List", "Deny"), "https://evil.example/", 200),
        (("Disabled", "White-List", "Deny"), "https://evil.example/", 200),
    ],
)
async def test_referer(wire, configuration, referer, status):
    """Unsigned reads come from sites that are allowed; signed ones from anywhere."""
    await wire.ask("PUT", "/k", {"x-cos-acl": "public-read"}, b"v")
    await wire.ask("PUT", "/?referer", {}, REFERER.format(*configuration).encode())
    headers = {"referer": referer} if referer else {}
    for method in ("GET", "HEAD"):
        assert (await wire.ask(method, "/k", headers, signed=False)).status == status
        assert (await wire.ask(method, "/k", headers)).status == 200
