"""Keys go to a cluster only when they are to, and are seen nowhere on the way."""

from __future__ import annotations

import logging
import os
from typing import Any

import pytest
from distributed import Client, LocalCluster
from distributed.security import Security

from aiocos import (
    AssumeRoleCredentials,
    CosConfig,
    Credentials,
    EnvironmentCredentials,
    ParameterError,
    TransferError,
    default_credentials,
)
from aiocos.distributed import copy_prefix, delete_keys, restore_prefix, sync
from aiocos.distributed.shipping import Recipe, check_config, check_way
from tests.conftest import BUCKET
from tests.support.dask_cluster import dask_cluster
from tests.support.trees import plant, put_all, stored, tree

TOKEN = "canary-token-4711"


def _all_that_a_scheduler_tells(dask_scheduler: object) -> str:
    """What its dashboard could show of tasks, and what it keeps of them."""
    scheduler: Any = dask_scheduler
    told = [repr(scheduler.get_logs()), repr(list(scheduler.transition_log))]
    told += [repr(scheduler.get_events()), repr(scheduler.tasks), repr(scheduler.plugins)]
    return "\n".join(told)


async def test_keys_are_seen_nowhere(client, emulator, dask, there, tmp_path, caplog):
    """Row 44: neither logs, nor names of tasks, nor the plan, nor errors show a secret."""
    caplog.set_level(logging.DEBUG)
    emulator.add_credentials("AKIDtemporary", "canary-secret-key-0815", TOKEN)
    given = {**emulator.settings(), "SecretId": "AKIDtemporary", "Token": TOKEN}
    config = CosConfig(**{**given, "SecretKey": "canary-secret-key-0815"})
    run = {**there, "config": config}
    source = plant(tmp_path / "site", ["a", "b", "c"])
    keys = tmp_path / "keys.jsonl"
    emulator.fail("PutObject", key="b", status=403, code="AccessDenied")

    with pytest.raises(TransferError) as failed:
        await sync(source, f"cos://{BUCKET}/", **run)
    source = {"Bucket": BUCKET, "Prefix": ""}
    await copy_prefix(BUCKET, "copy/", source, Manifest=keys, **run)

    async with Client(dask.address, asynchronous=True, set_as_default=False) as other:
        told = await other.run_on_scheduler(_all_that_a_scheduler_tells)
        told += repr(await other.get_worker_logs())
    told += dask.logs + keys.read_text() + caplog.text + repr(config)
    told += repr(failed.value) + str(failed.value) + repr(Recipe(config))
    assert "aiocos-sync" in told, "something was told"
    for secret in ("canary-secret-key-0815", TOKEN, "q-signature="):
        assert secret not in told


async def test_keys_stay_where_they_are_unless_they_are_to_go(client, emulator, there):
    """A configuration that holds keys is refused, with what to do instead; nothing is sent."""
    await put_all(client, ["a"])

    with pytest.raises(ParameterError, match=r"default_credentials\(\).*ship_credentials=True"):
        await delete_keys(BUCKET, ["a"], **{**there, "ship_credentials": False})

    assert await stored(client) == ["a"]


async def test_each_worker_finds_its_own_keys(client, emulator, tmp_path, monkeypatch):
    """With ``default_credentials()`` nothing is shipped: workers read their own environment."""
    await put_all(client, ["a", "b"])
    settings = emulator.settings()
    own = {"SecretId": None, "SecretKey": None, "CredentialInstance": default_credentials()}
    config = CosConfig(**{**settings, **own})
    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", settings["SecretId"])
    monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", settings["SecretKey"])

    with dask_cluster(tmp_path / "dask", workers=1) as cluster:
        # What the driver found is not what the worker uses.
        await config.CredentialInstance.get_credentials()
        await delete_keys(BUCKET, ["a"], cluster=cluster.address, config=config)

    assert await stored(client) == ["b"]


@pytest.mark.parametrize(
    "provider",
    [
        AssumeRoleCredentials(Credentials("AKID1", "key"), "qcs::cam::uin/1:roleName/r"),
        EnvironmentCredentials({"COS_SECRET_ID": "AKID1", "COS_SECRET_KEY": "key"}),
    ],
)
def test_a_provider_that_holds_keys_is_one_that_ships_them(provider):
    """Keys inside a provider are keys; one that looks for them where it is holds none."""
    config = CosConfig(Region="ap-guangzhou", CredentialInstance=provider)
    with pytest.raises(ParameterError, match="holds keys"):
        check_config(config, ship_credentials=False)
    check_config(config, ship_credentials=True)

    none = config.replace(CredentialInstance=default_credentials())
    check_config(none, ship_credentials=False)


async def test_a_used_chain_holds_no_keys(monkeypatch):
    """A chain that has found keys in the environment leaves them here, a role's included."""
    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", "AKID1")
    monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", "canary-secret-key-0815")
    chain = default_credentials()
    await chain.get_credentials()
    monkeypatch.setenv("TENCENTCLOUD_ROLE_ARN", "qcs::cam::uin/1:roleName/r")
    monkeypatch.setenv("TENCENTCLOUD_ROLE_SESSION_NAME", "nightly")
    source = EnvironmentCredentials(endpoint="http://127.0.0.1:1")
    source._wanted_role(Credentials("AKID1", "canary-secret-key-0815"), os.environ)

    for provider in (chain, source):
        config = CosConfig(Region="ap-guangzhou", CredentialInstance=provider)
        check_config(config, ship_credentials=False)


@pytest.mark.parametrize(
    ("address", "is_safe"),
    [
        ("tls://10.0.0.1:8786", True),
        ("tcp://127.0.0.1:8786", True),
        ("tcp://localhost:8786", True),
        ("tcp://[::1]:8786", True),
        ("inproc://10.0.0.1/1/1", True),
        ("tcp://10.0.0.1:8786", False),
        ("10.0.0.1:8786", False),
        ("tcp://127.0.0.1.example.com:8786", False),
        ("ws://10.0.0.1:8786", False),
    ],
)
def test_keys_do_not_go_in_the_open(address, is_safe):
    """Keys are shipped over TLS, or not off this machine."""
    config = CosConfig(Region="ap-guangzhou", SecretId="AKID1", SecretKey="key")
    check_way(address, config, ship_credentials=False)
    if is_safe:
        check_way(address, config, ship_credentials=True)
        return
    with pytest.raises(ParameterError, match="in the open: use a tls:// address"):
        check_way(address, config, ship_credentials=True)


def test_a_server_inside_the_process_is_refused(tmp_path):
    """``CosConfig.local`` cannot be reached by a worker."""
    with pytest.raises(ParameterError, match="no worker reaches"):
        check_config(CosConfig.local(tmp_path), ship_credentials=True)


async def test_a_cluster_behind_tls(client, emulator, there, tmp_path):
    """A ``tls://`` cluster does all the same, given its certificates or the cluster itself."""
    source = plant(tmp_path / "site", ["a", "b"])
    await client.put_object(BUCKET, b"old", "old", StorageClass="ARCHIVE")
    await put_all(client, ["site/gone"])
    security = Security.temporary()
    async with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tls://",
        security=security,
        dashboard_address="127.0.0.1:0",
        asynchronous=True,
    ) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tls://")
        given = {**there, "cluster": address, "security": security}
        synced = await sync(source, f"cos://{BUCKET}/site", Delete=True, **given)
        assert (synced["Uploaded"], synced["Deleted"]) == (2, 1)

        given = {**there, "cluster": cluster}
        await copy_prefix(BUCKET, "copy", {"Bucket": BUCKET, "Prefix": "site"}, **given)
        await restore_prefix(BUCKET, "old", {"Days": 1}, **given)
        await delete_keys(BUCKET, ["site/a", "site/b"], **given)
        await sync(f"cos://{BUCKET}/copy", tmp_path / "down", **given)

    assert await stored(client) == ["copy/a", "copy/b", "old"]
    assert tree(tmp_path / "down") == {"a": b"a", "b": b"b"}
