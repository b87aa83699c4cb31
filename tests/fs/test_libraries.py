"""pandas, PyArrow, Zarr and DuckDB read back what they wrote, and what another wrote."""

from __future__ import annotations

import asyncio

import pytest

ROWS = {"number": [1, 2, 3, 4], "name": ["a", "深圳", "", "d"], "part": ["x", "x", "y", "y"]}


@pytest.fixture(scope="module")
def pandas():
    return pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def pyarrow():
    pytest.importorskip("pyarrow.dataset")
    return pytest.importorskip("pyarrow")


def test_pandas_tables(fs, bucket, options, pandas, pyarrow):
    """CSV and Parquet, by address and storage options; gzip by the name; a missing file."""
    table = pandas.DataFrame(ROWS)
    where = {"storage_options": options}
    for name in ("t.csv", "t.csv.gz"):
        table.to_csv(f"cos://{bucket}/{name}", index=False, **where)
        read = pandas.read_csv(f"cosn://{bucket}/{name}", keep_default_na=False, **where)
        pandas.testing.assert_frame_equal(read, table)
    assert fs.cat_file(f"{bucket}/t.csv").decode() == (
        "number,name,part\n1,a,x\n2,深圳,x\n3,,y\n4,d,y\n"
    )
    assert fs.cat_file(f"{bucket}/t.csv.gz")[:2] == b"\x1f\x8b"
    table.to_parquet(f"cos://{bucket}/t.parquet", **where)
    read = pandas.read_parquet(f"cos://{bucket}/t.parquet", columns=["name"], **where)
    assert read["name"].tolist() == ROWS["name"]
    with pytest.raises(FileNotFoundError):
        pandas.read_csv(f"cos://{bucket}/no.csv", **where)


def test_pyarrow_datasets(fs, bucket, pyarrow):
    """A partitioned dataset through fsspec, and through PyArrow's own filesystem face."""
    import pyarrow.dataset as datasets
    from pyarrow import fs as arrow_fs
    from pyarrow import parquet

    table = pyarrow.table(ROWS)
    kinds = datasets.partitioning(pyarrow.schema([("part", pyarrow.string())]), flavor="hive")
    datasets.write_dataset(
        table, f"{bucket}/set", format="parquet", filesystem=fs, partitioning=kinds
    )
    assert {path.split("/")[2] for path in fs.find(bucket)} == {"part=x", "part=y"}
    read = datasets.dataset(f"{bucket}/set", filesystem=fs, partitioning=kinds)
    only = read.to_table(filter=datasets.field("part") == "y", columns=["number", "name"])
    assert only.to_pydict() == {"number": [3, 4], "name": ["", "d"]}

    face = arrow_fs.PyFileSystem(arrow_fs.FSSpecHandler(fs))
    parquet.write_table(table, f"{bucket}/one.parquet", filesystem=face)
    assert parquet.read_table(f"{bucket}/one.parquet", filesystem=face).to_pydict() == ROWS
    here, gone = face.get_file_info([f"{bucket}/one.parquet", f"{bucket}/no"])
    assert (here.is_file, here.size) == (True, fs.info(f"{bucket}/one.parquet")["size"])
    assert gone.type == arrow_fs.FileType.NotFound
    face.move(f"{bucket}/one.parquet", f"{bucket}/two.parquet")
    face.copy_file(f"{bucket}/two.parquet", f"{bucket}/three.parquet")
    face.delete_dir(f"{bucket}/set")
    listed = face.get_file_info(arrow_fs.FileSelector(bucket, recursive=True))
    assert {info.base_name for info in listed} == {"two.parquet", "three.parquet"}
    with face.open_output_stream(f"{bucket}/stream") as stream:
        stream.write(b"bytes")
    with face.open_input_file(f"{bucket}/stream") as file:
        assert file.read_at(3, 1) == b"yte"


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_zarr_arrays(bucket, options):
    """An array in chunks, written and read by Zarr, by address and in an event loop."""
    zarr = pytest.importorskip("zarr")
    numpy = pytest.importorskip("numpy")
    values = numpy.arange(60, dtype="i4").reshape(6, 10)
    group = zarr.open_group(f"cos://{bucket}/g", mode="w", storage_options=options)
    array = group.create_array("a", shape=(6, 10), chunks=(2, 5), dtype="i4")
    array[:] = values
    read = zarr.open_group(f"cos://{bucket}/g", mode="r", storage_options=options)["a"]
    assert (read[1:5, 3:7] == values[1:5, 3:7]).all()
    assert list(group.array_keys()) == ["a"]

    async def use_store() -> None:
        from zarr.core.buffer import default_buffer_prototype
        from zarr.storage import FsspecStore

        from aiocos.fs import CosFileSystem

        async with CosFileSystem(**options, asynchronous=True) as filesystem:
            store = FsspecStore(filesystem, path=f"{bucket}/g")
            chunk = await store.get("a/c/0/0", default_buffer_prototype())
            assert chunk is not None
            assert len(chunk) > 0
            assert await store.get("a/c/9/9", default_buffer_prototype()) is None
            names = [name async for name in store.list_prefix("a/c")]
            assert len(names) == 6
            await store.delete("a/c/0/0")
            assert not await store.exists("a/c/0/0")

    asyncio.run(use_store())
    assert (read[0, :5] == 0).all()


def test_duckdb_queries(fs, bucket):
    """DuckDB queries and writes Parquet and CSV through the filesystem."""
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        connection.register_filesystem(fs)
        connection.execute(
            f"COPY (SELECT range AS n, n % 3 AS r FROM range(1000)) TO 'cos://{bucket}/t.parquet'"
        )
        for number in range(2):
            fs.pipe_file(f"{bucket}/c/{number}.csv", b"n\n%d\n" % number)
        parquet = f"SELECT r, sum(n) FROM 'cos://{bucket}/t.parquet' GROUP BY r ORDER BY r"
        sums = [sum(range(r, 1000, 3)) for r in range(3)]
        assert connection.execute(parquet).fetchall() == list(enumerate(sums))
        csv = f"SELECT sum(n) FROM read_csv('cos://{bucket}/c/*.csv')"
        assert connection.execute(csv).fetchone() == (1,)
