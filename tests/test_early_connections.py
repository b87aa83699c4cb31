"""A transfer spends no round trip that it need not."""

from __future__ import annotations

import asyncio

import pytest

from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.parts import MIB, content, small_parts


@pytest.fixture
def mover(make_client, tmp_path):
    return make_client(transfers=small_parts(tmp_path))


async def test_connections_are_there_when_the_upload_has_begun(mover, emulator, tmp_path):
    """While the upload is begun, the parts are connected for, no more than travel at once.

    Beginning takes one of the connections where they are there sooner.
    """
    (tmp_path / "source").write_bytes(content(4 * MIB))
    emulator.add_fault(FaultRule(operation="CreateMultipartUpload", delay_s=0.4))

    upload = asyncio.ensure_future(mover.upload_file(BUCKET, "k", tmp_path / "source", MAXThread=3))
    await asyncio.sleep(0.3)
    idle = sum(map(len, mover._session.transport()._pool._conns.values()))
    await upload

    assert 1 <= idle <= 2
    assert emulator.count("UploadPart") == 4
    assert_nothing_left(mover, tmp_path)
