"""Domains of one's own for a bucket, and their certificates."""

from typing import Any, Final, Literal, NotRequired, TypedDict, Unpack

from aiocos.errors import ParameterError
from aiocos.operations.checks import text
from aiocos.operations.options import RequestHeaders
from aiocos.operations.settings.setting import Setting, SettingOperations
from aiocos.operations.settings.shapes import Many
from aiocos.request import Reply

VERIFICATION: Final = "x-cos-domain-txt-verification"


class _RequiredOfDomainRule(TypedDict):
    Name: str
    Status: Literal["ENABLED", "DISABLED"]
    Type: str


class DomainRule(_RequiredOfDomainRule, total=False):
    """One domain; ``Type`` is what it serves: ``REST``, ``WEBSITE`` or ``ACCELERATE``.

    ``ForcedReplacement`` takes the domain over from where else it is used: ``CNAME`` or
    ``TXT``, by which it is proven to be yours.
    """

    ForcedReplacement: str


class DomainConfiguration(TypedDict):
    """Domains to put; they take the place of those there are."""

    DomainRule: Many[DomainRule]


class DomainRuleResult(TypedDict):
    """One domain that is there."""

    Name: str
    Status: NotRequired[str]
    Type: NotRequired[str]
    ForcedReplacement: NotRequired[str | None]


class _ReadDomains(TypedDict):
    DomainRule: list[DomainRuleResult]


GetBucketDomainResult = TypedDict(
    "GetBucketDomainResult",
    {
        "DomainRule": list[DomainRuleResult],
        "x-cos-domain-txt-verification": NotRequired[str],
    },
)
"""Of ``get_bucket_domain``; the text is what a TXT record proves the domain by."""


class CustomCertificate(TypedDict, total=False):
    """A certificate and its key, in PEM, or the id of one that Tencent Cloud keeps.

    The key is sent to COS and shown nowhere: no error and no log has it.
    """

    CertId: str
    Cert: str
    PrivateKey: str


class CertificateInfo(TypedDict, total=False):
    """``CertType`` is ``CustomCert``."""

    CertType: str
    CustomCert: CustomCertificate


class CertifiedDomains(TypedDict):
    """The domains that the certificate is for."""

    DomainName: Many[str]


class DomainCertificate(TypedDict):
    """A certificate to put."""

    CertificateInfo: CertificateInfo
    DomainList: CertifiedDomains


class CertificateInfoResult(TypedDict):
    """The certificate that is there; times are seconds of Unix time."""

    CertId: NotRequired[str | None]
    ValidityBegin: NotRequired[str]
    ValidityExpire: NotRequired[str]


class GetBucketDomainCertificateResult(TypedDict):
    """Of ``get_bucket_domain_certificate``."""

    Status: NotRequired[str]
    CertificateInfo: NotRequired[CertificateInfoResult | None]


class _Domain(Setting[GetBucketDomainResult]):
    def read(self, reply: Reply) -> Any:
        """Return the domains, and the text that proves them."""
        domains = super().read(reply)
        if VERIFICATION in reply.headers:
            domains[VERIFICATION] = reply.headers[VERIFICATION]
        return domains


BUCKET_DOMAIN: Final[Setting[GetBucketDomainResult]] = _Domain(
    name="BucketDomain",
    subresource="domain",
    root="DomainConfiguration",
    content=DomainConfiguration,
    result=_ReadDomains,
    absent="NoSuchDomainConfiguration",
)
BUCKET_DOMAIN_CERTIFICATE: Final[Setting[GetBucketDomainCertificateResult]] = Setting(
    name="BucketDomainCertificate",
    subresource="domaincertificate",
    root="DomainCertificate",
    content=DomainCertificate,
    result=GetBucketDomainCertificateResult,
    absent="NoSuchDomainCertificate",
)


class DomainOperations(SettingOperations):
    """Domains of one's own."""

    async def put_bucket_domain(
        self,
        Bucket: str,
        DomainConfiguration: DomainConfiguration,
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Replace the bucket's own domains.

        Raises:
            PreconditionError: a domain is in use elsewhere, or not proven to be yours.
            ParameterError: the domains cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_domain``.
        """
        await self._put_setting(
            BUCKET_DOMAIN, options, Bucket, DomainConfiguration=DomainConfiguration
        )

    async def get_bucket_domain(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketDomainResult:
        """Return the bucket's own domains.

        Source: COS SDK for Python, ``get_bucket_domain``.
        """
        return await self._get_setting(BUCKET_DOMAIN, options, Bucket)

    async def delete_bucket_domain(self, Bucket: str, **options: Unpack[RequestHeaders]) -> None:
        """Remove the bucket's own domains.

        Source: COS SDK for Python, ``delete_bucket_domain``.
        """
        await self._delete_setting(BUCKET_DOMAIN, options, Bucket)

    async def put_bucket_domain_certificate(
        self,
        Bucket: str,
        DomainCertificateConfiguration: DomainCertificate,
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Give domains of the bucket a certificate.

        The private key travels in the request: use https.

        Raises:
            ParameterError: the certificate cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_domain_certificate``.
        """
        await self._put_setting(
            BUCKET_DOMAIN_CERTIFICATE,
            options,
            Bucket,
            DomainCertificateConfiguration=DomainCertificateConfiguration,
        )

    async def get_bucket_domain_certificate(
        self, Bucket: str, DomainName: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketDomainCertificateResult:
        """Return the state of one domain's certificate.

        Raises:
            NotFoundError: it has none, or there is no such bucket.

        Source: COS SDK for Python, ``get_bucket_domain_certificate``.
        """
        return await self._get_setting(
            BUCKET_DOMAIN_CERTIFICATE, options, Bucket, query=_query(DomainName)
        )

    async def delete_bucket_domain_certificate(
        self, Bucket: str, DomainName: str, **options: Unpack[RequestHeaders]
    ) -> None:
        """Remove one domain's certificate.

        Source: COS SDK for Python, ``delete_bucket_domain_certificate``.
        """
        await self._delete_setting(
            BUCKET_DOMAIN_CERTIFICATE, options, Bucket, query=_query(DomainName)
        )


def _query(domain: object) -> dict[str, str]:
    if not text(domain, "DomainName"):
        raise ParameterError("DomainName is required")
    return {"domainname": str(domain)}
