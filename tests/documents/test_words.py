"""Word lists: entries in order, without comments."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragyena import documents
from ragyena.documents.words import read_words


def test_entries_keep_their_order_and_comments_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "few.txt").write_text("# A comment.\nzeta\n\n alpha \n", encoding="utf-8")
    assert read_words(str(tmp_path / "module.py"), "few") == ("zeta", "alpha")


@pytest.mark.parametrize("path", sorted(Path(documents.__file__).parents[1].rglob("words/*.txt")), ids=lambda p: p.stem)
def test_every_list_says_what_it_holds_and_repeats_nothing(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
    words = read_words(str(path.parents[1] / "module.py"), path.stem)
    assert words and len(set(words)) == len(words)
