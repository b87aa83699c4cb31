"""The settings of a bucket, each one line of a table.

In: the body of a request that sets one. Out: the document to keep, or the refusal. What
COS would do because of a setting, and this server does too, stands in its ``effect``; the
others are stored and returned. Sources of the codes for what is not set: Tencent's own
clients (the Node.js and Java SDKs, and the list of codes in the C++ library flare).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from . import cors, lifecycle, tags
from .errors import CosError
from .xml import Element, Node, Value, document, parse


def _anything(_: Element) -> None:
    """Any document of the required form is good."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One kind of setting."""

    name: str
    """Its operations are Put..., Get... and Delete... of this name."""
    parameter: str
    """The query parameter that stands for it."""
    root: str
    """The name of its root element; empty if it is JSON."""
    absent: str = ""
    """The code when it is not set; without one an empty document is the answer."""
    required: tuple[str, ...] = ()
    """Paths that must be there: ``Rule/Status=Enabled|Disabled`` asks each of one or more
    rules for a status out of two. A step that ends in ``?`` may be missing."""
    check: Callable[[Element], None] = _anything
    is_deletable: bool = True
    is_named: bool = False
    """Whether there are many in a bucket, told apart by the parameter ``id``."""
    is_emptied: bool = False
    """Whether a PUT without a body deletes it."""
    max_size: int = 64 << 10
    """In bytes; some are read at once by each request that they are about."""
    synonyms: Mapping[str, str] = field(default_factory=dict)
    """Names of elements that COS understands, and gives back under another name."""
    added: Mapping[str, Node] = field(default_factory=dict)
    """What COS adds to each element of a name that lacks it."""
    effect: str = ""

    def understand(self, body: bytes) -> bytes:
        """The document to keep."""
        if len(body) > self.max_size:
            raise CosError("XMLSizeLimit")
        if not self.root:
            return _policy(body)
        root = parse(body, self.root)
        for path in self.required:
            _require(root, path, self.synonyms)
        self.check(root)
        return document(self.root, self._value(root))

    def _value(self, element: Element) -> Value:
        children = element.elements()
        if not children:
            return element.content
        nodes: list[Node] = [
            (self.synonyms.get(child.name, child.name), self._value(child)) for child in children
        ]
        more = self.added.get(element.name)
        if more is not None and more[0] not in dict(nodes):
            nodes.append(more)
        return nodes

    @property
    def nothing(self) -> bytes:
        """The document of a setting that was never set."""
        return document(self.root, None)


def _require(root: Element, rule: str, synonyms: Mapping[str, str]) -> None:
    path, _, values = rule.partition("=")
    found = [root]
    for step in path.split("/"):
        name = step.removesuffix("?")
        below = [
            [child for child in element.elements() if synonyms.get(child.name, child.name) == name]
            for element in found
        ]
        if not step.endswith("?") and not all(below):
            raise CosError("MalformedXML", f"{root.name} needs {path.replace('?', '')}.")
        found = [child for children in below for child in children]
    if values and any(element.content not in values.split("|") for element in found):
        raise CosError("MalformedXML", f"{path.replace('?', '')} must be one of {values}.")


def _policy(body: bytes) -> bytes:
    try:
        policy = json.loads(body)
    except ValueError:
        raise CosError("MalformedPolicy", "The policy is not JSON.") from None
    if not isinstance(policy, dict) or not {"Statement", "statement"} & set(policy):
        raise CosError("MalformedPolicy", "The policy has no Statement.")
    return body


def _check_encryption(body: Element) -> None:
    for key in body.at("Rule/ApplyServerSideEncryptionByDefault/KMSMasterKeyID"):
        if not re.fullmatch(r"[\x21-\x7e]*", key.content):
            raise CosError("MalformedXML", "KMSMasterKeyID is not the id of a key.")


_ON_OFF = "=Enabled|Disabled"
_SWITCH = "=Enabled|Suspended"
_TRUTH = "=true|false|True|False"

SETTINGS = (
    Setting(
        "BucketCORS",
        "cors",
        cors.ROOT,
        "NoSuchCORSConfiguration",
        ("CORSRule/AllowedOrigin", "CORSRule/AllowedMethod"),
        cors.check,
        effect="answers preflight requests and adds the Access-Control headers",
    ),
    Setting(
        "BucketLifecycle",
        "lifecycle",
        lifecycle.ROOT,
        "NoSuchLifecycleConfiguration",
        (f"Rule/Status{_ON_OFF}",),
        lifecycle.check,
        max_size=256 << 10,
        effect="moves, expires and aborts by the server's calendar, a day being 24 hours",
    ),
    Setting(
        "BucketTagging",
        "tagging",
        "Tagging",
        "NoSuchTagSet",
        check=tags.check_document,
        effect="lists buckets by their tags",
    ),
    Setting(
        "BucketEncryption",
        "encryption",
        "ServerSideEncryptionConfiguration",
        "NoSuchEncryptionConfiguration",
        ("Rule/ApplyServerSideEncryptionByDefault/SSEAlgorithm=AES256|KMS|SM4",),
        _check_encryption,
        # The official Python SDK's own test sends the one name and reads the other.
        synonyms={"ApplySideEncryptionConfiguration": "ApplyServerSideEncryptionByDefault"},
        effect="tells of the encryption with each new object; nothing is encrypted on disk",
    ),
    Setting(
        "BucketReferer",
        "referer",
        "RefererConfiguration",
        required=(
            f"Status{_ON_OFF}",
            "RefererType=Black-List|White-List",
            "DomainList/Domain",
            "EmptyReferConfiguration?=Allow|Deny",
        ),
        is_deletable=False,
        is_emptied=True,
        effect="refuses unsigned reads by their Referer",
    ),
    Setting("BucketPolicy", "policy", "", "NoSuchBucketPolicy"),
    Setting(
        "BucketWebsite",
        "website",
        "WebsiteConfiguration",
        "NoSuchWebsiteConfiguration",
        ("IndexDocument/Suffix", "RoutingRules?/RoutingRule/Redirect"),
        added={"Redirect": ("URLRedirect", "Enabled")},
    ),
    Setting(
        "BucketLogging",
        "logging",
        "BucketLoggingStatus",
        required=("LoggingEnabled?/TargetBucket",),
        is_deletable=False,
    ),
    Setting(
        "BucketReplication",
        "replication",
        "ReplicationConfiguration",
        "ReplicationConfigurationNotFoundError",
        ("Role", f"Rule/Status{_ON_OFF}", "Rule/Destination/Bucket"),
    ),
    Setting(
        "BucketDomain",
        "domain",
        "DomainConfiguration",
        "DomainConfigNotFoundError",
        ("DomainRule/Name", "DomainRule/Type", "DomainRule/Status=ENABLED|DISABLED"),
    ),
    Setting(
        "BucketOrigin",
        "origin",
        "OriginConfiguration",
        "OriginConfigurationNotFoundError",
        ("OriginRule/OriginType", "OriginRule/OriginInfo"),
    ),
    Setting(
        "BucketInventory",
        "inventory",
        "InventoryConfiguration",
        "InventoryConfigurationNotFoundError",
        (
            "Id",
            f"IsEnabled?{_TRUTH}",
            "Destination/COSBucketDestination/Bucket",
            "IncludedObjectVersions=All|Current",
        ),
        is_named=True,
    ),
    Setting(
        "BucketIntelligentTieringConfiguration",
        "intelligent-tiering",
        "IntelligentTieringConfiguration",
        "NoSuchConfiguration",
        (f"Status{_SWITCH}|Disabled",),
        is_named=True,
    ),
    Setting(
        "BucketIntelligentTiering",
        "intelligenttiering",
        "IntelligentTieringConfiguration",
        required=(f"Status{_SWITCH}|Disabled", "Transition?/Days"),
        is_deletable=False,
    ),
    Setting(
        "BucketObjectLock",
        "object-lock",
        "ObjectLockConfiguration",
        "NoSuchObjectLockConfiguration",
        ("ObjectLockEnabled=Enabled", "Rule?/DefaultRetention/Days"),
        is_deletable=False,
    ),
    Setting(
        "BucketAccelerate",
        "accelerate",
        "AccelerateConfiguration",
        required=(f"Status{_SWITCH}",),
        is_deletable=False,
    ),
    Setting(
        "BucketResponseControl",
        "response-control",
        "ResponseControlConfiguration",
        required=("ControlParamList/Param",),
    ),
)
BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}


def operation_names() -> set[str]:
    """The names of the operations that put, get and delete settings."""
    verbs = [
        (setting, verb)
        for setting in SETTINGS
        for verb in ("Put", "Get", *(["Delete"] if setting.is_deletable else []))
    ]
    return {f"{verb}{setting.name}" for setting, verb in verbs}
