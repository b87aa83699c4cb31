"""Each setting has a row in the table, methods and TypedDicts, and they agree."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing

import pytest

import aiocos
import aiocos.types
from aiocos.operations import settings
from aiocos.operations.settings.methods import SettingsOperations
from aiocos.operations.settings.setting import Setting
from aiocos.operations.settings.shapes import Shape, shape_of
from aiocos.operations.spec import Operation
from tests.support.capture import CaptureServer, Reply

MODULES = [
    importlib.import_module(f"{settings.__name__}.{module.name}")
    for module in pkgutil.iter_modules(settings.__path__)
]
OTHER_NAMES = {
    "put_bucket_intelligenttiering_v2": "PutBucketIntelligentTieringConfiguration",
    "get_bucket_intelligenttiering_v2": "GetBucketIntelligentTieringConfiguration",
    "change_object_storage_class": "CopyObject",
    "update_object_meta": "CopyObject",
}
MADE_OF_OTHERS = {"get_bucket_meta"}

# What the SDK's document requires, in its order; a configuration is always wanted here.
REQUIRED = {
    "options_object": ["Bucket", "Key", "Origin", "AccessControlRequestMethod"],
    "change_object_storage_class": ["Bucket", "Key", "StorageClass"],
    "update_object_meta": ["Bucket", "Key"],
    "put_symlink": ["Bucket", "SymlinkName", "SymlinkTarget"],
    "get_symlink": ["Bucket", "SymlinkName"],
    "get_object_acl": ["Bucket", "Key"],
    "put_object_acl": ["Bucket", "Key"],
    "get_object_tagging": ["Bucket", "Key"],
    "put_object_tagging": ["Bucket", "Key", "Tagging"],
    "delete_object_tagging": ["Bucket", "Key"],
    "put_bucket_acl": ["Bucket"],
    "put_bucket_policy": ["Bucket", "Policy"],
    "put_bucket_versioning": ["Bucket", "Status"],
    "put_bucket_inventory": ["Bucket", "Id", "InventoryConfiguration"],
    "post_bucket_inventory": ["Bucket", "Id", "InventoryConfiguration"],
    "get_bucket_inventory": ["Bucket", "Id"],
    "delete_bucket_inventory": ["Bucket", "Id"],
    "get_bucket_domain_certificate": ["Bucket", "DomainName"],
    "delete_bucket_domain_certificate": ["Bucket", "DomainName"],
    "put_bucket_domain_certificate": ["Bucket", "DomainCertificateConfiguration"],
    "put_bucket_cors": ["Bucket", "CORSConfiguration"],
    "put_bucket_lifecycle": ["Bucket", "LifecycleConfiguration"],
    "put_bucket_tagging": ["Bucket", "Tagging"],
    "put_bucket_website": ["Bucket", "WebsiteConfiguration"],
    "put_bucket_logging": ["Bucket", "BucketLoggingStatus"],
    "put_bucket_encryption": ["Bucket", "ServerSideEncryptionConfiguration"],
    "put_bucket_referer": ["Bucket", "RefererConfiguration"],
    "put_bucket_replication": ["Bucket", "ReplicationConfiguration"],
    "put_bucket_domain": ["Bucket", "DomainConfiguration"],
    "put_bucket_origin": ["Bucket", "OriginConfiguration"],
    "put_bucket_intelligenttiering": ["Bucket", "IntelligentTieringConfiguration"],
    "put_bucket_intelligenttiering_v2": ["Bucket", "IntelligentTieringConfiguration", "Id"],
    "get_bucket_intelligenttiering_v2": ["Bucket", "Id"],
    "put_bucket_object_lock": ["Bucket", "ObjectLockConfiguration"],
    "put_bucket_response_control": ["Bucket", "ResponseControlConfiguration"],
}


def rows() -> dict[str, Setting[typing.Any]]:
    """Every setting of the table."""
    found = [one for module in MODULES for one in vars(module).values() if isinstance(one, Setting)]
    return {setting.name: setting for setting in found}


def operations() -> dict[str, Operation[typing.Any]]:
    """Every operation of the settings, by its name in lower case."""
    found = [
        one for module in MODULES for one in vars(module).values() if isinstance(one, Operation)
    ]
    for setting in rows().values():
        found += [setting.put, setting.get, setting.delete]
    return {operation.name.lower(): operation for operation in found}


METHODS = {
    name: method
    for family in SettingsOperations.__mro__
    if family.__module__.startswith(settings.__name__)
    for name, method in vars(family).items()
    if not name.startswith("_")
}


def operation_of(name: str) -> Operation[typing.Any]:
    return operations()[OTHER_NAMES.get(name, name.replace("_", "")).lower()]


@pytest.mark.parametrize("name", sorted(METHODS.keys() - MADE_OF_OTHERS))
def test_method_and_row_agree(name: str) -> None:
    """A method takes the required names in order, and the options of its operation."""
    parameters = list(inspect.signature(METHODS[name]).parameters.values())[1:]
    positional = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    required = [one.name for one in positional if one.default is one.empty]
    operation = operation_of(name)
    hints = typing.get_type_hints(METHODS[name], include_extras=True)
    (options,) = typing.get_args(hints["options"])

    assert required == REQUIRED.get(name, ["Bucket"])
    assert set(typing.get_type_hints(options)) <= set(operation.accepts)
    assert [one.name for one in parameters if one.kind is one.KEYWORD_ONLY] == list(operation.named)
    assert inspect.iscoroutinefunction(METHODS[name])
    doc = inspect.getdoc(METHODS[name]) or ""
    assert "\nSource: COS " in doc
    if options.__name__ != "RequestHeaders":
        assert f"Options: ``aiocos.types.{options.__name__}``." in doc


def test_every_setting_can_be_put_and_seen() -> None:
    """No row of the table is without methods."""
    called = {operation_of(name).name for name in METHODS.keys() - MADE_OF_OTHERS}
    assert len(rows()) >= 20
    for setting in rows().values():
        assert {setting.put.name, setting.get.name} <= called
    assert {operation.name for operation in operations().values()} - called == {
        setting.delete.name for setting in rows().values() if setting.delete.name not in called
    }


@pytest.mark.parametrize("name", sorted(rows()))
def test_what_is_read_can_be_written(name: str) -> None:
    """Each element that a result has is one that a configuration may have.

    So what was got can be changed and put back.
    """
    setting = rows()[name]
    derived = {"CertificateInfo", "Owner", "Status"} if name == "BucketDomainCertificate" else set()
    # Who the owner is comes with tags, and is not put with them.
    derived |= {"Owner"} if name.endswith("Tagging") else set()
    missing = set(_beyond(shape_of(setting.result), shape_of(setting.content), ""))
    assert {path for path in missing if path.split(".")[1] not in derived} == set()


def _beyond(result: Shape, content: Shape, path: str) -> typing.Iterator[str]:
    for name, field in result.fields.items():
        other = content.fields.get(name)
        if other is None or other.is_list != field.is_list:
            yield f"{path}.{name}"
        elif field.nested is not None and other.nested is not None:
            yield from _beyond(field.nested, other.nested, f"{path}.{name}")


def test_every_type_can_be_named() -> None:
    """The type of each part of a setting is in ``aiocos.types``, and none is there twice."""
    defined = [
        (name, value)
        for module in MODULES
        for name, value in vars(module).items()
        if typing.is_typeddict(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    ]
    assert len(defined) > 120
    assert len({name for name, _ in defined}) == len(defined)
    assert [name for name, value in defined if getattr(aiocos.types, name, None) is not value] == []
    assert {name for name, _ in defined} <= set(aiocos.types.__all__)


# -- what all of a bucket's settings are made of

ANSWERS = {
    "acl": "<AccessControlPolicy/>",
    "cors": "<CORSConfiguration/>",
    "encryption": "<ServerSideEncryptionConfiguration/>",
    "intelligent-tiering": "<ListBucketIntelligentTieringConfigurationsOutput/>",
    "lifecycle": "<LifecycleConfiguration/>",
    "logging": "<BucketLoggingStatus/>",
    "object-lock": "<ObjectLockConfiguration/>",
    "replication": "<ReplicationConfiguration/>",
    "tagging": "<Tagging/>",
    "versioning": "<VersioningConfiguration/>",
    "website": "<WebsiteConfiguration/>",
}
NAMES = {
    "acl": "ACL",
    "cors": "CORS",
    "intelligent-tiering": "IntelligentTiering",
    "object-lock": "ObjectLock",
}


def reply(status: int, document: str = "", **headers: str) -> Reply:
    body = document.encode()
    every = {"x-cos-request-id": "1", "Content-Length": str(len(body))}
    every |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, tuple(every.items()), body)


class Bucket(CaptureServer):
    """A bucket whose settings answer each as it is told."""

    def __init__(self, **refused: tuple[int, str]) -> None:
        super().__init__([])
        self.refused = refused

    def _next_for(self, request: typing.Any) -> Reply:
        setting = request.raw_query.rstrip("=")
        if request.method == "HEAD":
            return reply(200, x_cos_bucket_region="ap-beijing", x_cos_bucket_az_type="MAZ")
        if setting in self.refused:
            status, code = self.refused[setting]
            return reply(status, f"<Error><Code>{code}</Code></Error>")
        return reply(200, ANSWERS[setting])


async def meta_of(server: Bucket) -> typing.Any:
    async with server:
        place = {"IP": "127.0.0.1", "Port": server.port, "Scheme": "http"}
        config = aiocos.CosConfig(Region="ap-beijing", SecretId="i", SecretKey="k", **place)
        async with aiocos.CosS3Client(config, retry=0) as client:
            return await client.get_bucket_meta("examplebucket-1250000000")


async def test_all_settings_of_a_bucket_at_once() -> None:
    """``get_bucket_meta`` tells of each setting, and None where there is none of it."""
    refused = {"cors": (404, "NoSuchCORSConfiguration"), "website": (404, "NoSuchWebsite")}
    refused |= {"object-lock": (405, "MethodNotAllowed"), "replication": (501, "NotImplemented")}
    server = Bucket(**refused)

    meta = await meta_of(server)

    assert len(server.requests) == 1 + len(ANSWERS)
    assert (meta["MAZ"], meta["OFS"], meta["Location"]) == (True, False, "ap-beijing")
    assert "examplebucket-1250000000" in meta["BucketUrl"]
    for setting in ANSWERS:
        name = NAMES.get(setting, setting.capitalize())
        assert (meta[name] is None) == (setting in refused), name


async def test_a_setting_that_may_not_be_seen_is_not_passed_over() -> None:
    """A refusal is raised: to say that there is no such setting would be a guess."""
    with pytest.raises(aiocos.AccessDeniedError, match="Nope"):
        await meta_of(Bucket(lifecycle=(403, "Nope")))
