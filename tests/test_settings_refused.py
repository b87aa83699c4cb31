"""A setting that cannot be right is refused before anything is sent."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pytest

import aiocos
from aiocos import ParameterError
from tests.conftest import BUCKET
from tests.support.talking import (
    refusal,
    talking,
)

RULE = {"AllowedOrigin": ["*"], "AllowedMethod": ["GET"]}

WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "a name with a slip": (
        "put_bucket_cors",
        {"CORSConfiguration": {"CORSRule": [{**RULE, "MaxAgeSecond": 5}]}},
        r"CORSConfiguration\['CORSRule'\]\[0\] has no element 'MaxAgeSecond'; did you mean "
        "'MaxAgeSeconds'",
    ),
    "a name in lower case": (
        "put_bucket_tagging",
        {"Tagging": {"tagset": {}}},
        r"no element 'tagset'; did you mean 'TagSet'",
    ),
    "a name nobody knows": (
        "put_bucket_lifecycle",
        {"LifecycleConfiguration": {"Rule": [], "Colour": "red"}},
        r"no element 'Colour'$",
    ),
    "no dict": ("put_bucket_cors", {"CORSConfiguration": "x"}, "must be a dict, not str"),
    "nothing": ("put_bucket_cors", {"CORSConfiguration": None}, "must be a dict, not NoneType"),
    "a part is missing": (
        "put_bucket_cors",
        {"CORSConfiguration": {"CORSRule": [{"AllowedOrigin": ["*"]}]}},
        r"\[0\] needs AllowedMethod",
    ),
    "a number for a text": (
        "put_object_tagging",
        {"Key": "a", "Tagging": {"TagSet": {"Tag": [{"Key": 1, "Value": "x"}]}}},
        r"\['Tag'\]\[0\]\['Key'\] must be str, not int",
    ),
    "a flag for a number": (
        "put_bucket_lifecycle",
        {"LifecycleConfiguration": {"Rule": [{"Status": "Enabled", "Expiration": {"Days": True}}]}},
        r"\['Days'\] must be int or str, not bool",
    ),
    "a list where one belongs": (
        "put_bucket_website",
        {"WebsiteConfiguration": {"IndexDocument": [{"Suffix": "a"}]}},
        r"\['IndexDocument'\] must be a dict, not list",
    ),
    "a list for a text": (
        "put_bucket_logging",
        {"BucketLoggingStatus": {"LoggingEnabled": {"TargetBucket": ["a"]}}},
        r"\['TargetBucket'\] must be str, not list",
    ),
    "a text where rules belong": (
        "put_bucket_website",
        {"WebsiteConfiguration": {"RoutingRules": "abc"}},
        r"\['RoutingRules'\] must be a list",
    ),
    "None where rules belong": (
        "put_bucket_cors",
        {"CORSConfiguration": {"CORSRule": None}},
        r"\['CORSRule'\] must be a dict, not NoneType",
    ),
    "a word that is none of those": (
        "put_bucket_lifecycle",
        {"LifecycleConfiguration": {"Rule": [{"Status": "enabled"}]}},
        r"\['Status'\] is 'enabled', and must be one of: Disabled, Enabled",
    ),
    "half a day": (
        "put_bucket_lifecycle",
        {
            "LifecycleConfiguration": {
                "Rule": [{"Status": "Enabled", "Expiration": {"Days": "1.5"}}]
            }
        },
        r"\['Days'\] is '1.5', and must be a whole number, 0 or more",
    ),
    "days that are past": (
        "put_bucket_lifecycle",
        {"LifecycleConfiguration": {"Rule": [{"Status": "Enabled", "Expiration": {"Days": -1}}]}},
        r"\['Days'\] is '-1', and must be a whole number, 0 or more",
    ),
    "a method that pages have not": (
        "put_bucket_cors",
        {"CORSConfiguration": {"CORSRule": [{**RULE, "AllowedMethod": ["GET", "PATCH"]}]}},
        r"\['AllowedMethod'\]\[1\] is 'PATCH', and must be one of: DELETE, GET, HEAD, POST, PUT",
    ),
    "the eleventh tag of an object": (
        "put_object_tagging",
        {
            "Key": "a",
            "Tagging": {"TagSet": {"Tag": [{"Key": str(n), "Value": ""} for n in range(11)]}},
        },
        "Tagging has 11 tags, and COS keeps at most 10",
    ),
    "too many tags of a bucket": (
        "put_bucket_tagging",
        {"Tagging": {"TagSet": {"Tag": [{"Key": str(n), "Value": ""} for n in range(51)]}}},
        "Tagging has 51 tags, and COS keeps at most 50",
    ),
    "a control character": (
        "put_bucket_tagging",
        {"Tagging": {"TagSet": {"Tag": [{"Key": "a", "Value": "\x0b"}]}}},
        r"\['Value'\] holds a character that XML cannot carry",
    ),
    "half a character": (
        "put_bucket_logging",
        {"BucketLoggingStatus": {"LoggingEnabled": {"TargetPrefix": "\ud800"}}},
        "XML cannot carry",
    ),
    "a made-up attribute": (
        "put_bucket_acl",
        {"AccessControlPolicy": {"@a": "b"}},
        "no element '@a'",
    ),
    "an attribute that breaks out": (
        "put_bucket_acl",
        {
            "AccessControlPolicy": {
                "AccessControlList": {
                    "Grant": [{"Grantee": {"@xsi:type": "\x00"}, "Permission": "READ"}]
                }
            }
        },
        "XML cannot carry",
    ),
    "both lists and headers": (
        "put_object_acl",
        {"Key": "a", "AccessControlPolicy": {"Owner": {"ID": "1"}}, "ACL": "private"},
        "both AccessControlPolicy and ACL",
    ),
    "neither": ("put_bucket_acl", {}, "neither AccessControlPolicy nor ACL|neither"),
    "what get made of a list": (
        "put_object_acl",
        {"Key": "a", "AccessControlPolicy": {"CannedACL": "private"}},
        "CannedACL, which get derives",
    ),
    "a policy that is a list": ("put_bucket_policy", {"Policy": ["x"]}, "must be a str, not list"),
    "a policy that is no JSON": ("put_bucket_policy", {"Policy": "{"}, "not JSON"),
    "a policy that is JSON, and none": ("put_bucket_policy", {"Policy": "[]"}, "JSON object"),
    "a policy without a form": ("put_bucket_policy", {"Policy": {"a": {1}}}, "written as JSON"),
    "a policy with what JSON has not": (
        "put_bucket_policy",
        {"Policy": {"a": float("nan")}},
        "as JSON",
    ),
    "versions neither way": ("put_bucket_versioning", {"Status": "On"}, "Enabled or Suspended"),
    "an inventory of two names": (
        "put_bucket_inventory",
        {"Id": "a", "InventoryConfiguration": {"Id": "b"}},
        "Id is 'a', and InventoryConfiguration has the Id 'b'",
    ),
    "an inventory that is none": (
        "put_bucket_inventory",
        {"Id": "a", "InventoryConfiguration": "x"},
        "InventoryConfiguration must be a dict, not str",
    ),
    "a rule with an empty name": ("get_bucket_intelligenttiering_v2", {"Id": ""}, "Id is required"),
    "an inventory without a name": ("get_bucket_inventory", {"Id": ""}, "Id is required"),
    "a rule without a name": ("get_bucket_intelligenttiering_v2", {"Id": None}, "Id must be a str"),
    "no domain": ("get_bucket_domain_certificate", {"DomainName": ""}, "DomainName is required"),
    "an empty target": ("put_symlink", {"SymlinkName": "a", "SymlinkTarget": ""}, "Key is requ"),
    "a target with a line end": ("put_symlink", {"SymlinkName": "a", "SymlinkTarget": "b\n"}, "CR"),
    "an origin with a line end": (
        "options_object",
        {"Key": "a", "Origin": "x\r\ny", "AccessControlRequestMethod": "GET"},
        "printable ASCII",
    ),
    "a method nobody asks for": (
        "options_object",
        {"Key": "a", "Origin": "x", "AccessControlRequestMethod": "get"},
        "must be one of: GET",
    ),
    "an option of another call": ("get_bucket_cors", {"VersionId": "1"}, "no parameter VersionId"),
    "a slip in an option": ("get_object_acl", {"Key": "a", "VersionID": "1"}, "mean VersionId"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_cannot_be_right_is_refused(case: str) -> None:
    """A wrong setting raises a ParameterError that names the place; nothing is sent."""
    name, arguments, message = WRONG[case]
    async with talking() as (client, requests):
        with pytest.raises(ParameterError, match=message):
            await getattr(client, name)(Bucket=BUCKET, **arguments)
    assert not requests


@pytest.mark.parametrize("wrong", ["\x00", "\ud800", 5, ["x"]])
@pytest.mark.parametrize("place", ["certificate", "origin"])
async def test_secrets_in_settings_are_told_to_nobody(
    wrong: object, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 44: a private key that is refused, or sent, stands in no error and no log."""
    caplog.set_level(logging.DEBUG)
    canary = "CANARY" if not isinstance(wrong, str) else f"CANARY{wrong}"
    secret = canary if isinstance(wrong, str) else wrong
    certificate = {
        "CertificateInfo": {"CustomCert": {"Cert": "CANARY", "PrivateKey": secret}},
        "DomainList": {"DomainName": "a.example"},
    }
    credentials = {"SecretId": "CANARY", "SecretKey": secret}
    host = {"PrivateHost": {"CredentialProvider": credentials}}
    origin = {"OriginRule": [{"OriginInfo": {"HostInfo": host}}]}
    async with talking(refusal("MalformedXML", 400)) as (client, _):
        calls = {
            "certificate": partial(client.put_bucket_domain_certificate, BUCKET, certificate),
            "origin": partial(client.put_bucket_origin, BUCKET, origin),
        }
        with pytest.raises(ParameterError) as refused:
            await calls[place]()
        certificate["CertificateInfo"]["CustomCert"]["PrivateKey"] = "CANARY"
        with pytest.raises(aiocos.CosServiceError) as answered:
            await client.put_bucket_domain_certificate(BUCKET, certificate)
    told = [str(refused.value), repr(refused.value), str(answered.value), repr(answered.value)]
    assert "CANARY" not in "".join(told) + caplog.text
