"""What aiocos brings along is listed, licensed, and of no version that is known to be unsafe."""

from __future__ import annotations

from importlib import metadata

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


def test_what_the_extras_bring_is_looked_at_too():
    """Packages of the extras, and what those need, are known; those of the core are no part."""
    others = audit.of_extras()
    assert {"rich", "fsspec", "pygments"} <= others
    assert not others & {"aiohttp", "aiocos"}


def test_a_changed_file_is_noticed(monkeypatch, tmp_path):
    """A file of a package that is not as in its wheel is told, by name."""
    (file,) = [one for one in metadata.files("rich") if str(one) == "rich/__init__.py"]
    changed = tmp_path / "changed.py"
    changed.write_bytes(file.read_binary() + b"#")
    monkeypatch.setattr(type(file), "locate", lambda self: changed)
    assert any("rich/__init__.py is not the file" in told for told in audit.wrong_files("rich"))


def test_a_word_that_is_not_known_is_refused(capsys):
    """A mistyped option does not pass as an audit."""
    with pytest.raises(SystemExit) as caught:
        audit.main(["--onlin", "x"])
    assert caught.value.code == 2
