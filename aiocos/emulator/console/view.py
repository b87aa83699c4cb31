"""What a page is made from.

In: a request for a page, its parameters. Out: values, as the page asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Concatenate, NamedTuple, ParamSpec, TypeVar

from ..database import Job
from ..errors import CosError
from ..records import Bucket
from ..wire import Services

if TYPE_CHECKING:
    from ..server import CosEmulator

P = ParamSpec("P")
T = TypeVar("T")


class View(NamedTuple):
    """A server, and what of it is to be shown."""

    server: CosEmulator
    services: Services
    params: Mapping[str, str]

    def param(self, name: str) -> str:
        return self.params.get(name, "")

    def bucket(self) -> Bucket:
        """The bucket that is asked for."""
        found = self.services.buckets.get(self.param("bucket"))
        if found is None:
            raise CosError("NoSuchBucket")
        return found

    async def run(
        self, job: Callable[Concatenate[Job, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self.services.database.run(job, *args, **kwargs)
