"""A client of this package for a server of this package.

In: the server's settings. Out: a client. It is the one place of the server where the client
is known, and nothing that answers a request comes by here: the two share how to sign, so that
their mistakes cannot cancel out. The client is loaded when somebody asks for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..client import CosS3Client


class WithClient:
    """Whatever has ``settings()``."""

    def settings(self) -> dict[str, Any]:
        raise NotImplementedError

    def client(self, **changes: Any) -> CosS3Client:
        """A client of this server, to be entered with ``async with``.

        ``changes`` are keywords of ``CosConfig`` that are to be others than ``settings()`` says.
        """
        from ..client import CosS3Client  # noqa: PLC0415  (most servers have other clients)
        from ..config import CosConfig  # noqa: PLC0415

        return CosS3Client(CosConfig(**(self.settings() | changes)))
