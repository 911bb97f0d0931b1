"""A SQLite file of an index: opening it, its schema, transactions, and reading with every value checked.

The file may have been changed by anything. It is used only where its tables are those of an index; what comes out of
it is checked for its type; and no statement takes more steps than one on a sound file of that size could.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from ragyena.errors import IndexCorruptError, IndexFormatError
from ragyena.index.encoding import Types, check_types
from ragyena.index.schema import SCHEMA, Schema, schema_problem
from ragyena.index.storage import REBUILD, UPGRADE, connect, storage_errors

__all__ = ["Database"]

STEPS = 100_000
"""Steps of SQLite's machine between two looks at how many a statement may still take."""
STEPS_LEAST = 100_000_000
STEPS_PER_BYTE = 64

Item = TypeVar("Item")


class Database:
    """One connection to a store. Not shared between threads that write; reading threads take turns."""

    def __init__(self, path: Path, *, writable: bool = False, create: bool = False, schema: Schema = SCHEMA) -> None:
        """Open a file, or ``create`` one; it must be of this ``schema``.

        Raises IndexCorruptError (missing, damaged, other tables than those of an index), IndexFormatError (another
        schema version) and StorageError.
        """
        self.path = path
        if not create and not path.is_file():
            raise IndexCorruptError(f"{path} is missing", hint=REBUILD)
        with storage_errors(path):
            self._db = connect(path, writable=writable or create)
        try:
            with storage_errors(path):
                self._bound()
            (version,) = self.row("PRAGMA user_version", types=(int,))
            if version == 0 and create and not self.rows("SELECT 1 FROM sqlite_master", types=(int,)):
                with storage_errors(path):
                    self._db.executescript(f"BEGIN; {schema.sql} PRAGMA user_version = {schema.version}; COMMIT;")
                version = schema.version
            self._check(version, schema)
        except BaseException:
            self._db.close()
            raise

    def _check(self, version: int, schema: Schema) -> None:
        if version != schema.version:
            raise IndexFormatError(
                f"{self.path} has schema version {version}, this ragyena reads version {schema.version}",
                hint=UPGRADE if 0 < version < schema.version else REBUILD,
            )
        with storage_errors(self.path):
            problem = schema_problem(self._db, schema)
        if problem is not None:
            raise self.damage(problem)

    def close(self) -> None:
        """Close the connection; a writable one first moves its log into the main file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything inside together or, whatever is raised, nothing."""
        with storage_errors(self.path):
            self._bound()
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read everything inside from one state of the store."""
        with storage_errors(self.path):
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement that writes, for the modules of this package. Errors of SQLite are raised as ragyena's."""
        with storage_errors(self.path):
            self._limit()
            return self._db.execute(statement, parameters)

    def execute_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement that writes for each of many rows, as ``execute`` runs it for one."""
        with storage_errors(self.path):
            self._limit()
            self._db.executemany(statement, rows)

    def rows(self, statement: str, parameters: Sequence[Any] = (), *, types: Types) -> list[tuple[Any, ...]]:
        """The rows of one SELECT, for the modules of this package: ``types`` has the type of each of its values, or the
        types it may have.

        Raises IndexCorruptError where a value is of another type, and errors of SQLite as ragyena's.
        """
        with storage_errors(self.path):
            self._limit()
            rows = self._db.execute(statement, parameters).fetchall()
        try:
            check_types(rows, types)
        except ValueError as error:
            raise self.damage(str(error)) from error
        return rows

    def row(self, statement: str, parameters: Sequence[Any] = (), *, types: Types) -> tuple[Any, ...]:
        """The one row of a SELECT that always has one."""
        (row,) = self.rows(statement, parameters, types=types)
        return row

    def parts(self, table: str, column: str, places: Sequence[tuple[int, int, int]]) -> list[bytes]:
        """Bytes of values of one column, of which no more is read: at each place of (row id, start, end), in order.

        Raises IndexCorruptError where there is no such value, or it is shorter.
        """
        read: list[bytes] = []
        with storage_errors(self.path):
            for row_id, some in itertools.groupby(places, key=itemgetter(0)):
                with self._db.blobopen(table, column, row_id, readonly=True) as value:
                    size = len(value)
                    for _, start, end in some:
                        if not 0 <= start <= end <= size:
                            raise self.damage(f"bytes {start} to {end} of {column} {row_id}, which has {size}")
                        value.seek(start)
                        read.append(value.read(end - start))
        return read

    def version(self) -> tuple[int, int]:
        """A value that another follows once anything is written, by this connection or another; inside of a snapshot it
        stays."""
        (version,) = self.row("PRAGMA data_version", types=(int,))
        return version, self._db.total_changes

    def decoded(self, read: Callable[[tuple[Any, ...]], Item], rows: Iterable[tuple[Any, ...]]) -> list[Item]:
        """Apply ``read`` to each row. Raises IndexCorruptError where it raises ValueError."""
        try:
            return [read(row) for row in rows]
        except ValueError as error:
            raise self.damage(str(error)) from error

    def damage(self, problem: str) -> IndexCorruptError:
        """The error that says what is wrong with the file."""
        return IndexCorruptError(f"{self.path} is damaged: {problem}", hint=REBUILD)

    def _bound(self) -> None:
        """Let a statement take no more steps than one on a sound store of this size may need."""
        (pages,), (size,) = (self._db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
        self._looks = (STEPS_LEAST + STEPS_PER_BYTE * pages * size) // STEPS

    def _limit(self) -> None:
        # The method of an iterator, which no signal can interrupt as it would a function of Python: it ends the
        # statement where it has no more items.
        self._db.set_progress_handler(itertools.repeat(0, self._looks).__next__, STEPS)
