"""Tables in COS, by address: written by pandas, queried by PyArrow, copied and listed.

    pip install "aiocos[fs]" pandas pyarrow
    python examples/pandas_tables.py

Needs no account: ``local`` runs a COS server inside this process, over a temporary directory.
For COS itself give ``{"region": "ap-guangzhou"}``; keys come from where Tencent's tools keep
them, or as ``secret_id`` and ``secret_key``.
"""

import tempfile

import fsspec
import pandas as pd
import pyarrow.dataset as ds

from aiocos.fs import CosFileSystem

BUCKET = "cos://examplebucket-1250000000"


def main(directory: str) -> None:
    options = {"local": directory}
    orders = pd.DataFrame({"city": ["Shenzhen", "Chengdu", "Shenzhen"], "amount": [30, 20, 12]})

    orders.to_parquet(f"{BUCKET}/orders/day=1/a.parquet", storage_options=options)
    orders.tail(1).to_parquet(f"{BUCKET}/orders/day=2/a.parquet", storage_options=options)
    one = pd.read_parquet(f"{BUCKET}/orders/day=1/a.parquet", storage_options=options)
    print("pandas: ", one.to_dict("list"))

    fs: CosFileSystem = fsspec.filesystem("cos", **options)
    table = ds.dataset(f"{BUCKET[6:]}/orders", filesystem=fs, partitioning="hive")
    second = table.to_table(filter=ds.field("day") == 2)
    print("pyarrow:", second.column("amount").to_pylist())

    with fs.transaction, fs.open(f"{BUCKET}/notes.txt", "w") as notes:
        notes.write("both or neither\n")
    fs.mv(f"{BUCKET}/notes.txt", f"{BUCKET}/archive/notes.txt")
    print("files:  ", [path.partition("/")[2] for path in fs.find(BUCKET)])


if __name__ == "__main__":
    # Where the package is installed, fsspec finds it by itself; this works from a checkout, too.
    fsspec.register_implementation("cos", CosFileSystem, clobber=True)
    with tempfile.TemporaryDirectory() as directory:
        main(directory)
