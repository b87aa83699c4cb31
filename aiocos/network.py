"""What a configuration says of the way to COS: TLS, and proxies.

In: a CosConfig. Out: settings for the connections.
"""

from __future__ import annotations

import base64
import ssl
import urllib.request
from collections.abc import Mapping
from typing import Final

from yarl import URL

from aiocos.config import CosConfig
from aiocos.errors import ParameterError

_OWN: Final = "SSLCert, the client's own certificate, cannot be read"


def proxy_for(config: CosConfig, url: URL) -> tuple[URL | None, dict[str, str] | None]:
    """Return the proxy for an address and the header it asks for, None where there is none."""
    proxies: Mapping[str, str] = config.Proxies or {}
    if not proxies and config.TrustEnv and not urllib.request.proxy_bypass(url.host or ""):
        proxies = urllib.request.getproxies()
    address = proxies.get(url.scheme)
    if address is None:
        return None, None
    proxy = URL(address)
    if proxy.user is None:
        return proxy, None
    login = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
    return proxy.with_user(None), {"Proxy-Authorization": f"Basic {login}"}


def tls_settings(config: CosConfig) -> ssl.SSLContext | bool:
    """Return the TLS settings: True is aiohttp's own, verified, context."""
    if config.VerifySSL in {None, True} and config.SSLCert is None:
        return True
    bundle = config.VerifySSL if isinstance(config.VerifySSL, str) else None
    try:
        context = ssl.create_default_context(cafile=bundle)
        if config.SSLCert is not None:
            pair = (config.SSLCert,) if isinstance(config.SSLCert, str) else config.SSLCert
            context.load_cert_chain(*pair)
    except (OSError, ssl.SSLError) as error:
        given = f"VerifySSL or SSLCert cannot be read ({bundle})" if bundle else _OWN
        raise ParameterError(f"{given}: {error}") from error
    if config.VerifySSL is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
