"""Keys that come from a request's path.

In: a key as a browser gave it. Out: whether there can be an object of that name.
"""

from __future__ import annotations

from aiocos.encoding.urls import key_path, simplifies_to_nothing
from aiocos.errors import ParameterError


def can_be_a_key(key: str) -> bool:
    """Whether COS could store it, and no proxy on the way would take it for the bucket."""
    try:
        return not simplifies_to_nothing(key_path(key))
    except ParameterError:
        return False
