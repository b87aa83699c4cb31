"""fsspec's names. It has no types, so here and nowhere else they become Any.

In: fsspec. Out: what is subclassed and called; and typed blocking methods made of coroutines.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

try:
    _asyn: Final[Any] = importlib.import_module("fsspec.asyn")
except ModuleNotFoundError as error:
    raise ModuleNotFoundError('aiocos.fs needs fsspec: pip install "aiocos[fs]"') from error
_spec: Final[Any] = importlib.import_module("fsspec.spec")
_callbacks: Final[Any] = importlib.import_module("fsspec.callbacks")

AsyncFileSystem: Any = _asyn.AsyncFileSystem
AbstractAsyncStreamedFile: Any = _asyn.AbstractAsyncStreamedFile
AbstractBufferedFile: Any = _spec.AbstractBufferedFile
FileSystemKind: Any = type(_spec.AbstractFileSystem)
apply_config: Final[Any] = importlib.import_module("fsspec.config").apply_config
NoOpCallback: Any = _callbacks.NoOpCallback
DEFAULT_CALLBACK: Final[Any] = _callbacks.DEFAULT_CALLBACK
compressors: Final[Any] = importlib.import_module("fsspec.compression").compr
get_compression: Final[Any] = importlib.import_module("fsspec.core").get_compression
get_loop: Final[Any] = _asyn.get_loop
sync: Final[Any] = _asyn.sync


def blocking(method: Callable[P, Awaitable[R]]) -> Callable[P, R]:
    """Return a method that waits for a coroutine method of the same object.

    It runs in the filesystem's loop, so never call it from there. A subclass that overrides the
    coroutine overrides both.
    """

    @functools.wraps(method)
    def wait(*args: P.args, **kwargs: P.kwargs) -> R:
        fs: Any = args[0]
        result: R = sync(fs.loop, getattr(fs, method.__name__), *args[1:], **kwargs)
        return result

    return wait
