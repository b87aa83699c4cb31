"""Whose credentials are used: sources, the chain of them, and how they are kept fresh.

In: the environment, files of Tencent's tools, services of the cloud. Out: ``Credentials``,
through the ``CredentialProvider`` that ``CosConfig(CredentialInstance=)`` takes.
"""

from aiocos.identity.chain import CredentialChain, Finding, default_credentials
from aiocos.identity.coscli import CoscliCredentials
from aiocos.identity.environment import EnvironmentCredentials, ScfCredentials
from aiocos.identity.files import CoscmdCredentials, ProfileCredentials, TccliCredentials
from aiocos.identity.metadata import CvmRoleCredentials
from aiocos.identity.pods import WebIdentityCredentials
from aiocos.identity.sts import AssumeRoleCredentials

__all__ = [
    "AssumeRoleCredentials",
    "CoscliCredentials",
    "CoscmdCredentials",
    "CredentialChain",
    "CvmRoleCredentials",
    "EnvironmentCredentials",
    "Finding",
    "ProfileCredentials",
    "ScfCredentials",
    "TccliCredentials",
    "WebIdentityCredentials",
    "default_credentials",
]
