"""Tokens and signature of a passage as an index keeps them, so that packing a context tokenizes nothing.

A row holds four blobs, little endian; ``indexes/README.md`` describes them:

    token_ids   n ids, of two bytes each where the vocabulary fits, else of four; without tokens that are markup alone
    offsets     n codes of a byte: gap to the token before (3 bits) and length (5 bits) in characters. 255 stands for
                others: their gap and length follow the codes, in order, as two four-byte integers each
    header_ids  ids of the title and the headings, at most ``MOST_HEADER``
    signature   the number of different word shingles (two bytes), then ``near_duplicates.BITS`` bits made of them
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ragyena.documents.near_duplicates import BITS, bitmap, shingles_of
from ragyena.documents.tokenizer import Encoding, Tokenizer
from ragyena.types import Passage

__all__ = [
    "MOST_HEADER",
    "SIGNATURE_BYTES",
    "PackingColumns",
    "PackingRow",
    "PackingRows",
    "TokenTable",
    "id_bytes",
    "is_plausible",
    "packing_rows",
    "read_signatures",
    "without_markup",
]

MOST_HEADER = 64
"""Header tokens that are kept: a context takes no more (setting ``packer.header_tokens``)."""
SIGNATURE_BYTES = 2 + BITS // 8
_MARKUP = frozenset("*_#|")  # of Markdown and its like: emphasis, headings, tables
_OTHER = 255  # the code of an offset that fits no byte
_MOST_GAP, _MOST_LENGTH = 7, 31
_MOST_SHINGLES = 2**16 - 1
_LARGEST_OFFSET = 2**31 - 1

IntArray = npt.NDArray[np.int32]


class PackingRow(NamedTuple):
    """The blobs of one passage."""

    token_ids: bytes
    offsets: bytes
    header_ids: bytes
    signature: bytes


class PackingColumns(NamedTuple):
    """The blobs of several passages but for their signatures, a column each."""

    token_ids: Sequence[Any]
    offsets: Sequence[Any]
    header_ids: Sequence[Any]


@dataclass(frozen=True, slots=True)
class PackingRows:
    """The rows of a document's passages."""

    fingerprint: str
    """Fingerprint of the tokenizer."""
    rows: Sequence[PackingRow]


def id_bytes(vocab_size: int) -> int:
    """Bytes of a token id in a row."""
    return 2 if vocab_size <= 2**16 else 4


def packing_rows(passages: Sequence[Passage], encodings: Sequence[Encoding], tokenizer: Tokenizer) -> list[PackingRow]:
    """The rows of passages, of whose texts ``encodings`` are those of ``tokenizer``."""
    width = np.dtype(f"<u{id_bytes(tokenizer.vocab_size)}")
    headers = list(dict.fromkeys(passage.header for passage in passages))
    header_ids = {
        header: encoding.ids[:MOST_HEADER].astype(width).tobytes()
        for header, encoding in zip(headers, tokenizer.encode_batch(headers), strict=True)
    }
    rows = []
    for passage, encoding in zip(passages, encodings, strict=True):
        kept = without_markup(encoding, passage.text)
        ids = kept.ids.astype(width).tobytes()
        rows.append(PackingRow(ids, _offset_codes(kept), header_ids[passage.header], signature_of(passage.text)))
    return rows


def without_markup(encoding: Encoding, text: str) -> Encoding:
    """The tokens without those that are markup alone: readers are trained on prose, and each token has its offsets."""
    if not _MARKUP & set(text):
        return encoding
    words = zip(encoding.starts.tolist(), encoding.ends.tolist())
    kept = np.array([not _MARKUP.issuperset(text[start:end]) for start, end in words], np.bool_)
    if not kept.any():
        return encoding
    return Encoding(encoding.ids[kept], encoding.starts[kept], encoding.ends[kept])


def _offset_codes(encoding: Encoding) -> bytes:
    gaps = encoding.starts.copy()
    gaps[1:] -= encoding.ends[:-1]
    lengths = encoding.ends - encoding.starts
    codes = gaps << 5 | lengths
    fits = (gaps >= 0) & (gaps <= _MOST_GAP) & (lengths >= 0) & (lengths <= _MOST_LENGTH) & (codes != _OTHER)
    others = ~fits
    codes[others] = _OTHER
    return codes.astype(np.uint8).tobytes() + np.stack([gaps[others], lengths[others]], axis=1).astype("<i4").tobytes()


def signature_of(text: str) -> bytes:
    """The signature of a passage's text."""
    shingles = shingles_of(text)
    # A count that does not fit is of no passage that an index cuts: it may hold 320 tokens.
    return struct.pack("<H", min(len(shingles), _MOST_SHINGLES)) + bitmap(shingles).tobytes()


def read_signatures(signatures: Sequence[bytes]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Counts of shingles [N] and bitmaps [N, BITS / 8] of stored signatures. Raises ValueError for one of another
    length."""
    if set(map(len, signatures)) - {SIGNATURE_BYTES}:
        raise ValueError(f"signatures are not all of {SIGNATURE_BYTES} bytes")
    rows = np.frombuffer(b"".join(signatures), np.uint8).reshape(len(signatures), SIGNATURE_BYTES)
    counts = rows[:, 0].astype(np.int64) | rows[:, 1].astype(np.int64) << 8
    return counts, np.ascontiguousarray(rows[:, 2:])


@dataclass(frozen=True, slots=True, eq=False)
class TokenTable:
    """Tokens of N passages, laid end to end."""

    ids: IntArray
    """[T] token ids of the texts."""
    starts: IntArray
    """[T] char offset in its passage at which each token starts."""
    ends: IntArray
    """[T] char offset at which each ends, exclusive."""
    lengths: npt.NDArray[np.int64]
    """[N] tokens of each text."""
    header_ids: IntArray
    """[H] token ids of the headers."""
    header_lengths: npt.NDArray[np.int64]
    """[N] tokens of each header."""

    @classmethod
    def of(cls, texts: Sequence[Encoding], headers: Sequence[IntArray]) -> TokenTable:
        """The table of passages that were tokenized now."""
        none = np.empty(0, np.int32)
        return cls(
            np.concatenate([none, *(text.ids for text in texts)]),
            np.concatenate([none, *(text.starts for text in texts)]),
            np.concatenate([none, *(text.ends for text in texts)]),
            np.array([len(text) for text in texts], np.int64),
            np.concatenate([none, *headers]),
            np.array([len(header) for header in headers], np.int64),
        )

    @classmethod
    def stored(cls, columns: PackingColumns, chars: npt.NDArray[np.int64], vocab_size: int) -> TokenTable:
        """The table of stored passages, each of as many characters as ``chars`` [N] says.

        Raises ValueError where ids, or offsets, cannot be those of such a vocabulary and such passages.
        """
        ids, lengths = _ids(columns.token_ids, vocab_size)
        header_ids, header_lengths = _ids(columns.header_ids, vocab_size)
        if header_lengths.max(initial=0) > MOST_HEADER:
            raise ValueError(f"headers of more than {MOST_HEADER} tokens")
        starts, ends = _offsets(columns.offsets, lengths, chars)
        return cls(ids, starts, ends, lengths, header_ids, header_lengths)


def is_plausible(row: PackingRow, passage: Passage) -> bool:
    """True for a row that may be that of a passage, whatever the tokenizer."""
    if not all(isinstance(blob, bytes) for blob in row) or row.signature != signature_of(passage.text):
        return False
    for vocab_size in (2**16, 2**32):
        try:
            TokenTable.stored(PackingColumns(*([blob] for blob in row[:3])), np.array([len(passage.text)]), vocab_size)
            return True
        except ValueError:
            continue
    return False


def _ids(blobs: Sequence[bytes], vocab_size: int) -> tuple[IntArray, npt.NDArray[np.int64]]:
    width = id_bytes(vocab_size)
    sizes = np.fromiter(map(len, blobs), np.int64, len(blobs))
    if (sizes % width).any():
        raise ValueError(f"token ids are not of {width} bytes each")
    ids = np.frombuffer(b"".join(blobs), f"<u{width}")
    if ids.max(initial=0) >= vocab_size:
        raise ValueError(f"a token id beyond a vocabulary of {vocab_size}")
    return ids.astype(np.int32), sizes // width


def _offsets(
    blobs: Sequence[bytes], lengths: npt.NDArray[np.int64], chars: npt.NDArray[np.int64]
) -> tuple[IntArray, IntArray]:
    """Starts and ends of all tokens in their passages."""
    sizes = np.fromiter(map(len, blobs), np.int64, len(blobs))
    if (sizes < lengths).any():
        raise ValueError("passages with fewer offsets than tokens")
    if (sizes > lengths).any():
        codes = np.frombuffer(b"".join(blob[:n] for blob, n in zip(blobs, lengths.tolist())), np.uint8)
        tails = np.frombuffer(b"".join(blob[n:] for blob, n in zip(blobs, lengths.tolist())), np.uint8)
    else:
        codes, tails = np.frombuffer(b"".join(blobs), np.uint8), np.empty(0, np.uint8)
    first = np.cumsum(lengths) - lengths
    other = codes == _OTHER
    counted = np.concatenate([[0], np.cumsum(other)])
    if not np.array_equal(8 * (counted[first + lengths] - counted[first]), sizes - lengths):
        raise ValueError("passages with more or fewer offsets than tokens")
    gaps, spans = (codes >> 5).astype(np.int64), (codes & 31).astype(np.int64)
    if len(tails):
        pairs = tails.view("<i4").reshape(-1, 2)
        gaps[other], spans[other] = pairs[:, 0], pairs[:, 1]
    total = np.cumsum(gaps + spans)
    before = np.concatenate([[0], total])[first]
    ends = total - np.repeat(before, lengths)
    starts = ends - spans
    limit = np.repeat(np.minimum(chars, _LARGEST_OFFSET), lengths)
    if ((starts < 0) | (spans < 0) | (ends > limit)).any():
        raise ValueError("tokens outside their passage")
    return starts.astype(np.int32), ends.astype(np.int32)
