"""What OpenDAL does in test_opendal.py; a process of its own runs each scenario.

Its HTTP library reads http_proxy once per process, and the server must be the proxy: only
then the host name is the bucket's real one.
"""

from __future__ import annotations

import asyncio
import os
import sys

import opendal

MIB = 1 << 20


async def objects(operator: opendal.AsyncOperator) -> None:
    key = "目录/a b+c%.txt"
    await operator.write(key, b"hello")
    assert bytes(await operator.read(key)) == b"hello"
    assert bytes(await operator.read(key, offset=1, size=3)) == b"ell"
    assert (await operator.stat(key)).content_length == 5
    await operator.copy(key, "copy")
    assert bytes(await operator.read("copy")) == b"hello"
    assert key in [entry.path async for entry in await operator.list("目录/")]
    await operator.delete(key)
    assert not await operator.exists(key)


async def multipart(operator: opendal.AsyncOperator) -> None:
    content = os.urandom(5 * MIB + 7)
    await operator.write("big", content, chunk=MIB)
    assert bytes(await operator.read("big")) == content


async def appending(operator: opendal.AsyncOperator) -> None:
    await operator.write("log", b"one, ", append=True)
    await operator.write("log", b"two", append=True)
    assert bytes(await operator.read("log")) == b"one, two"


async def pages(operator: opendal.AsyncOperator) -> None:
    found = [entry.path async for entry in await operator.list("d/")]
    assert [path for path in found if path != "d/"] == [f"d/{n:04d}" for n in range(1500)]


async def presigned(operator: opendal.AsyncOperator) -> None:
    print((await operator.presign_read("a b", 60)).url)


async def main(scenario: str, bucket: str, secret_id: str, secret_key: str) -> None:
    operator = opendal.AsyncOperator(
        "cos",
        bucket=bucket,
        endpoint="http://cos.ap-guangzhou.myqcloud.com",
        secret_id=secret_id,
        secret_key=secret_key,
        root="/",
        disable_config_load="true",
    )
    await globals()[scenario](operator)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    sys.stdout.flush()
    # OpenDAL's threads sometimes abort the process when the interpreter is taken down.
    os._exit(0)
