"""Encodings: text in other encodings than UTF-8 is decoded correctly or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragyena.documents.decoding import decode
from ragyena.errors import UnreadableDocumentError

NAME = Path("a.txt")
GERMAN = "Der Bär läuft über die Straße und müßte längst zu Hause sein."
FRENCH = "L’été dernier, Zoé a dépensé 30 € pour un cœur d’agneau – « déjà vu » à Nîmes."
POLISH = "Zażółć gęślą jaźń. Świat jest piękny, a ludzie są życzliwi i pomocni każdego dnia."
RUSSIAN = "Привет, как дела? Это текст на русском языке, довольно длинный и понятный."
GREEK = "Καλημέρα κόσμε, αυτό είναι ένα κείμενο στα ελληνικά και είναι αρκετά μεγάλο."
JAPANESE = "日本語のテキストです。これは長い文章で、灯台について書かれています。"
CHINESE = "这是一个关于灯塔的中文文本，句子比较长，应该能够正确识别编码。"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *((text, "utf-8") for text in (GERMAN, POLISH, RUSSIAN, JAPANESE, "", "plain")),
        *((text, encoding) for text in (GERMAN, RUSSIAN, JAPANESE) for encoding in ("utf-8-sig", "utf-16", "utf-32")),
        *((GERMAN, encoding) for encoding in ("latin-1", "cp1252", "utf-16-le", "utf-16-be")),
        ("café", "latin-1"),
        ("Señor Núñez vivió en España. ¿Qué pasó?", "latin-1"),
        ("20 °C ± 3 µm, § 5, ½ l", "cp1252"),
        (FRENCH, "cp1252"),
        (POLISH, "cp1250"),
        (RUSSIAN, "cp1251"),
        (GREEK, "cp1253"),
        (JAPANESE, "shift_jis"),
        (CHINESE, "gb18030"),
    ],
)
def test_the_encoding_is_detected(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding), NAME) == text


def test_a_long_english_text_with_a_few_accents() -> None:
    text = "The naïve café owner paid 5 £ for a rôle. " + "Plain English goes on and on here. " * 40_000
    assert decode(text.encode("cp1252"), NAME) == text


def test_a_character_cut_by_the_sample_border_is_no_flaw() -> None:
    text = "a" + "é" * 1_000_000
    assert decode(text.encode(), NAME) == text


def test_accents_late_in_a_file_are_detected() -> None:
    assert decode(b"a" * 2_000_000 + " Müller".encode("latin-1"), NAME).endswith("Müller")


def test_damaged_utf8_is_not_taken_for_another_encoding() -> None:
    with pytest.raises(UnreadableDocumentError, match="not valid utf-8 throughout"):
        decode((GERMAN * 20).encode() + b"\xff", NAME)


@pytest.mark.parametrize("junk", [b"text \x00 with a zero", bytes(range(256)) * 4, b"\x01\x02\x03\x04 abc" * 50])
def test_control_characters_are_no_text(junk: bytes) -> None:
    with pytest.raises(UnreadableDocumentError, match="binary"):
        decode(junk, NAME)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn"), exclude_characters="\ufeff")))
def test_utf8_is_always_read_as_such(text: str) -> None:
    assert decode(text.encode(), NAME) == text
