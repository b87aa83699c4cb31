"""The official Python SDK, as it is, makes all its calls about settings against the server.

What is put is taken from the SDK's own documentation and tests; what is expected back is
what those tests, run against the service, expect.
"""

import copy
import json
from contextlib import contextmanager

import pytest
from cos_wire import BUCKET
from official import in_thread
from qcloud_cos import CosServiceError

REGION = "ap-guangzhou"

CORS = {
    "CORSRule": [
        {
            "ID": "1234",
            "AllowedOrigin": ["http://www.qq.com"],
            "AllowedMethod": ["GET", "PUT"],
            "AllowedHeader": ["x-cos-meta-test"],
            "ExposeHeader": ["x-cos-meta-test1"],
            "MaxAgeSeconds": "500",
        }
    ]
}
LIFECYCLE = {
    "Rule": [
        {
            "ID": "Rule-1",
            "Filter": {"Prefix": None},
            "Status": "Enabled",
            "Expiration": {"Days": "200"},
            "Transition": [{"Days": "100", "StorageClass": "Standard_IA"}],
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": "7"},
        },
        {
            "Status": "Enabled",
            "Filter": {"Tag": [{"Key": "datalevel", "Value": "backup"}]},
            "Transation": {"Days": "30", "StorageClass": "Standard_IA"},
            "Expiration": {"Days": "3650"},
        },
    ]
}
REPLICATION = {
    "Role": "qcs::cam::uin/2779643970:uin/2779643970",
    "Rule": [
        {
            "ID": "123",
            "Status": "Enabled",
            "Prefix": "中文",
            "Destination": {
                "Bucket": "qcs::cos:ap-shanghai::replicationsh-1250000000",
                "StorageClass": "Standard",
            },
        }
    ],
}
TAGGING = {"TagSet": {"Tag": [{"Key": "key0", "Value": "value0"}, {"Key": "键", "Value": "值 &"}]}}
ENCRYPTION = {"Rule": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
DOMAIN = {"DomainRule": [{"Name": "www.abc.com", "Type": "REST", "Status": "ENABLED"}]}
ORIGIN = {
    "OriginRule": [
        {
            "RulePriority": "1",
            "OriginType": "Mirror",
            "OriginCondition": {"HTTPStatusCode": "404"},
            "OriginParameter": {"Protocol": "HTTP"},
            "OriginInfo": {"HostInfo": {"HostName": "other-1250000000.cos.ap-shanghai.example"}},
        }
    ]
}
INVENTORY = {
    "Destination": {
        "COSBucketDestination": {
            "AccountId": "2832742109",
            "Bucket": f"qcs::cos:{REGION}::{BUCKET}",
            "Format": "CSV",
            "Prefix": "list1",
            "Encryption": {"SSECOS": None},
        }
    },
    "IsEnabled": "True",
    "Filter": {"Prefix": "filterPrefix"},
    "IncludedObjectVersions": "All",
    "OptionalFields": {"Field": ["Size", "LastModifiedDate", "ETag", "StorageClass"]},
    "Schedule": {"Frequency": "Daily"},
}
WEBSITE = {
    "IndexDocument": {"Suffix": "index.html"},
    "ErrorDocument": {"Key": "error.html"},
    "RoutingRules": [
        {
            "Condition": {"HttpErrorCodeReturnedEquals": "404"},
            "Redirect": {"ReplaceKeyWith": "404.html"},
        },
        {
            "Condition": {"KeyPrefixEquals": "aaa/"},
            "Redirect": {"ReplaceKeyPrefixWith": "ccc/"},
        },
    ],
}
REFERER = {
    "Status": "Enabled",
    "RefererType": "White-List",
    "EmptyReferConfiguration": "Allow",
    "DomainList": {"Domain": ["*.qq.com", "*.qcloud.com"]},
}
CONTROL = {"ControlParamList": {"Param": ["response-content-type", "response-expires"]}}
POLICY = {
    "Statement": [
        {
            "Principal": {"qcs": ["qcs::cam::anyone:anyone"]},
            "Action": ["name/cos:GetObject", "name/cos:HeadObject"],
            "Effect": "allow",
            "Resource": [f"qcs::cos:{REGION}:uid/1250000000:{BUCKET}/*"],
        }
    ],
    "Version": "2.0",
}


@contextmanager
def refused(code, status=404):
    with pytest.raises(CosServiceError) as failed:
        yield
    assert (failed.value.get_error_code(), failed.value.get_status_code()) == (code, status)


COMPARED = {
    "cors": (CORS, "NoSuchCORSConfiguration"),
    "lifecycle": (LIFECYCLE, "NoSuchLifecycleConfiguration"),
    "replication": (REPLICATION, "ReplicationConfigurationNotFoundError"),
    "tagging": (TAGGING, "NoSuchTagSet"),
    "encryption": (ENCRYPTION, "NoSuchEncryptionConfiguration"),
    "domain": (DOMAIN, "DomainConfigNotFoundError"),
    "origin": (ORIGIN, "OriginConfigurationNotFoundError"),
}


@pytest.mark.parametrize("name", COMPARED)
@in_thread
def test_set_get_and_delete(sdk, name):
    """What is put comes back, is replaced by what is put next, and is gone when deleted."""
    setting, absent = COMPARED[name]
    put = getattr(sdk, f"put_bucket_{name}")
    get = getattr(sdk, f"get_bucket_{name}")
    delete = getattr(sdk, f"delete_bucket_{name}")
    with refused(absent):
        get(BUCKET)
    put(BUCKET, setting)
    assert get(BUCKET) == setting
    put(BUCKET, setting)
    assert get(BUCKET) == setting
    delete(BUCKET)
    delete(BUCKET)
    with refused(absent):
        get(BUCKET)
    with refused("NoSuchBucket"):
        put("missing-1250000000", setting)
    with refused("NoSuchBucket"):
        get("missing-1250000000")


@in_thread
def test_website(sdk):
    """A website comes back with the kind of redirect that the service adds."""
    with refused("NoSuchWebsiteConfiguration"):
        sdk.get_bucket_website(BUCKET)
    sdk.put_bucket_website(BUCKET, WEBSITE)
    expected = copy.deepcopy(WEBSITE)
    for rule in expected["RoutingRules"]:
        rule["Redirect"]["URLRedirect"] = "Enabled"
    assert sdk.get_bucket_website(BUCKET) == expected
    sdk.delete_bucket_website(BUCKET)
    with refused("NoSuchWebsiteConfiguration"):
        sdk.get_bucket_website(BUCKET)


@in_thread
def test_encryption_by_its_other_name(sdk):
    """The element the SDK's own test sends is given back under the name that it reads."""
    sdk.put_bucket_encryption(
        BUCKET, {"Rule": [{"ApplySideEncryptionConfiguration": {"SSEAlgorithm": "AES256"}}]}
    )
    assert sdk.get_bucket_encryption(BUCKET) == ENCRYPTION


@in_thread
def test_logging(sdk):
    """Logging is off at first, on as it was put, and off again by an empty status."""
    status = {"LoggingEnabled": {"TargetBucket": BUCKET, "TargetPrefix": "test"}}
    assert sdk.get_bucket_logging(BUCKET) == {"BucketLoggingStatus": None}
    sdk.put_bucket_logging(BUCKET, status)
    assert sdk.get_bucket_logging(BUCKET) == status
    sdk.put_bucket_logging(BUCKET)
    assert sdk.get_bucket_logging(BUCKET) == {"BucketLoggingStatus": None}


@in_thread
def test_referer(sdk):
    """A referer list is deleted by putting nothing, and is empty then."""
    sdk.put_bucket_referer(BUCKET, REFERER)
    assert sdk.get_bucket_referer(BUCKET) == REFERER
    sdk.delete_bucket_referer(BUCKET)
    assert sdk.get_bucket_referer(BUCKET) == {"RefererConfiguration": None}


@in_thread
def test_response_control(sdk):
    """A control of responses is put, got and deleted."""
    sdk.put_bucket_response_control(BUCKET, CONTROL)
    assert sdk.get_bucket_response_control(BUCKET) == CONTROL
    sdk.delete_bucket_response_control(BUCKET)
    assert sdk.get_bucket_response_control(BUCKET) == {"ResponseControlConfiguration": None}


@in_thread
def test_policy(sdk):
    """A policy comes back as the JSON that was put, and does not lock anybody out or in."""
    with refused("NoSuchBucketPolicy"):
        sdk.get_bucket_policy(BUCKET)
    sdk.put_bucket_policy(BUCKET, POLICY)
    assert json.loads(sdk.get_bucket_policy(BUCKET)["Policy"]) == POLICY
    sdk.put_bucket_policy(BUCKET, json.dumps(POLICY))
    assert json.loads(sdk.get_bucket_policy(BUCKET)["Policy"]) == POLICY
    for bad in ("{", "[]", '{"version": "2.0"}'):
        with refused("MalformedPolicy", 400):
            sdk.put_bucket_policy(BUCKET, bad)
    sdk.delete_bucket_policy(BUCKET)
    with refused("NoSuchBucketPolicy"):
        sdk.get_bucket_policy(BUCKET)


@in_thread
def test_domain_certificate(sdk):
    """A domain has a certificate from when one was put until it is deleted."""
    certificate = {
        "CertificateInfo": {
            "CertType": "CustomCert",
            "CustomCert": {"Cert": "----", "PrivateKey": "key-canary"},
        },
        "DomainList": [{"DomainName": "www.abc.com"}],
    }
    assert sdk.get_bucket_domain_certificate(BUCKET, "www.abc.com") == {"Status": "Disabled"}
    sdk.put_bucket_domain_certificate(BUCKET, certificate)
    assert sdk.get_bucket_domain_certificate(BUCKET, "www.abc.com") == {"Status": "Enabled"}
    assert sdk.get_bucket_domain_certificate(BUCKET, "abc.com") == {"Status": "Disabled"}
    sdk.delete_bucket_domain_certificate(BUCKET, "www.abc.com")
    assert sdk.get_bucket_domain_certificate(BUCKET, "www.abc.com") == {"Status": "Disabled"}


@in_thread
def test_inventory(sdk):
    """An inventory is known by its id; one that is made at once is not made twice."""
    with refused("InventoryConfigurationNotFoundError"):
        sdk.get_bucket_inventory(BUCKET, "list1")
    sdk.put_bucket_inventory(BUCKET, "list1", dict(INVENTORY))
    assert sdk.get_bucket_inventory(BUCKET, "list1") == {**INVENTORY, "Id": "list1"}
    with refused("InventoryConfigurationNotFoundError"):
        sdk.get_bucket_inventory(BUCKET, "list2")
    sdk.delete_bucket_inventory(BUCKET, "list1")
    with refused("InventoryConfigurationNotFoundError"):
        sdk.get_bucket_inventory(BUCKET, "list1")
    once = {name: INVENTORY[name] for name in INVENTORY if name not in ("IsEnabled", "Schedule")}
    sdk.post_bucket_inventory(BUCKET, "list1", dict(once))
    with refused("DuplicateInventoryId", 409):
        sdk.post_bucket_inventory(BUCKET, "list1", dict(once))


@in_thread
def test_pages_of_inventories(sdk):
    """Inventories are listed by hundreds, in the order in which they were put."""
    assert sdk.list_bucket_inventory_configurations(BUCKET) == {"IsTruncated": "false"}
    for number in range(105):
        sdk.put_bucket_inventory(BUCKET, f"ID-{number}", dict(INVENTORY))
    sdk.put_bucket_inventory(BUCKET, "ID-3", {**INVENTORY, "IsEnabled": "False"})
    found, token = [], ""
    while token is not None:
        page = sdk.list_bucket_inventory_configurations(BUCKET, ContinuationToken=token)
        found += page["InventoryConfiguration"]
        token = page["NextContinuationToken"] if page["IsTruncated"] == "true" else None
    assert [one["Id"] for one in found] == [f"ID-{number}" for number in range(105)]
    assert found[3]["IsEnabled"] == "False"


@in_thread
def test_intelligent_tiering(sdk):
    """The rule without a name and the rule named default are one rule."""
    assert sdk.get_bucket_intelligenttiering(BUCKET) == {"IntelligentTieringConfiguration": None}
    with refused("NoSuchConfiguration"):
        sdk.get_bucket_intelligenttiering_v2(BUCKET, "default")
    listed = sdk.list_bucket_intelligenttiering_configurations(BUCKET)
    assert listed == {"ListBucketIntelligentTieringConfigurationsOutput": None}
    first = {"Status": "Enabled", "Transition": {"Days": "30", "RequestFrequent": "1"}}
    sdk.put_bucket_intelligenttiering(BUCKET, first)
    assert sdk.get_bucket_intelligenttiering(BUCKET) == first
    named = {
        "Id": "default",
        "Status": "Enabled",
        "Tiering": {"AccessTier": "INFREQUENT", "Days": "30", "RequestFrequent": "1"},
    }
    assert sdk.get_bucket_intelligenttiering_v2(BUCKET, "default") == named
    named["Tiering"]["Days"] = "60"
    sdk.put_bucket_intelligenttiering_v2(BUCKET, named, "default")
    assert sdk.get_bucket_intelligenttiering(BUCKET)["Transition"]["Days"] == "60"
    archive = {
        "Id": "1",
        "Status": "Enabled",
        "Filter": {"And": {"Prefix": "test", "Tag": {"Key": "k1", "Value": "v1"}}},
        "Tiering": [
            {"AccessTier": "ARCHIVE_ACCESS", "Days": "30"},
            {"AccessTier": "DEEP_ARCHIVE_ACCESS", "Days": "90"},
        ],
    }
    sdk.put_bucket_intelligenttiering_v2(BUCKET, archive, "1")
    assert sdk.get_bucket_intelligenttiering_v2(BUCKET, "1") == archive
    listed = sdk.list_bucket_intelligenttiering_configurations(BUCKET)
    assert listed["IntelligentTieringConfiguration"] == [named, archive]


@in_thread
def test_object_lock(sdk):
    """A lock is put and got, and a bucket that has one but no objects can be deleted."""
    bucket = "worm-1250000000"
    sdk.create_bucket(bucket)
    with refused("NoSuchObjectLockConfiguration"):
        sdk.get_bucket_object_lock(bucket)
    answer = sdk.put_bucket_object_lock(bucket, {"ObjectLockEnabled": "Enabled"})
    assert answer["x-cos-request-id"]
    assert sdk.get_bucket_object_lock(bucket) == {"ObjectLockEnabled": "Enabled"}
    sdk.delete_bucket(bucket)


@in_thread
def test_location_and_versioning(sdk):
    """A bucket says where it is, and whether it keeps versions."""
    assert sdk.get_bucket_location(BUCKET) == {"LocationConstraint": REGION}
    assert sdk.get_bucket_versioning(BUCKET) == {"VersioningConfiguration": None}
    for status in ("Enabled", "Suspended"):
        sdk.put_bucket_versioning(BUCKET, status)
        assert sdk.get_bucket_versioning(BUCKET) == {"Status": status}


@in_thread
def test_all_that_is_set(sdk):
    """get_bucket_meta gathers what is set; what is not is None or empty."""
    sdk.put_bucket_cors(BUCKET, CORS)
    sdk.put_bucket_tagging(BUCKET, TAGGING)
    sdk.put_bucket_object_lock(BUCKET, {"ObjectLockEnabled": "Enabled"})
    found = sdk.get_bucket_meta(BUCKET)
    assert (found["CORS"], found["Tagging"]) == (CORS, TAGGING)
    assert found["ObjectLock"] == {"ObjectLockEnabled": "Enabled"}
    assert found["Location"] == REGION
    assert found["ACL"]["CannedACL"] == "private"
    assert {found[name] for name in ("Website", "Lifecycle", "Encryption", "Replication")} == {None}


@in_thread
def test_kinds_of_buckets(sdk):
    """A bucket in several zones, or with the file system's architecture, says so."""
    sdk.create_bucket("kinds-1250000000", BucketAZConfig="MAZ", BucketArchConfig="OFS")
    head = sdk.head_bucket("kinds-1250000000")
    assert (head["x-cos-bucket-az-type"], head["x-cos-bucket-arch"]) == ("MAZ", "OFS")
    found = sdk.get_bucket_meta("kinds-1250000000")
    assert (found["MAZ"], found["OFS"]) == (True, True)
    sdk.delete_bucket("kinds-1250000000")
    sdk.create_bucket("kinds-1250000000")
    assert "x-cos-bucket-az-type" not in sdk.head_bucket("kinds-1250000000")


@in_thread
def test_buckets_are_found_by_tag_and_time(sdk):
    """A list of buckets can ask for a tag, a region and a time."""
    tag = {"TagSet": {"Tag": [{"Key": "tagKey", "Value": "tagValue"}]}}
    sdk.create_bucket("tagged-1250000000")
    sdk.put_bucket_tagging("tagged-1250000000", tag)

    def names(**asked):
        found = sdk.list_buckets(**asked)
        assert (found["IsTruncated"], found["Marker"]) == ("false", None)
        return [one["Name"] for one in (found["Buckets"] or {}).get("Bucket", [])]

    assert names(Region=REGION, TagKey="tagKey", TagValue="tagValue") == ["tagged-1250000000"]
    assert names(TagKey="tagKey", TagValue="other") == []
    assert names(Region="ap-beijing") == []
    assert names(CreateTime=1514736000, Range="gt") == [BUCKET, "tagged-1250000000"]
    assert names(CreateTime=1514736000, Range="lte") == []


@in_thread
def test_bucket_acl(sdk):
    """Canned lists are recognised again, grants come back, both at once are refused."""
    assert sdk.get_bucket_acl(BUCKET)["CannedACL"] == "private"
    for canned in ("public-read", "public-read-write", "private"):
        sdk.put_bucket_acl(BUCKET, ACL=canned)
        assert sdk.get_bucket_acl(BUCKET)["CannedACL"] == canned
    other = "qcs::cam::uin/100000000002:uin/100000000002"
    sdk.put_bucket_acl(BUCKET, ACL="public-read", GrantWrite=f'id="{other}"')
    found = sdk.get_bucket_acl(BUCKET)
    grant = {
        "Grantee": {"Type": "CanonicalUser", "ID": other, "DisplayName": other},
        "Permission": "WRITE",
    }
    assert found["CannedACL"] == "public-read"
    assert grant in found["AccessControlList"]["Grant"]
    grant["Permission"] = "FULL_CONTROL"
    policy = {"Owner": {"ID": "x"}, "AccessControlList": {"Grant": [grant]}}
    sdk.put_bucket_acl(BUCKET, policy)
    assert sdk.get_bucket_acl(BUCKET)["AccessControlList"]["Grant"] == [grant]
    with refused("InvalidArgument", 400):
        sdk.put_bucket_acl(BUCKET, ACL="public-read-writ")
    with refused("UnexpectedContent", 400):
        sdk.put_bucket_acl(BUCKET, policy, ACL="private")


@in_thread
def test_object_acl(sdk):
    """An object has its bucket's list until it gets one of its own."""
    sdk.put_object(BUCKET, b"test acl", "k")
    assert sdk.get_object_acl(BUCKET, "k")["CannedACL"] == "default"
    for canned in ("public-read", "private", "default"):
        sdk.put_object_acl(BUCKET, "k", ACL=canned)
        assert sdk.get_object_acl(BUCKET, "k")["CannedACL"] == canned
    grantee = "qcs::cam::uin/100000000002:uin/100000000002"
    sdk.put_object_acl(BUCKET, "k", GrantRead=f'id="{grantee}",id="qcs::cam::uin/3:uin/3"')
    grants = sdk.get_object_acl(BUCKET, "k")["AccessControlList"]["Grant"]
    assert [one["Permission"] for one in grants] == ["FULL_CONTROL", "READ", "READ"]
    assert grants[1]["Grantee"]["ID"] == grantee
    with refused("NoSuchKey"):
        sdk.put_object_acl(BUCKET, "none", ACL="private")


@in_thread
def test_object_tagging(sdk):
    """Tags come with the object or later, are counted, copied along, and deleted."""
    sdk.put_object(BUCKET, b"x", "k", Tagging="a=1&%E9%94%AE=b%26c")
    found = sdk.get_object_tagging(BUCKET, "k")["TagSet"]["Tag"]
    assert found == [{"Key": "a", "Value": "1"}, {"Key": "键", "Value": "b&c"}]
    assert sdk.head_object(BUCKET, "k")["x-cos-tagging-count"] == "2"
    sdk.put_object_tagging(BUCKET, "k", TAGGING)
    assert sdk.get_object_tagging(BUCKET, "k") == TAGGING
    sdk.copy_object(BUCKET, "copy", {"Bucket": BUCKET, "Key": "k", "Region": REGION})
    assert sdk.get_object_tagging(BUCKET, "copy") == TAGGING
    sdk.delete_object_tagging(BUCKET, "k")
    assert sdk.get_object_tagging(BUCKET, "k") == {"TagSet": None}
    assert "x-cos-tagging-count" not in sdk.head_object(BUCKET, "k")
    with refused("NoSuchKey"):
        sdk.put_object_tagging(BUCKET, "none", TAGGING)


@in_thread
def test_tags_of_versions_and_uploads(sdk):
    """A version's tags are its own; an upload's become the object's."""
    sdk.put_bucket_versioning(BUCKET, "Enabled")
    first = sdk.put_object(BUCKET, b"1", "k", Tagging="n=1")["x-cos-version-id"]
    sdk.put_object(BUCKET, b"2", "k", Tagging="n=2")

    def value(**which):
        return sdk.get_object_tagging(BUCKET, "k", **which)["TagSet"]["Tag"][0]["Value"]

    assert (value(VersionId=first), value()) == ("1", "2")
    sdk.put_object_tagging(
        BUCKET, "k", {"TagSet": {"Tag": [{"Key": "n", "Value": "3"}]}}, VersionId=first
    )
    assert (value(VersionId=first), value()) == ("3", "2")
    upload = sdk.create_multipart_upload(BUCKET, "parts", Tagging="a=b")["UploadId"]
    part = sdk.upload_part(BUCKET, "parts", b"x", 1, upload)
    done = {"Part": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    sdk.complete_multipart_upload(BUCKET, "parts", upload, done)
    assert sdk.head_object(BUCKET, "parts")["x-cos-tagging-count"] == "1"


@in_thread
def test_symlink(sdk):
    """A symlink is read as its target, and is an object of its own otherwise."""
    sdk.put_object(BUCKET, b"content", "目录/目标.txt", ContentType="a/b")
    sdk.put_symlink(BUCKET, "link", "目录/目标.txt")
    head = sdk.get_symlink(BUCKET, "link")
    assert head["x-cos-symlink-target"] == "%E7%9B%AE%E5%BD%95/%E7%9B%AE%E6%A0%87.txt"
    got = sdk.get_object(BUCKET, "link")
    assert got["Body"].get_raw_stream().read() == b"content"
    assert sdk.head_object(BUCKET, "link")["Content-Type"] == "a/b"
    with refused("NoSuchKey"):
        sdk.get_symlink(BUCKET, "none")


@in_thread
def test_storage_class_and_metadata_change(sdk):
    """Copies onto itself change an object's class and metadata; STANDARD is never named."""
    sdk.put_object(BUCKET, b"x", "k", Metadata={"x-cos-meta-a": "1"})
    assert "x-cos-storage-class" not in sdk.head_object(BUCKET, "k")
    sdk.change_object_storage_class(BUCKET, "k", "STANDARD_IA")
    assert sdk.head_object(BUCKET, "k")["x-cos-storage-class"] == "STANDARD_IA"
    sdk.change_object_storage_class(BUCKET, "k", "STANDARD")
    assert "x-cos-storage-class" not in sdk.head_object(BUCKET, "k")
    sdk.update_object_meta(BUCKET, "k", ContentType="text/html", Metadata={"x-cos-meta-b": "2"})
    head = sdk.head_object(BUCKET, "k")
    assert (head["Content-Type"], head["x-cos-meta-b"]) == ("text/html", "2")
    assert "x-cos-meta-a" not in head
    sdk.change_object_storage_class(BUCKET, "k", "ARCHIVE")
    with refused("InvalidObjectState", 403):
        sdk.get_object(BUCKET, "k")
    with refused("InvalidObjectState", 403):
        sdk.change_object_storage_class(BUCKET, "k", "STANDARD")
