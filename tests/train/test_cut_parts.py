"""Texts cut in parts: as they are cut at once, whatever the processes, and resumed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from ragyena import recipes
from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Tokenizer
from ragyena.train import cut_parts
from ragyena.train.cut_parts import Cutter, CutText
from ragyena.types import Document

TOKENIZER = Tokenizer.from_folder(recipes.asset("reader"))
TEXTS = [
    Document(
        f"file {n}", f"Chapter {n}\n\n" + f"The mill of {n} was built by the caf\u00e9. " * (n % 7), title=f"Mill {n}"
    )
    for n in range(40)
]


def same(parts: Iterable[CutText], texts: list[Document]) -> bool:
    cut = list(parts)
    assert len(cut) == len(texts)
    for text, part in zip(texts, cut):
        passages = split(text, TOKENIZER, 30)
        assert part.passages == passages
        for mine, theirs in zip(part.encodings, TOKENIZER.encode_batch([p.text for p in passages]), strict=True):
            for name in ("ids", "starts", "ends"):
                assert np.array_equal(getattr(mine, name), getattr(theirs, name))
    return True


@pytest.mark.parametrize("processes", [1, 2])
def test_texts_are_cut_as_alone(processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut_parts, "_PART_TEXTS", 6)
    assert same(Cutter(TOKENIZER, 30, tmp_path, processes).cut(TEXTS), TEXTS)
    assert len(list(tmp_path.iterdir())) == 7 and not list(tmp_path.glob("*partial*"))


def test_a_stopped_cut_goes_on_and_a_damaged_part_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut_parts, "_PART_TEXTS", 10)
    cutter = Cutter(TOKENIZER, 30, tmp_path)
    for number, _ in enumerate(cutter.cut(TEXTS)):
        if number == 15:
            break  # killed here
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 2
    kept[0].write_bytes(kept[0].read_bytes()[:200])
    made: list[int] = []
    original = cut_parts._write_with
    monkeypatch.setattr(cut_parts, "_write_with", lambda *args: (made.append(len(args[1])), original(*args))[1])
    assert same(cutter.cut(TEXTS), TEXTS) and made == [10, 10, 10]
    assert same(Cutter(TOKENIZER, 30, tmp_path).cut(TEXTS), TEXTS) and len(made) == 3
    next(iter(Cutter(TOKENIZER, 40, tmp_path).cut(TEXTS)))
    assert len(made) == 4  # of other passages
