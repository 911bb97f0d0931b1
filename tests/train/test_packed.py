"""Flat arrays: rows cut and padded, edited in place; foreign files are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ragyena.errors import DataError
from ragyena.train.packed import Edit, PackedData

TEXTS = [[11, 12, 13, 14, 15], [21], [31, 32, 33]]


def data() -> PackedData:
    flat = torch.tensor([token for text in TEXTS for token in text])
    return PackedData({"x": flat, "x_offsets": torch.tensor([0, 5, 6, 9])}, cls_id=1, sep_id=2)


@given(
    row=st.integers(0, 2), bounds=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    new=st.lists(st.integers(90, 99), max_size=4), length=st.integers(1, 12),
)  # fmt: skip
def test_an_edit_replaces_a_stretch(row: int, bounds: tuple[int, int], new: list[int], length: int) -> None:
    text = TEXTS[row]
    start, end = sorted(min(bound, len(text)) for bound in bounds)
    edit = Edit(torch.tensor([start]), torch.tensor([end]), torch.tensor([[*new, 0]]), torch.tensor([len(new)]))
    ids, mask = data().rows("x", torch.tensor([row]), length, edit)
    expected = (text[:start] + new + text[end:])[:length]
    assert ids[0][mask[0]].tolist() == expected
    assert not ids[0][~mask[0]].any() and mask[0].tolist() == [i < len(expected) for i in range(length)]


def test_no_edit_is_the_text_itself() -> None:
    row = torch.arange(3)
    plain, same = data().rows("x", row, 6), data().rows("x", row, 6, Edit.none(row))
    assert torch.equal(plain[0], same[0]) and torch.equal(plain[1], same[1])
    assert [r[m].tolist() for r, m in zip(*plain)] == TEXTS


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "packed.npz"
    path.write_bytes(b"not an archive")
    with pytest.raises(DataError, match=r"packed\.npz"):
        PackedData.load(path, "cpu", cls_id=1, sep_id=2)


def test_files_that_are_empty_or_lack_arrays_are_named(tmp_path: Path) -> None:
    empty, array, older = (tmp_path / name for name in ("empty.npz", "array.npz", "older.npz"))
    empty.write_bytes(b"")
    with array.open("wb") as file:
        np.save(file, np.zeros(3))
    np.savez(older, questions=np.zeros(3))
    for path, said in ((empty, "is damaged"), (array, "but one array"), (older, "holds no perturbed")):
        with pytest.raises(DataError, match=f"{path.name}.*{said}"):
            PackedData.load(path, "cpu", cls_id=1, sep_id=2)


def test_a_file_of_the_version_before_is_read(world: Any, tmp_path: Path) -> None:
    old = {"perturbed": "twisted", "alias_phrases": "sayings", "table_evidence": "table_told"}
    old |= {"table_negatives": "table_others"}
    with np.load(world.report.path) as file:
        arrays = {name: file[name] for name in file.files}
    for new, before in old.items():
        for suffix in ("", "_offsets"):
            if new + suffix in arrays:
                arrays[before + suffix] = arrays.pop(new + suffix)
    np.savez(tmp_path / "old.npz", **arrays)
    again = PackedData.load(tmp_path / "old.npz", "cpu", cls_id=1, sep_id=2)
    assert again.arrays.keys() == PackedData.load(world.report.path, "cpu", cls_id=1, sep_id=2).arrays.keys()
    assert torch.equal(again["perturbed"], world.data["perturbed"])
