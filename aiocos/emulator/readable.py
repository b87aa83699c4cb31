"""What lets a person read the data directory without the server.

In: the directory and its database. Out: a README beside the data, and two views of the
database: ``objects``, one row for each object and version, and ``pieces``, one for each
file that holds a piece of its content.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

README = "README.txt"
TEXT = """\
This directory belongs to a local COS server (aiocos emulator).

  metadata.sqlite   what is stored: buckets, objects, versions, uploads, settings
  blobs/            the content, in files that are named at random, never by key
  incoming/         what is just being written; what a crash left here goes at the next start
  credentials.json  the key pair of the server; keep it to yourself
  tls/              its certificate (ca.pem is what a client trusts), if it speaks https

To list and to copy what is stored, no server needs to run:

  aiocos ls --local .
  aiocos ls --local . -r cos://BUCKET
  aiocos cp --local . -r cos://BUCKET/ some-folder/

Without aiocos, while no server is running, what is stored (without "WHERE": all versions):

  sqlite3 metadata.sqlite "SELECT bucket, key, size, modified FROM objects
    WHERE latest AND NOT deleted"

and the files that hold the content of an object, in order. "start" and "length" say which
bytes of a file belong to it; mostly that is one file, and all of it:

  sqlite3 metadata.sqlite "SELECT file, start, length FROM pieces
    WHERE latest AND bucket = 'BUCKET' AND key = 'KEY' ORDER BY number"

Change nothing here by hand. A directory that is not in use may be copied or deleted as a whole.
"""

_VIEWS = """
DROP VIEW IF EXISTS objects;
DROP VIEW IF EXISTS pieces;
CREATE VIEW objects AS
    SELECT bucket, CAST(key AS TEXT) AS key, version, latest, marker AS deleted, size, etag,
        datetime(modified, 'unixepoch') AS modified,
        json_extract(attributes, '$.storage_class') AS storage_class,
        json_array_length(layout) AS pieces
    FROM versions ORDER BY versions.bucket, versions.key, row DESC;
CREATE VIEW pieces AS
    SELECT bucket, CAST(versions.key AS TEXT) AS key, version, latest, piece.key AS number,
        'blobs/' || substr(json_extract(piece.value, '$[0]'), 1, 2)
            || '/' || json_extract(piece.value, '$[0]') AS file,
        json_extract(piece.value, '$[1]') AS start,
        json_extract(piece.value, '$[2]') AS length
    FROM versions, json_each(layout) AS piece
    ORDER BY versions.bucket, versions.key, row DESC, piece.key;
"""


def explain(root: Path) -> None:
    """Write the README, unless it is there."""
    path = root / README
    if not path.exists():
        path.write_text(TEXT, encoding="utf-8")


def make_views(connection: sqlite3.Connection) -> None:
    """Put the views in place, as this version of the server has them."""
    connection.executescript(f"BEGIN; {_VIEWS} COMMIT;")
