"""Passages that nearly repeat another: Jaccard similarity of their sets of word shingles, decided exactly.

Comparing the sets of thousands of passages takes a second. A *bitmap* of each set finds the few pairs that are worth
it: every shingle flips one of ``BITS`` bits, which a hash chooses, so two bitmaps differ in at most as many bits as
there are shingles that only one of the sets has. A pair with more differences than its similarity allows is out, with
certainty; the rest is decided by the sets. Pairs with few differences have equal bits in at least one of a few more
*bands* of their bitmaps than differences are allowed: so sorting the bands finds them, and not all pairs are looked at.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["BITS", "Overlaps", "Shingles", "bitmap", "find_duplicates", "find_duplicates_by_bitmap", "shingles_of"]

BITS = 512
"""Bits of a bitmap."""
_SHINGLE = 3  # words
_WORDS = re.compile(r"\w+")
_WEAK_BELOW = 0.5
"""Thresholds below which a bitmap rules out too few pairs."""
_BANDS = (1, 2, 4, 8, 16, 32, 64)
_MOST_PAIRS = 400_000
"""Pairs with an equal band; of more, the sets are compared straight away."""
_FIRST_WORDS = 8
_ONES = np.array([number.bit_count() for number in range(2**16)], np.uint8)
_FACTORS = np.random.default_rng(0).integers(2**63, size=8, dtype=np.uint64) * np.uint64(2) + np.uint64(1)

Shingles = frozenset[tuple[str, ...]]
Duplicates = dict[int, int]
"""Position of a duplicate -> position of the first of those kept before it that it nearly repeats."""


def shingles_of(text: str) -> Shingles:
    """The word 3-grams of a text in lower case; of fewer words, these as one."""
    words = _WORDS.findall(text.lower())
    return frozenset(zip(*(words[i:] for i in range(_SHINGLE)))) or frozenset([tuple(words)])


def bitmap(shingles: Shingles) -> npt.NDArray[np.uint8]:
    """[BITS / 8] bytes."""
    hashes = {zlib.crc32("\n".join(shingle).encode("utf-8", "surrogatepass")) for shingle in shingles}
    bits = np.fromiter(hashes, np.int64, len(hashes)) % BITS
    return np.packbits(np.bincount(bits, minlength=BITS) & 1 == 1)


def find_duplicates(texts: Sequence[str], threshold: float) -> Duplicates:
    """The texts whose shingles overlap by ``threshold`` or more with those of one kept before, by comparing sets.

    Over 1, no two are alike enough.
    """
    duplicates: Duplicates = {}
    if threshold > 1:
        return duplicates
    kept: dict[int, int] = {}  # position -> its number of shingles
    holders: dict[tuple[str, ...], list[int]] = {}  # shingle -> positions kept: only these pairs are compared
    for position, text in enumerate(texts):
        shingles = shingles_of(text)
        overlap = Counter(other for shingle in shingles for other in holders.get(shingle, ()))
        alike = [
            other for other, shared in overlap.items() if shared / (len(shingles) + kept[other] - shared) >= threshold
        ]
        if alike:
            duplicates[position] = min(alike)
            continue
        for shingle in shingles:
            holders.setdefault(shingle, []).append(position)
        kept[position] = len(shingles)
    return duplicates


class Overlaps:
    """Texts that later ones may repeat, whole or in part: the smaller of two texts need only be inside the other."""

    def __init__(self, texts: Iterable[str], threshold: float) -> None:
        """``threshold``: the fraction of the smaller text's shingles from which on two texts overlap."""
        self.threshold = threshold
        self._sizes: list[int] = []
        self._holders: dict[tuple[str, ...], list[int]] = {}
        for position, text in enumerate(texts):
            shingles = shingles_of(text)
            self._sizes.append(len(shingles))
            for shingle in shingles:
                self._holders.setdefault(shingle, []).append(position)

    def __contains__(self, text: str) -> bool:
        """True where ``text`` overlaps with one of the texts."""
        shingles = shingles_of(text)
        shared = Counter(other for shingle in shingles for other in self._holders.get(shingle, ()))
        return any(count >= self.threshold * min(len(shingles), self._sizes[other]) for other, count in shared.items())


def find_duplicates_by_bitmap(
    counts: npt.NDArray[np.int64],
    bitmaps: npt.NDArray[np.uint8],
    text_of: Callable[[int], str],
    threshold: float,
) -> Duplicates:
    """As ``find_duplicates`` finds them, from numbers of shingles [N] and bitmaps [N, BITS / 8].

    ``text_of`` gives a text by its position; it is called for those of a few pairs.
    """
    if threshold > 1:
        return {}
    pairs = None if threshold < _WEAK_BELOW else _similar(counts, bitmaps, threshold)
    if pairs is None:
        return find_duplicates([text_of(i) for i in range(len(counts))], threshold)
    known: dict[int, Shingles] = {}

    def shingles(position: int) -> Shingles:
        if position not in known:
            known[position] = shingles_of(text_of(position))
        return known[position]

    duplicates: Duplicates = {}
    for later, earlier in pairs.tolist():  # by the later, then by the earlier
        if later not in duplicates and earlier not in duplicates:
            ours, theirs = shingles(later), shingles(earlier)
            shared = len(ours & theirs)
            if shared and shared / (len(ours) + len(theirs) - shared) >= threshold:
                duplicates[later] = earlier
    return duplicates


def _similar(
    counts: npt.NDArray[np.int64], bitmaps: npt.NDArray[np.uint8], threshold: float
) -> npt.NDArray[np.int64] | None:
    """[K, 2] pairs (later, earlier) that bitmaps do not rule out, in order; None where these are too many to list."""
    share = (1 - threshold) / (1 + threshold)
    found = []
    for bands in _BANDS:
        # A pair with up to `bands - 1` differences has an equal band; each pair is looked for at the least such number.
        fewest = _allowed(share, counts * (1 + threshold)) + 1
        most = _allowed(share, counts * (1 + 1 / threshold)) + 1
        eligible = np.flatnonzero((fewest <= bands) & (most > bands // 2))
        pairs = _with_equal_band(eligible, bitmaps[eligible], bands)
        if pairs is None:
            return None
        found.append(pairs)
    if len(rest := np.flatnonzero(_allowed(share, counts * (1 + 1 / threshold)) >= _BANDS[-1])):
        if len(rest) * len(rest) > _MOST_PAIRS:
            return None
        found.append(_all_pairs(rest))
    keys = np.concatenate(found)
    words = bitmaps.view(np.uint16)
    for some in (words[:, :_FIRST_WORDS], words):  # nearly all pairs differ too much in the first words already
        later, earlier = keys >> 32, keys & 0xFFFFFFFF
        differences = _ONES[some[later] ^ some[earlier]].sum(axis=1, dtype=np.int64)
        keys = np.unique(keys[differences <= _allowed(share, (counts[later] + counts[earlier]) * 1.0)])
    return np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1)


def _allowed(share: float, shingles: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """The most differences of a pair that has ``shingles`` shingles together; no fewer by any error of rounding."""
    most: npt.NDArray[np.int64] = np.floor(share * shingles + 1e-6).astype(np.int64)
    return most


def _with_equal_band(
    positions: npt.NDArray[np.int64], bitmaps: npt.NDArray[np.uint8], bands: int
) -> npt.NDArray[np.int64] | None:
    """Keys (later << 32 | earlier) of pairs with an equal band, and of some others; None where there are too many."""
    if len(positions) < 2:
        return np.empty(0, np.int64)
    if bands >= 16:
        values = bitmaps.view(f"u{BITS // 8 // bands}").astype(np.uint64)
    else:  # the words of a band, mixed: bands that are equal stay equal
        words = bitmaps.view(np.uint64).reshape(len(positions), bands, -1)
        values = (words * _FACTORS[: words.shape[2]]).sum(axis=2, dtype=np.uint64) >> np.uint64(28)
    row_bits = np.uint64(len(positions).bit_length())
    keys = values << np.uint64(6) | np.arange(bands, dtype=np.uint64)
    keys = np.sort((keys << row_bits | np.arange(len(positions), dtype=np.uint64)[:, None]).ravel())
    same = keys >> row_bits
    equal = same[1:] == same[:-1]
    in_run = np.zeros(len(keys), np.bool_)  # most bands equal no other
    in_run[1:] = equal
    in_run[:-1] |= equal
    keys, same = keys[in_run], same[in_run]
    if not len(keys):
        return np.empty(0, np.int64)
    begins = np.flatnonzero(np.concatenate([[True], same[1:] != same[:-1]]))
    sizes = np.diff(np.append(begins, len(keys)))
    if int((sizes * (sizes - 1) // 2).sum()) > _MOST_PAIRS:
        return None
    rows = positions[(keys & (np.uint64(1) << row_bits) - np.uint64(1)).astype(np.int64)]
    found = []
    for distance in range(1, int(sizes.max())):  # pairs at this distance in a run of equal bands
        at = np.flatnonzero(same[distance:] == same[:-distance])
        if not len(at):
            break
        found.append(rows[at + distance] << 32 | rows[at])
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _all_pairs(positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    later, earlier = np.tril_indices(len(positions), -1)
    return positions[later] << 32 | positions[earlier]
