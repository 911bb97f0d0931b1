"""Rows of the table ``packing`` made from the passages of a store: where an index lacks them, and to check them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ragyena.documents.packing_rows import PackingRow, is_plausible, packing_rows
from ragyena.documents.tokenizer import Tokenizer
from ragyena.index.store import Store
from ragyena.types import Passage, Progress

__all__ = ["fill_packing", "remove_packing", "wrong_packing"]

COMMIT_PASSAGES = 2_000
"""Passages between two commits: a process that dies loses the work on about so many."""

WHOLE = "token_ids NOT NULL AND offsets NOT NULL AND header_ids NOT NULL AND signature NOT NULL"


def _rows_of(passages: Sequence[Passage], tokenizer: Tokenizer) -> list[PackingRow]:
    """The rows that packing needs of passages, made anew."""
    return packing_rows(passages, tokenizer.encode_batch([passage.text for passage in passages]), tokenizer)


def _without_packing(store: Store, tokenizer_id: int) -> list[int]:
    """Ids of the documents that have a passage without a whole row of this tokenizer."""
    rows = store.rows(
        "SELECT DISTINCT p.document_id FROM passages p"
        f" LEFT JOIN packing k ON k.passage_id = p.passage_id AND k.tokenizer_id = ? AND {WHOLE}"
        " WHERE k.passage_id IS NULL ORDER BY p.document_id",
        (tokenizer_id,),
        types=(int,),
    )
    return [document_id for (document_id,) in rows]


def fill_packing(store: Store, tokenizer: Tokenizer, progress: Progress) -> int:
    """Make the rows that passages lack; returns of how many passages. Interrupted, it goes on where it was.

    Raises IndexCorruptError, IndexLockedError and StorageError.
    """
    with store.transaction():
        tokenizer_id = store.tokenizer_id(tokenizer.fingerprint)
    whole = f"SELECT passage_id FROM (SELECT passage_id FROM packing WHERE tokenizer_id = {tokenizer_id:d} AND {WHOLE})"
    documents = _without_packing(store, tokenizer_id)
    if documents:
        progress.start("keeping tokens of passages", len(documents), "documents")
    filled = first = 0
    while first < len(documents):
        done = 0
        with store.transaction():
            while first < len(documents) and done < COMMIT_PASSAGES:
                passages = store.passages_of(documents[first])
                held = {i for (i,) in store.select(whole, [p.passage_id for p in passages], types=(int,))}
                passages = [passage for passage in passages if passage.passage_id not in held]
                for passage, row in zip(passages, _rows_of(passages, tokenizer), strict=True):
                    store.put_packing(passage.passage_id, tokenizer_id, row)
                done += len(passages)
                first += 1
                progress.advance(1)
        filled += done
    return filled


def wrong_packing(store: Store, fingerprint: str, tokenizer: Tokenizer | None, progress: Progress) -> list[int]:
    """Ids under which there is a row that is not that of the passage of this id.

    Without ``tokenizer``, that of the index, signatures are compared, and the rest is checked for what it could be.
    """
    columns = (
        "SELECT passage_id, fingerprint, token_ids, offsets, header_ids, signature"
        " FROM packing JOIN tokenizers USING (tokenizer_id)"
    )
    wrong = store.rows(
        "SELECT passage_id FROM packing WHERE passage_id NOT IN (SELECT passage_id FROM passages)"
        " OR tokenizer_id NOT IN (SELECT tokenizer_id FROM tokenizers)",
        types=(int,),
    )
    ids = [passage_id for (passage_id,) in wrong]
    for (document_id,) in store.rows("SELECT document_id FROM documents ORDER BY document_id", types=(int,)):
        passages = store.passages_of(document_id)
        rows = store.select(columns, [passage.passage_id for passage in passages], types=(int, str, *(object,) * 4))
        held: dict[int, list[Any]] = {
            passage_id: blobs for passage_id, name, *blobs in rows if name == fingerprint and None not in blobs
        }
        kept = [passage for passage in passages if passage.passage_id in held]
        if tokenizer is not None:
            ids += [p.passage_id for p, row in zip(kept, _rows_of(kept, tokenizer)) if held[p.passage_id] != [*row]]
        else:
            ids += [p.passage_id for p in kept if not is_plausible(PackingRow(*held[p.passage_id]), p)]
        progress.advance(1)
    return ids


def remove_packing(store: Store, passage_ids: Sequence[int]) -> None:
    """Delete the rows of these ids; a transaction must be open."""
    for passage_id in passage_ids:
        store.execute("DELETE FROM packing WHERE passage_id = ?", (passage_id,))
