"""What aiocos brings along is listed, licensed, and of no version that is known to be unsafe."""

from __future__ import annotations

import pytest

from tests import audit


def test_no_unsafe_version_is_allowed():
    """The least versions that may be installed have every advisory that is known fixed."""
    assert list(audit.wrong_lines()) == []


def test_an_unsafe_version_is_noticed(monkeypatch):
    """An advisory about a version that is allowed is told, with the version to ask for."""
    advisory = {"id": "CVE-0000-0001", "version": "99"}
    listed = audit.LIST["core"] | {"lxml": {"why": "", "licence": "", "fixed": [advisory]}}
    monkeypatch.setitem(audit.LIST, "core", listed)
    (told,) = audit.wrong_lines()
    assert "CVE-0000-0001" in told
    assert "99" in told


def test_what_is_installed_is_listed():
    """Every package that comes along is listed with its licence, and came as a wheel."""
    assert list(audit.wrong_installed()) == []


@pytest.mark.parametrize("name", ["fastcrc", "aiohttp"])
def test_files_are_those_of_the_wheel(name):
    """The files of a package are those that its wheel had, hash by hash."""
    assert list(audit.wrong_files(name)) == []
