"""An fsspec filesystem over COS, so that pandas, PyArrow, Zarr, DuckDB and Dask read and write it.

In: addresses such as ``cos://examplebucket-1250000000/tables/a.parquet``, with ``cos`` or
``cosn``. Out: fsspec's whole interface, sync and async. Needs the extra ``fs``; installed, it is
found by fsspec under both names.
"""

from aiocos.fs.async_files import CosAsyncFile
from aiocos.fs.files import CosFile
from aiocos.fs.filesystem import CosFileSystem
from aiocos.fs.listing import ObjectInfo, PathInfo

__all__ = ["CosAsyncFile", "CosFile", "CosFileSystem", "ObjectInfo", "PathInfo"]
