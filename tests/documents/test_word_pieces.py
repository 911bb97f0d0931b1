"""Word pieces looked up by word are those of the tokenizer itself."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragyena import recipes
from ragyena.documents import word_pieces
from ragyena.documents.tokenizer import Tokenizer
from ragyena.documents.word_pieces import WordPieces, cuts_at_words

FOLDER = recipes.asset("reader")
TOKENIZER = Tokenizer.from_folder(FOLDER)

ODD = "aB9 .,-_'`~\n\t\r\x00\x0b\x0c\x1c\x7f\x85\xa0\xad\u0301\u0323\u200b\u2028\u202f\u3000\ufeffé日ーßİΣς“—😀힣𝔘"
"""Controls, spaces of every kind, accents of their own, letters that change their length in lower case."""
odd_text = st.lists(st.sampled_from(ODD) | st.sampled_from(["unbelievable", "tower", "the "]), max_size=60).map("".join)


def as_lists(text: str) -> list[list[int]]:
    encoding = TOKENIZER.encode_batch([text])[0]
    return [encoding.ids.tolist(), encoding.starts.tolist(), encoding.ends.tolist()]


def by_the_tokenizer(text: str) -> list[list[int]]:
    encoding = TOKENIZER.encode(text)
    return [encoding.ids.tolist(), encoding.starts.tolist(), encoding.ends.tolist()]


@given(odd_text)
def test_every_text_is_cut_as_by_the_tokenizer(text: str) -> None:
    assert as_lists(text) == by_the_tokenizer(text)
    english = f"Some English words around it, so that few are beyond ASCII: {text} and that is all, it ends here."
    assert as_lists(english) == by_the_tokenizer(english)


@pytest.mark.parametrize("text", ["x" * 300, "a " + "y" * 65, "日本語の文章です。" * 20, "z" * 101 + " end"])
def test_texts_that_are_not_of_words_are_left_to_the_tokenizer(text: str) -> None:
    assert as_lists(text) == by_the_tokenizer(text)


def test_the_words_known_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_pieces, "MOST_WORDS", 50)
    tokenizer = Tokenizer.from_folder(FOLDER)
    for first in range(0, 1000, 20):
        text = " ".join(f"word{number}" for number in range(first, first + 20))
        assert tokenizer.encode_batch([text])[0].ids.tolist() == tokenizer.encode(text).ids.tolist()
    assert len(tokenizer._words._words.numbers) <= 100


def test_threads_share_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_pieces, "MOST_WORDS", 200)
    tokenizer = Tokenizer.from_folder(FOLDER)
    texts = [" ".join(f"word{(7 * number) % 900}" for number in range(first, first + 40)) for first in range(400)]
    expected = [tokenizer.encode(text).ids for text in texts]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda text: tokenizer.encode_batch([text])[0].ids, texts))
    assert all(np.array_equal(result, right) for result, right in zip(results, expected, strict=True))


def test_only_tokenizers_that_cut_at_words_are_looked_up() -> None:
    definition = json.loads((FOLDER / "tokenizer.json").read_bytes())
    assert cuts_at_words(json.dumps(definition).encode())
    for part, kind in (("pre_tokenizer", "Metaspace"), ("normalizer", "NFC")):
        assert not cuts_at_words(json.dumps({**definition, part: {"type": kind}}).encode())
    assert not cuts_at_words(json.dumps({**definition, "pre_tokenizer": None}).encode())


def test_each_word_is_given_to_the_tokenizer_once() -> None:
    asked: list[str] = []

    def encode(words: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        asked.extend(words)
        return [([len(word)], [(0, len(word))]) for word in words]

    words = WordPieces(encode)
    for text in ("a tower, a bridge", "the bridge, a tower"):
        encoded = words.encode(text)
        assert encoded is not None
        assert [text[start:end] for start, end in zip(encoded[1], encoded[2])] == text.replace(",", " ,").split()
    assert sorted(asked) == sorted({"a", "tower", ",", "bridge", "the"})
    assert words.count("a tower") == 2
