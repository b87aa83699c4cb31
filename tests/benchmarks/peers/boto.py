"""What aiobotocore and boto3 share: settings under which botocore does no needless work.

COS does not answer S3's newer checksums, so they are only made where they must be. Over plain
http botocore takes a SHA-256 of every body unless it is told not to sign bodies, and with awscrt
installed it signs through that; ``payload_signing_enabled`` is respected by both.
"""

from __future__ import annotations

from typing import Any

from tests.benchmarks.job import REGION, SECRET_ID, SECRET_KEY, Job


def config(job: Job) -> dict[str, Any]:
    """Return the keywords of botocore's ``Config``."""
    return {
        "max_pool_connections": job.pool,
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "s3": {"addressing_style": "path", "payload_signing_enabled": False},
    }


def client(job: Job) -> dict[str, Any]:
    """Return the keywords of a client."""
    return {
        "endpoint_url": job.url,
        "region_name": REGION,
        "aws_access_key_id": SECRET_ID,
        "aws_secret_access_key": SECRET_KEY,
        "verify": job.authority if job.tls else None,
    }
