"""Near-duplicates by bitmaps: the decisions of comparing all sets of shingles, at any threshold."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragyena.documents import near_duplicates
from ragyena.documents.near_duplicates import (
    BITS,
    Overlaps,
    bitmap,
    find_duplicates,
    find_duplicates_by_bitmap,
    shingles_of,
)

WORDS = [f"word{n}" for n in range(40)]


def by_bitmap(texts: list[str], threshold: float) -> dict[int, int]:
    sets = [shingles_of(text) for text in texts]
    counts = np.array([len(shingles) for shingles in sets], np.int64)
    bitmaps = np.array([bitmap(shingles) for shingles in sets], np.uint8).reshape(len(texts), BITS // 8)
    return find_duplicates_by_bitmap(counts, bitmaps, texts.__getitem__, threshold)


def by_definition(texts: list[str], threshold: float) -> dict[int, int]:
    """Every pair, without a hash or an index."""
    duplicates: dict[int, int] = {}
    for later in range(len(texts)):
        for earlier in range(later):
            ours, theirs = shingles_of(texts[later]), shingles_of(texts[earlier])
            shared = len(ours & theirs)
            alike = shared and shared / len(ours | theirs) >= threshold
            if alike and earlier not in duplicates:
                duplicates[later] = earlier
                break
    return duplicates


@st.composite
def families(draw: st.DrawFn) -> list[str]:
    """Texts that stem from a few by changing, adding and leaving out words."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    texts: list[list[str]] = []
    for _ in range(draw(st.integers(0, 25))):
        if texts and rng.random() < 0.7:
            words = [*texts[int(rng.integers(len(texts)))]]
            for _ in range(int(rng.integers(0, 6))):
                place = int(rng.integers(0, len(words) + 1))
                change = rng.random()
                if change < 0.4:
                    words.insert(place, str(rng.choice(WORDS)))
                else:
                    words[place : place + 1] = [str(rng.choice(WORDS))] if change < 0.8 else []
        else:
            words = [str(word) for word in rng.choice(WORDS, int(rng.integers(0, draw(st.sampled_from([4, 60, 400])))))]
        texts.append(words)
    return [" ".join(words) for words in texts]


@settings(max_examples=150, deadline=None)
@given(families(), st.sampled_from([0.01, 0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.97, 1.0, 1.01, 2.0]))
def test_every_way_decides_alike(texts: list[str], threshold: float) -> None:
    expected = by_definition(texts, threshold)
    assert find_duplicates(texts, threshold) == expected
    assert by_bitmap(texts, threshold) == expected


def test_texts_without_words_are_alike() -> None:
    assert by_bitmap(["...", "a b", "— —", "A B!"], 0.9) == {2: 0, 3: 1}


def test_bitmaps_differ_in_no_more_bits_than_sets_in_shingles() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        some = [frozenset((str(n),) for n in rng.integers(0, 500, int(rng.integers(1, 300)))) for _ in range(2)]
        differing = np.unpackbits(bitmap(some[0]) ^ bitmap(some[1])).sum()
        assert differing <= len(some[0] ^ some[1])


def test_sets_with_equal_bitmaps_are_still_compared() -> None:
    """Two shingles of one hash: by their bitmaps alone the texts would be the same."""
    by_hash: dict[int, str] = {}
    for letters in np.random.default_rng(0).integers(97, 123, (400_000, 12), dtype=np.uint8):
        word = letters.tobytes().decode()
        other = by_hash.setdefault(zlib.crc32(word.encode()), word)
        if other != word:
            break
    else:
        pytest.fail("no two words of one hash")
    assert (bitmap(shingles_of(word)) == bitmap(shingles_of(other))).all()
    assert by_bitmap([word, other, word], 0.9) == {2: 0}


def test_most_texts_are_never_looked_at() -> None:
    rng = np.random.default_rng(7)
    texts = [" ".join(rng.choice([f"w{n}" for n in range(3000)], 140)) for _ in range(1500)]
    texts[900] = texts[20] + " more"
    sets = [shingles_of(text) for text in texts]
    looked_at: list[int] = []

    def text_of(position: int) -> str:
        looked_at.append(position)
        return texts[position]

    counts = np.array([len(shingles) for shingles in sets], np.int64)
    found = find_duplicates_by_bitmap(counts, np.array([bitmap(shingles) for shingles in sets]), text_of, 0.9)
    assert found == {900: 20}
    assert len(looked_at) < 20


def test_very_many_alike_are_found_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"the same line of boilerplate in every file of the folder, number {n % 3}" for n in range(60)]
    expected = by_definition(texts, 0.9)
    assert by_bitmap(texts, 0.9) == expected
    monkeypatch.setattr(near_duplicates, "_MOST_PAIRS", 10)
    assert by_bitmap(texts, 0.9) == expected


def test_a_text_overlaps_with_one_that_it_is_inside_of() -> None:
    short = "one two three four five six seven eight nine ten"
    long = f"{short} {' '.join(f'word{n}' for n in range(200))}"
    half = "one two three four five six and then some other words follow here"  # 4 of the 8 shingles of the shorter
    for held_out, text in ((short, long), (long, short), (short, short.upper())):
        assert text in Overlaps([held_out], 0.99)
    assert half in Overlaps([short], 0.5) and half not in Overlaps([short], 0.51)
    assert "nothing of that kind is here" not in Overlaps([short, long], 0.01)
    assert short not in Overlaps([], 0.5)
