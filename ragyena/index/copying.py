"""Documents from one store into another, row by row: nothing is read, embedded or tokenized again.

Whatever columns a table has are copied as they stand; the full text indexes alone are written anew, since SQLite keeps
no words of a passage to copy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from ragyena.errors import UsageError
from ragyena.index.store import Source, Store

__all__ = ["Copier", "SourceRecords"]

ANY = int | float | str | bytes | None
OF_PASSAGES = ("embeddings", "packing")
"""Tables with a row for a passage."""


class Copier:
    """Copies documents of one store into another, inside the transactions of the caller."""

    def __init__(self, source: Store, target: Store) -> None:
        self._source, self._target = source, target
        self._columns = {table: _columns(source, table) for table in ("documents", "passages", *OF_PASSAGES)}
        self._tokenizers: dict[int, int] = {}

    def document(self, document_id: int, new_id: int | None, passage_ids: Mapping[int, int] | None) -> int:
        """Copy a document, its passages, their vectors and token ids, but not its origins; returns its new id.

        ``new_id`` and ``passage_ids``, by the ids they have, are the new ids; None for the next ones that are free.
        """
        new_id = self._insert("documents", "document_id", new_id, self._row("documents", "document_id", document_id))
        for passage in self._source.passages_of(document_id):
            held = passage.passage_id
            row = self._row("passages", "passage_id", held) | {"document_id": new_id}
            passage_id = self._insert("passages", "passage_id", None if passage_ids is None else passage_ids[held], row)
            for table in OF_PASSAGES:
                if row := self._row(table, "passage_id", held):
                    if table == "packing":
                        row["tokenizer_id"] = self._tokenizer(row["tokenizer_id"])
                    self._insert(table, "passage_id", passage_id, row)
            self._target.write_words(passage, passage_id)
        return new_id

    def origins(self, document_id: int) -> list[tuple[str, str]]:
        """The path of the source and the origin, for each place of a document, the first place first."""
        return self._source.rows(
            "SELECT path, origin FROM origins JOIN sources USING (source_id) WHERE document_id = ? ORDER BY origin_id",
            (document_id,),
            types=(str, str),
        )

    def _row(self, table: str, key: str, value: int) -> dict[str, ANY]:
        """The columns of a row but for its key; empty where there is none."""
        columns = [name for name in self._columns[table] if name != key]
        statement = f"SELECT {', '.join(columns)} FROM {table} WHERE {key} = ?"
        rows = self._source.rows(statement, (value,), types=(ANY,) * len(columns))
        return dict(zip(columns, rows[0], strict=True)) if rows else {}

    def _insert(self, table: str, key: str, value: int | None, row: Mapping[str, ANY]) -> int:
        names = [key, *row]
        statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        row_id = self._target.execute(statement, (value, *row.values())).lastrowid
        assert row_id is not None
        return row_id

    def _tokenizer(self, held: ANY) -> int:
        """The number that the tokenizer of this number here has in the other store."""
        assert isinstance(held, int)
        if held not in self._tokenizers:
            (fingerprint,) = self._source.row(
                "SELECT fingerprint FROM tokenizers WHERE tokenizer_id = ?", (held,), types=(str,)
            )
            self._target.execute("INSERT OR IGNORE INTO tokenizers (fingerprint) VALUES (?)", (fingerprint,))
            (self._tokenizers[held],) = self._target.row(
                "SELECT tokenizer_id FROM tokenizers WHERE fingerprint = ?", (fingerprint,), types=(int,)
            )
        return self._tokenizers[held]


def _columns(store: Store, table: str) -> list[str]:
    rows = store.rows(f"PRAGMA table_info({table})", types=(ANY,) * 6)
    return [str(row[1]) for row in rows]


@dataclass(slots=True)
class _Held:
    source: Source
    of: str
    """The index it was first met in."""
    complete: bool


class SourceRecords:
    """The sources of several stores, each path once, as they are to stand in one."""

    def __init__(self, target: Store) -> None:
        self._target = target
        self._held: dict[str, _Held] = {}
        self._ids: dict[str, int] = {}

    def take(self, store: Store, *, without: Collection[str] = ()) -> None:
        """Note the sources of a store. Raises UsageError where another holds other content of the same path."""
        name = str(store.path.parent)
        for source in store.sources():
            if source.path in without:
                continue
            held = self._held.setdefault(source.path, _Held(source, name, source.complete))
            if held.source.content_hash != source.content_hash:
                raise UsageError(
                    f"{held.of} and {name} hold different contents of {source.path}",
                    hint="bring one of them up to date: ragyena index sync PATH --index INDEX",
                )
            held.complete = held.complete and source.complete

    def add_origin(self, path: str, origin: str, document_id: int) -> None:
        """Note in the target that a source holds a document."""
        self._target.execute(
            "INSERT OR IGNORE INTO origins (source_id, document_id, origin) VALUES (?, ?, ?)",
            (self._id(path), document_id, origin),
        )

    def finish(self, keep: Callable[[str], bool] = lambda path: True) -> None:
        """Mark the sources as complete that are, once all their documents are there. Of those without a document here,
        the ones stand in the target that ``keep`` names."""
        for path, held in self._held.items():
            if path in self._ids or keep(path):
                self._put(path, complete=held.complete)

    def _id(self, path: str) -> int:
        if path not in self._ids:
            self._ids[path] = self._put(path, complete=False)
        return self._ids[path]

    def _put(self, path: str, *, complete: bool) -> int:
        source = self._held[path].source
        source_id = self._target.put_source(
            path, source.content_hash, source.size, complete=complete, modified=source.modified, skipped=source.skipped
        )
        if source.missing_since is not None:
            self._target.mark_missing([source_id])
        return source_id
