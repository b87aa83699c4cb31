"""A disk that fails: the operating system's calls, on files whose path has a mark.

In: which call, on which files, from when on. Out: an OSError where it is due, less moved at a
time than was asked for, or an account of the calls. Our own functions are left alone.
"""

from __future__ import annotations

import os
from collections import Counter


class Disk:
    """The operating system's calls, which fail when told, on files whose path has a mark."""

    def __init__(self, monkeypatch):
        self._monkeypatch = monkeypatch
        self.calls = Counter()
        self.trace = []

    def fail(self, name, mark, error, *, nth=1, times=1000):
        """Let the n-th call on such files fail, and those after it."""
        names = (name, "preadv") if name == "pread" else (name,)

        def check():
            self.calls[name, mark] += 1
            if nth <= self.calls[name, mark] < nth + times:
                raise OSError(error, os.strerror(error))

        for each in names:
            self._wrap(each, mark, check)

    def short(self, name, mark, most):
        """Let a call on such files move so many bytes at most."""
        real = getattr(os, name)

        def cut(file, data, *rest):
            if mark in path_of(file):
                self.calls[name, mark] += 1
                data = _less(data, most)
            return real(file, data, *rest)

        self._monkeypatch.setattr(os, name, cut)

    def _wrap(self, name, mark, check):
        real = getattr(os, name)

        def wrapped(file, *args, **kwargs):
            if mark in path_of(file):
                check()
            return real(file, *args, **kwargs)

        self._monkeypatch.setattr(os, name, wrapped)

    def watch(self, folder, *names):
        """Note every call of these on what lies in the folder."""
        for name in names:
            self._monkeypatch.setattr(os, name, self._noting(name, getattr(os, name), str(folder)))

    def _noting(self, name, real, folder):
        def noting(file, *args, **kwargs):
            path = path_of(file)
            done = real(file, *args, **kwargs)
            if path.startswith(folder):
                self.trace.append((name, path.removeprefix(folder).strip("/")))
            return done

        return noting


def _less(data, most):
    """At most so many bytes of what is to be written, of room to read into, or of a number."""
    if isinstance(data, int):
        return min(data, most)
    return [memoryview(data[0])[:most]] if isinstance(data, list) else memoryview(data)[:most]


def path_of(file):
    """The path of an open file, or of what is given by name."""
    if not isinstance(file, int):
        return os.fspath(file)
    return os.readlink(f"/proc/self/fd/{file}")
