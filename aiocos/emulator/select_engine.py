"""The engine of Select: DuckDB, in memory, shut off from everything else.

In: records, and a ``Statement``. Out: rows. The connection reaches no file, network,
extension or setting, and runs nothing but one SELECT; all of that is set before the first
record goes in, and locked before a statement of a client comes.
"""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from . import select_sql
from .errors import CosError
from .select_parser import Statement, Step
from .select_records import Record

_BATCH = 2000
_ROWS = 500
_MAX_COLUMNS = 2000
_SETTINGS = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_unsigned_extensions": "false",
    "temp_directory": "",
    "memory_limit": "512MB",
    "threads": "1",
}
# Names of variables in this process are no tables.
_CLOSED = (
    "SET python_enable_replacements = false",
    "SET TimeZone = 'UTC'",
    "SET streaming_buffer_size = '64KB'",
    "SET lock_configuration = true",
)
_SCALARS = {
    "BOOLEAN": "BOOLEAN",
    "BIGINT": "BIGINT",
    "UBIGINT": "HUGEINT",
    "HUGEINT": "HUGEINT",
    "DOUBLE": "DOUBLE",
}


class Column(NamedTuple):
    """A column of the result; ``is_json``: its values are JSON already."""

    name: str
    is_json: bool


class Table(Protocol):
    """The records of an object in the engine."""

    def add(self, records: list[Record]) -> None: ...

    def select(self, statement: Statement) -> tuple[str, list[str] | None]:
        """SQL, and the names of its columns; None: each row is a whole JSON document."""
        ...


class Engine:
    """One query. Every method blocks, and is called by one thread, except ``interrupt``."""

    def __init__(self) -> None:
        try:
            self._duckdb: Any = importlib.import_module("duckdb")
        except ImportError:
            raise CosError(
                "NotImplemented",
                "Select needs DuckDB on this server: pip install 'aiocos[emulator]'.",
            ) from None
        self._connection: Any = self._duckdb.connect(":memory:", config=_SETTINGS)
        for setting in _CLOSED:
            self._connection.execute(setting)

    def interrupt(self) -> None:
        """End what is running; from any thread."""
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()

    def execute(self, sql: str, values: Sequence[object] = ()) -> Any:
        """Run one of our own statements."""
        return self._guarded(lambda: self._connection.execute(sql, values))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Start one SELECT, and return its first rows."""
        kinds = self._guarded(lambda: self._duckdb.extract_statements(sql))
        # Some versions take a PRAGMA that reads for a SELECT.
        is_select = [kind.type for kind in kinds] == [self._duckdb.StatementType.SELECT]
        if not is_select or not sql.startswith("SELECT "):
            raise CosError("UnsupportedSqlOperation", "Only one SELECT statement can be run.")
        self.execute(sql)
        return self.rows()

    def rows(self) -> list[tuple[Any, ...]]:
        """The next rows; none at the end."""
        found: list[tuple[Any, ...]] = self._guarded(lambda: self._connection.fetchmany(_ROWS))
        return found

    def json_columns(self) -> list[bool]:
        """Which columns of the running query hold JSON."""
        return [str(column[1]) == "JSON" for column in self._connection.description]

    def _guarded(self, run: Callable[[], Any]) -> Any:
        duckdb = self._duckdb
        try:
            return run()
        except duckdb.InterruptException:
            raise CosError("QueryTimeout", "The query took too long.", status=400) from None
        except (duckdb.ConversionException, duckdb.OutOfRangeException) as error:
            raise CosError("CastFailed", _first_line(error)) from None
        except duckdb.OutOfMemoryException:
            raise CosError("OverMaxMemory", "The query needs more memory than it gets.") from None
        except duckdb.BinderException as error:
            raise CosError("IncorrectSqlFunctionArgumentType", _first_line(error)) from None
        except duckdb.Error as error:
            # Behind the first rows, older versions wrap what went wrong.
            code = "CastFailed" if "Conversion Error" in str(error) else "ParseInvalidExpression"
            raise CosError(code, _first_line(error)) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]


class CsvTable:
    """Rows of fields, all of them text; it grows to the longest row."""

    def __init__(self, engine: Engine, header: str) -> None:
        self._engine = engine
        self._header = header
        self._names: list[str] = []
        self._is_first = True
        self._width = 0

    def add(self, records: list[Record]) -> None:
        rows = [record for record in records if isinstance(record, list)]
        if self._is_first and rows and self._header != "NONE":
            names = rows.pop(0)
            self._names = names if self._header == "USE" else []
            self._widen(len(names))
        self._is_first = False
        if not rows:
            return
        self._widen(max(map(len, rows)))
        # One text for all of them: a list of values takes the engine a hundred times as long.
        fields = ", ".join(f"row[{number}]" for number in range(1, self._width + 1))
        sql = (
            f"INSERT INTO object SELECT {fields} FROM "  # noqa: S608  (numbers alone)
            """(SELECT unnest(from_json(?::JSON, '[["VARCHAR"]]')) AS row)"""
        )
        self._engine.execute(sql, [json.dumps(rows, ensure_ascii=False)])

    def _widen(self, width: int) -> None:
        if width > _MAX_COLUMNS:
            raise CosError("OverMaxColumn", f"A row has more than {_MAX_COLUMNS} fields.")
        if not self._width and width:
            self._engine.execute('CREATE TABLE object ("1" VARCHAR)')
            self._width = 1
        for number in range(self._width + 1, width + 1):
            self._engine.execute(f'ALTER TABLE object ADD COLUMN "{number}" VARCHAR')
        self._width = max(self._width, width)

    def column(self, path: Sequence[Step], *, exact: bool) -> str:
        if len(path) != 1 or not isinstance(path[0], str):
            raise CosError("InvalidColumnIndex", "A CSV object has plain columns only.")
        name = path[0]
        numbers = [number for number, known in enumerate(self._names, 1) if known == name]
        if not numbers and not exact:
            folded = name.casefold()
            numbers = [n for n, known in enumerate(self._names, 1) if known.casefold() == folded]
        if len(numbers) > 1:
            raise CosError("AmbiguousFieldName", f"{name!r} names more than one column.")
        if not numbers and name.startswith("_") and name[1:].isascii() and name[1:].isdigit():
            numbers = [int(name[1:5])]
            if not 1 <= numbers[0] <= max(self._width, 1) or len(name) > 5:
                raise CosError("InvalidColumnIndex", f"The object has no column {name}.")
        if not numbers:
            raise CosError("MissingHeaders", f"The object has no column {name!r}.")
        return f'"{numbers[0]}"'

    def select(self, statement: Statement) -> tuple[str, list[str] | None]:
        self._widen(1)
        rest = select_sql.conditions(statement, self)
        if statement.items:
            listed = select_sql.columns(statement, self)
            names = [item.name for item in statement.items]
        else:
            listed = [f'"{number}"' for number in range(1, self._width + 1)]
            known = dict(enumerate(self._names, 1))
            names = [known.get(n) or f"_{n}" for n in range(1, self._width + 1)]
        return f"SELECT {', '.join(listed)} FROM object{rest}", names  # noqa: S608  (written anew)


class JsonTable:
    """JSON documents; the type of a path is what all of them have there."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shape: Any = None
        engine.execute("CREATE TABLE object (doc JSON)")

    def add(self, records: list[Record]) -> None:
        sql = """INSERT INTO object SELECT unnest(from_json(?::JSON, '["JSON"]'))"""
        self._engine.execute(sql, [f"[{','.join(map(str, records))}]"])

    def column(self, path: Sequence[Step], *, exact: bool) -> str:
        if not path:
            return "doc"
        shape: Any = self._shape
        place = "$"
        for step in path:
            if isinstance(step, int):
                shape = shape[0] if isinstance(shape, list) and shape else None
                place += f"[{step}]"
            else:
                name = _member(shape, step, exact=exact)
                if name is None or '"' in name:
                    return "NULL"
                shape = dict(shape)[name]
                place += f'."{name}"'
        place = "'" + place.replace("'", "''") + "'"
        if shape == "VARCHAR":
            return f"json_extract_string(doc, {place})"
        if isinstance(shape, str) and shape in _SCALARS:
            return f"CAST(json_extract_string(doc, {place}) AS {_SCALARS[shape]})"
        return "NULL" if shape is None else f"nullif(json_extract(doc, {place}), 'null'::JSON)"

    def select(self, statement: Statement) -> tuple[str, list[str] | None]:
        found = self._engine.execute("SELECT json_group_structure(doc) FROM object").fetchone()
        self._shape = json.loads(found[0]) if found and found[0] else {}
        rest = select_sql.conditions(statement, self)
        if not statement.items:
            return f"SELECT doc FROM object{rest}", None  # noqa: S608  (written anew)
        listed = ", ".join(select_sql.columns(statement, self))
        names = [item.name for item in statement.items]
        return f"SELECT {listed} FROM object{rest}", names  # noqa: S608  (written anew)


def _member(shape: Any, name: str, *, exact: bool) -> str | None:
    """The member of an object that a name means."""
    if not isinstance(shape, dict):
        return None
    if name in shape or exact:
        return name if name in shape else None
    found = [known for known in shape if known.casefold() == name.casefold()]
    if len(found) > 1:
        raise CosError("AmbiguousFieldName", f"{name!r} names more than one member.")
    return found[0] if found else None


def fill(table: Table, records: Iterable[Record], check: Callable[[], None]) -> None:
    """Put records into a table; ``check`` raises when the time is over."""
    iterator = iter(records)
    while batch := list(itertools.islice(iterator, _BATCH)):
        check()
        table.add(batch)
