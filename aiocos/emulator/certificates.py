"""Certificates of a bucket's own domains.

In: a ``Call``. Out: a ``Reply``, or a refusal. A private key that comes along is forgotten
at once: what is kept is that a domain has a certificate.
"""

from __future__ import annotations

from . import access
from .errors import CosError
from .wire import Call, Reply, xml_reply
from .xml import Element

_NAME, _ROOT = "BucketDomainCertificate", "DomainCertificate"


async def put_bucket_domain_certificate(call: Call) -> Reply:
    bucket = call.bucket()
    access.own(call.caller, bucket)
    for domain in await call.body.xml(_ROOT, _domains):
        await call.run(call.services.configurations.put, bucket.name, (_NAME, domain), b"")
    return Reply(200)


def _domains(body: Element) -> list[str]:
    found = [name.content for name in body.at("DomainList/DomainName") if name.content]
    if not found or not body.at("CertificateInfo/CertType"):
        raise CosError("MalformedXML", "A CertType and the DomainNames are needed.")
    return found


async def get_bucket_domain_certificate(call: Call) -> Reply:
    bucket, domain = call.bucket(), _domain(call)
    access.own(call.caller, bucket)
    known = call.services.configurations.get(bucket.name, _NAME, domain)
    return xml_reply(_ROOT, [("Status", "Disabled" if known is None else "Enabled")])


async def delete_bucket_domain_certificate(call: Call) -> Reply:
    bucket, domain = call.bucket(), _domain(call)
    access.own(call.caller, bucket)
    await call.run(call.services.configurations.delete, bucket.name, (_NAME, domain))
    return Reply(204)


def _domain(call: Call) -> str:
    domain = call.params.get("domainname", "")
    if not domain:
        raise CosError("InvalidArgument", "Which domain is meant? The domainname is missing.")
    return domain
