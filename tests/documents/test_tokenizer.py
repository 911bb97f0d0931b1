"""Token ids and offsets of the shipped reader's tokenizer."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_strategies import wild_text

from ragyena import recipes
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import CheckpointError

FOLDER = recipes.asset("reader")
TOKENIZER = Tokenizer.from_folder(FOLDER)


def test_special_tokens_and_fingerprint() -> None:
    definition = (FOLDER / "tokenizer.json").read_bytes()
    vocabulary = json.loads(definition)["model"]["vocab"]
    assert (TOKENIZER.cls_id, TOKENIZER.sep_id, TOKENIZER.pad_id) == tuple(
        vocabulary[token] for token in ("[CLS]", "[SEP]", "[PAD]")
    )
    assert TOKENIZER.vocab_size == len(vocabulary)
    assert TOKENIZER.fingerprint == hashlib.sha256(definition).hexdigest()


def test_offsets_count_characters_beyond_the_basic_plane_as_one() -> None:
    text = "😀 the 𝔘nicode 👩‍👩‍👧 tower\r\n\tfell"
    encoding = TOKENIZER.encode(text)
    pieces = [text[start:end] for start, end in zip(encoding.starts, encoding.ends)]
    assert pieces[0] == "😀"
    assert pieces[-2:] == ["tower", "fell"]
    assert encoding.ids.dtype == encoding.starts.dtype == encoding.ends.dtype == np.int32


def test_nothing_is_cut_off_and_nothing_added() -> None:
    assert len(TOKENIZER.encode("word " * 5000)) == 5000
    assert len(TOKENIZER.encode("")) == 0
    assert TOKENIZER.encode_batch([]) == []


def test_special_tokens_in_a_text_are_text() -> None:
    ids = TOKENIZER.encode("a [SEP] b [PAD] [CLS]").ids.tolist()
    assert not {TOKENIZER.cls_id, TOKENIZER.sep_id, TOKENIZER.pad_id} & set(ids)


def test_decoding() -> None:
    ids = TOKENIZER.encode("The Lighthouse, built in 1882.").ids
    assert TOKENIZER.decode([TOKENIZER.cls_id, *ids]) == "the lighthouse, built in 1882."


def test_undecodable_bytes_of_a_command_line_do_no_harm() -> None:
    assert TOKENIZER.encode("caf\udce9 tower").ends[-1] == 10


@given(wild_text)
def test_offsets_are_in_order_and_inside_the_text(text: str) -> None:
    encoding = TOKENIZER.encode(text)
    assert np.all(encoding.starts <= encoding.ends)
    assert np.all(np.diff(encoding.starts) >= 0)
    assert not len(encoding) or encoding.ends[-1] <= len(text)
    assert all(text[start:end].strip() for start, end in zip(encoding.starts, encoding.ends))


@given(st.lists(wild_text, max_size=5))
def test_a_batch_is_its_texts(texts: list[str]) -> None:
    batch = TOKENIZER.encode_batch(texts)
    assert TOKENIZER.count_batch(texts) == [len(encoding) for encoding in batch]
    for text, encoding in zip(texts, batch, strict=True):
        alone = TOKENIZER.encode(text)
        assert alone.ids.tolist() == encoding.ids.tolist()
        assert alone.starts.tolist() == encoding.starts.tolist()
        assert alone.ends.tolist() == encoding.ends.tolist()


def test_a_missing_or_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json cannot be read: No such file"):
        Tokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match="is not a tokenizer"):
        Tokenizer.from_folder(tmp_path)


def test_a_tokenizer_without_separator_is_refused(tmp_path: Path) -> None:
    definition = (FOLDER / "tokenizer.json").read_text(encoding="utf-8").replace("[SEP]", "[ZZZ]")
    (tmp_path / "tokenizer.json").write_text(definition, encoding="utf-8")
    with pytest.raises(CheckpointError, match="no sep token"):
        Tokenizer.from_folder(tmp_path)
