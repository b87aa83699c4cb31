"""A sample of each setting: as it is put, and as it comes back.

In: nothing. Out: SENT, the keywords of calls whose answer says nothing, and READ, those of
calls with the answer to give.
"""

from __future__ import annotations

from typing import Any

TAGS = {"TagSet": {"Tag": [{"Key": "a<&>", "Value": "中\n"}, {"Key": "b", "Value": "2"}]}}
CORS = {
    "CORSRule": [
        {
            "MaxAgeSeconds": 5,
            "ID": "x",
            "AllowedOrigin": ["*"],
            "AllowedMethod": ["GET", "PUT"],
            "AllowedHeader": ["*"],
            "ExposeHeader": ["ETag", "x-cos-request-id"],
        },
        {"AllowedOrigin": "http://a.example", "AllowedMethod": "HEAD"},
    ],
    "ResponseVary": True,
}
LIFECYCLE = {
    "Rule": [
        {
            "ID": "all of it",
            "Filter": {"And": {"Prefix": "a/", "Tag": [{"Key": "k", "Value": "v"}]}},
            "Status": "Enabled",
            "Transition": {"Days": 30, "StorageClass": "ARCHIVE"},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "NoncurrentVersionTransition": [{"NoncurrentDays": "3", "StorageClass": "COLD"}],
            "NoncurrentVersionExpiration": {"NoncurrentDays": 9},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        },
        {"Status": "Disabled", "Filter": {"Prefix": ""}, "Expiration": {"Date": "2026-01-31"}},
        {"Status": "Disabled", "Prefix": None, "Expiration": {"Days": 1}},
    ]
}
WEBSITE = {
    "IndexDocument": {"Suffix": "index.html"},
    "RedirectAllRequestsTo": {"Protocol": "https"},
    "AutoAddressing": {"Status": "Enabled"},
    "ErrorDocument": {"Key": "e.html", "OriginalHttpStatus": "Enabled"},
    "RoutingRules": [
        {"Condition": {"KeyPrefixEquals": "a/"}, "Redirect": {"ReplaceKeyPrefixWith": "b/"}},
        {"Redirect": {"ReplaceKeyWith": "c"}, "Condition": {"HttpErrorCodeReturnedEquals": "404"}},
    ],
}
REPLICATION = {
    "Role": "qcs::cam::uin/1:uin/1",
    "Rule": [
        {
            "ID": "r",
            "Priority": 1,
            "Status": "Enabled",
            "Filter": {"And": {"Prefix": "p", "Tag": [{"Key": "k", "Value": "v"}]}},
            "Destination": {"Bucket": "qcs::cos:ap-beijing::d-1", "StorageClass": "STANDARD"},
            "DeleteMarkerReplication": {"Status": "Disabled"},
        }
    ],
}
INVENTORY = {
    "Destination": {
        "COSBucketDestination": {
            "AccountId": "100000000001",
            "Bucket": "qcs::cos:ap-guangzhou::examplebucket-1250000000",
            "Format": "CSV",
            "Prefix": "list1",
            "Encryption": {"SSECOS": {}},
        }
    },
    "IsEnabled": "True",
    "Filter": {"Prefix": "filterPrefix"},
    "IncludedObjectVersions": "All",
    "OptionalFields": {"Field": ["Size", "LastModifiedDate"]},
    "Schedule": {"Frequency": "Daily"},
}
DOMAINS = {
    "DomainRule": [
        {"Name": "www.a.example", "Type": "REST", "Status": "ENABLED", "ForcedReplacement": "CNAME"}
    ]
}
CERTIFICATE = {
    "CertificateInfo": {
        "CertType": "CustomCert",
        "CustomCert": {"Cert": "-----BEGIN\nx", "PrivateKey": "-----BEGIN\nsecret"},
    },
    "DomainList": {"DomainName": ["www.a.example", "b.example"]},
}
ORIGIN = {
    "OriginRule": [
        {
            "RulePriority": 1,
            "OriginType": "Mirror",
            "OriginCondition": {"HTTPStatusCode": 404, "Prefix": ""},
            "OriginParameter": {
                "Protocol": "HTTP",
                "FollowQueryString": True,
                "HttpHeader": {
                    "FollowAllHeaders": "true",
                    "NewHttpHeaders": {"Header": [{"Key": "x", "Value": "y"}]},
                },
                "FollowRedirection": True,
                "HttpRedirectCode": "302",
            },
            "OriginInfo": {
                "HostInfo": {"HostName": "a.example", "StandbyHostName_1": "b.example"},
                "FileInfo": {"PrefixConfiguration": {"Prefix": "p"}},
            },
        }
    ]
}
TIERING = {"Status": "Enabled", "Transition": {"Days": 30, "RequestFrequent": "1"}}
TIERING_RULE = {
    "Id": "i",
    "Status": "Enabled",
    "Filter": {"And": {"Prefix": "p", "Tag": [{"Key": "k", "Value": "v"}]}},
    "Tiering": [{"AccessTier": "INFREQUENT", "Days": "30", "RequestFrequent": 1}],
}
LOCK = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Days": 7}}}
CONTROL = {"ControlParamList": {"Param": ["response-content-type", "response-expires"]}}
ENCRYPTION = {
    "Rule": [
        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "KMS", "KMSMasterKeyID": "key"}}
    ]
}
REFERER = {
    "Status": "Enabled",
    "RefererType": "Black-List",
    "DomainList": {"Domain": ["a.example", "*.b.example"]},
    "EmptyReferConfiguration": "Deny",
}
LOGGING = {"LoggingEnabled": {"TargetBucket": "logs-1250000000", "TargetPrefix": "p&q/"}}
POLICY = {"version": "2.0", "Statement": [{"Effect": "deny", "Resource": ["中"]}]}
KEY = "目录/a b"

SENT: dict[str, dict[str, Any]] = {
    "put_bucket_cors": {"CORSConfiguration": CORS},
    "delete_bucket_cors": {},
    "put_bucket_lifecycle": {"LifecycleConfiguration": LIFECYCLE},
    "delete_bucket_lifecycle": {},
    "put_bucket_versioning": {"Status": "Suspended"},
    "put_bucket_tagging": {"Tagging": TAGS},
    "delete_bucket_tagging": {},
    "put_bucket_policy": {"Policy": POLICY},
    "delete_bucket_policy": {},
    "put_bucket_website": {"WebsiteConfiguration": WEBSITE},
    "delete_bucket_website": {},
    "put_bucket_logging": {"BucketLoggingStatus": LOGGING},
    "put_bucket_encryption": {"ServerSideEncryptionConfiguration": ENCRYPTION},
    "delete_bucket_encryption": {},
    "put_bucket_referer": {"RefererConfiguration": REFERER},
    "delete_bucket_referer": {},
    "put_bucket_replication": {"ReplicationConfiguration": REPLICATION},
    "delete_bucket_replication": {},
    "put_bucket_inventory": {"Id": "list 1", "InventoryConfiguration": INVENTORY},
    "post_bucket_inventory": {"Id": "list 1", "InventoryConfiguration": INVENTORY},
    "delete_bucket_inventory": {"Id": "list 1"},
    "put_bucket_domain": {"DomainConfiguration": DOMAINS},
    "delete_bucket_domain": {},
    "put_bucket_domain_certificate": {"DomainCertificateConfiguration": CERTIFICATE},
    "delete_bucket_domain_certificate": {"DomainName": "www.a.example"},
    "put_bucket_origin": {"OriginConfiguration": ORIGIN},
    "delete_bucket_origin": {},
    "put_bucket_intelligenttiering": {"IntelligentTieringConfiguration": TIERING},
    "put_bucket_intelligenttiering_v2": {
        "IntelligentTieringConfiguration": TIERING_RULE,
        "Id": "i",
    },
    "put_bucket_response_control": {"ResponseControlConfiguration": CONTROL},
    "delete_bucket_response_control": {},
    "put_object_tagging": {"Key": KEY, "Tagging": TAGS, "VersionId": "v1"},
    "delete_object_tagging": {"Key": KEY, "VersionId": "v1"},
    "put_object_acl": {"Key": KEY, "ACL": "public-read", "GrantRead": 'id="1"'},
    "put_bucket_acl": {"GrantFullControl": 'id="1",id="2"'},
}
"""Calls whose answer says nothing."""


def xml(text: str) -> bytes:
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}'.encode()


READ: dict[str, tuple[dict[str, Any], bytes]] = {
    "get_bucket_cors": (
        {},
        xml(
            '<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            "<CORSRule><ID>1</ID><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET"
            "</AllowedMethod><AllowedHeader>a</AllowedHeader><AllowedHeader>b</AllowedHeader>"
            "</CORSRule><CORSRule><AllowedOrigin>x</AllowedOrigin><AllowedMethod>PUT"
            "</AllowedMethod></CORSRule><ResponseVary>true</ResponseVary></CORSConfiguration>"
        ),
    ),
    "get_bucket_lifecycle": (
        {},
        xml(
            "<LifecycleConfiguration><Rule><ID/><Filter><Tag><Key>k</Key><Value/></Tag></Filter>"
            "<Status>Enabled</Status><NoncurrentVersionTransition><NoncurrentDays>1"
            "</NoncurrentDays></NoncurrentVersionTransition><Expiration><Days>3</Days>"
            "</Expiration><Novelty><Of><Tomorrow>1</Tomorrow></Of></Novelty></Rule>"
            "</LifecycleConfiguration>"
        ),
    ),
    "get_bucket_website": (
        {},
        xml(
            "<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument>"
            "<RoutingRules><RoutingRule><Redirect><Protocol>https</Protocol></Redirect>"
            "</RoutingRule></RoutingRules></WebsiteConfiguration>"
        ),
    ),
    "get_bucket_logging": (
        {},
        xml(
            "<BucketLoggingStatus><LoggingEnabled><TargetBucket>b</TargetBucket><TargetPrefix/>"
            "</LoggingEnabled></BucketLoggingStatus>"
        ),
    ),
    "get_bucket_referer": (
        {},
        xml(
            "<RefererConfiguration><Status>Enabled</Status><DomainList><Domain>a</Domain>"
            "<Domain>b</Domain></DomainList></RefererConfiguration>"
        ),
    ),
    "get_bucket_replication": (
        {},
        xml(
            "<ReplicationConfiguration><Role>r</Role><Rule><Status>Enabled</Status><ID>1</ID>"
            "<Prefix/><Destination><Bucket>b</Bucket></Destination></Rule>"
            "</ReplicationConfiguration>"
        ),
    ),
    "get_bucket_inventory": (
        {"Id": "list 1"},
        xml(
            "<InventoryConfiguration><Id>list 1</Id><IsEnabled>true</IsEnabled><Destination>"
            "<COSBucketDestination><Bucket>b</Bucket><Encryption><SSE-COS/></Encryption>"
            "</COSBucketDestination></Destination><OptionalFields><Field>Size</Field>"
            "</OptionalFields><Filter><Period><StartTime>1</StartTime></Period></Filter>"
            "</InventoryConfiguration>"
        ),
    ),
    "list_bucket_inventory_configurations": (
        {"ContinuationToken": "a b"},
        xml(
            "<ListInventoryConfigurationResult>"
            + 2
            * (
                "<InventoryConfiguration><Id>1</Id><Destination><COSBucketDestination><Bucket>b"
                "</Bucket></COSBucketDestination></Destination><OptionalFields><Field>Size</Field>"
                "<Field>ETag</Field></OptionalFields></InventoryConfiguration>"
            )
            + "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
            "</ListInventoryConfigurationResult>"
        ),
    ),
    "get_bucket_domain": (
        {},
        xml(
            "<DomainConfiguration><DomainRule><Status>ENABLED</Status><Name>a</Name>"
            "<Type>REST</Type></DomainRule></DomainConfiguration>"
        ),
    ),
    "get_bucket_domain_certificate": (
        {"DomainName": "www.a.example"},
        xml(
            "<DomainCertificate><Status>Enabled</Status><CertificateInfo><CertId>1</CertId>"
            "<ValidityBegin>2</ValidityBegin></CertificateInfo></DomainCertificate>"
        ),
    ),
    "get_bucket_origin": (
        {},
        xml(
            "<OriginConfiguration><OriginRule><OriginType>Mirror</OriginType><OriginParameter>"
            "<Protocol>HTTP</Protocol></OriginParameter><OriginInfo><FileInfo/><HostInfo>"
            "<HostName>a</HostName></HostInfo><HostInfo><HostName>b</HostName></HostInfo>"
            "</OriginInfo></OriginRule></OriginConfiguration>"
        ),
    ),
    "get_bucket_intelligenttiering": (
        {},
        xml(
            "<IntelligentTieringConfiguration><Status>Enabled</Status><Transition><Days>30"
            "</Days></Transition></IntelligentTieringConfiguration>"
        ),
    ),
    "get_bucket_intelligenttiering_v2": (
        {"Id": "i"},
        xml(
            "<IntelligentTieringConfiguration><Id>i</Id><Tiering><Days>30</Days></Tiering>"
            "<Tiering><Days>60</Days></Tiering></IntelligentTieringConfiguration>"
        ),
    ),
    "list_bucket_intelligenttiering_configurations": (
        {},
        xml(
            "<ListBucketIntelligentTieringConfigurationsOutput>"
            + 2
            * (
                "<IntelligentTieringConfiguration><Id>i</Id><Tiering><Days>1</Days></Tiering>"
                "<Tiering><Days>2</Days></Tiering></IntelligentTieringConfiguration>"
            )
            + "</ListBucketIntelligentTieringConfigurationsOutput>"
        ),
    ),
    "get_bucket_object_lock": (
        {},
        xml(
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
            "<DefaultRetention><Days>7</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
        ),
    ),
    "get_bucket_response_control": (
        {},
        xml(
            "<ResponseControlConfiguration><ControlParamList><Param>a</Param></ControlParamList>"
            "</ResponseControlConfiguration>"
        ),
    ),
    "get_bucket_encryption": (
        {},
        xml(
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>"
            "<SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>"
            "</ServerSideEncryptionConfiguration>"
        ),
    ),
    "get_bucket_location": ({}, xml("<LocationConstraint>ap-beijing</LocationConstraint>")),
    "get_bucket_versioning": (
        {},
        xml("<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"),
    ),
    "get_bucket_tagging": (
        {},
        xml("<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"),
    ),
    "get_object_tagging": (
        {"Key": KEY, "VersionId": "v1"},
        xml("<Tagging><TagSet><Tag><Key>a</Key><Value/></Tag></TagSet></Tagging>"),
    ),
}
"""Calls and their answers."""
