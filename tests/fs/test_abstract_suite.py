"""fsspec's own tests of what every filesystem must do."""

from __future__ import annotations

import pytest
from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)


class CosFixtures(AbstractFixtures):
    @pytest.fixture
    def fs(self, shared_fs):
        return shared_fs

    @pytest.fixture
    def fs_path(self, bucket):
        return bucket

    @pytest.fixture
    def fs_join(self):
        return lambda *names: "/".join(map(str, names))

    @pytest.fixture
    def supports_empty_directories(self):
        """A directory is what keys begin with: one that holds nothing is not there."""
        return False


class TestCosGet(CosFixtures, AbstractGetTests):
    """Downloads of files, trees and patterns."""


class TestCosPut(CosFixtures, AbstractPutTests):
    """Uploads of files, trees and patterns."""


class TestCosCopy(CosFixtures, AbstractCopyTests):
    """Copies inside COS of files, trees and patterns."""


class TestCosPipe(CosFixtures, AbstractPipeTests):
    """Bytes that must not replace anything."""


class TestCosOpen(CosFixtures, AbstractOpenTests):
    """Files that must not replace anything."""
