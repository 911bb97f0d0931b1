"""The packed stream of prose and the windows of it that steps read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ragyena import recipes
from ragyena.config import LanguageDataConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import DataError
from ragyena.train.lm_data import Stream, TokenStream, prepare_prose
from ragyena.train.ranks import Ranks

ALONE = Ranks()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_folder(recipes.asset("reader"))


def write(path: Path, count: int, split: str, word: str) -> str:
    rows = [
        {"id": f"{word}{n}", "title": f"{word} {n}", "text": f"The {word} of day {n}.", "split": split}
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_documents_are_separated_and_splits_kept_apart(tmp_path: Path, tokenizer: Tokenizer, progress: Any) -> None:
    files = (write(tmp_path / "a.jsonl", 3, "train", "river"), write(tmp_path / "b.jsonl", 2, "dev", "bridge"))
    report = prepare_prose(LanguageDataConfig(prose=files), tokenizer, tmp_path / "cache", progress)
    stream = Stream.load(report.path, "cpu")
    assert (report.train_documents, report.dev_documents) == (3, 2)
    assert (report.train_tokens, report.dev_tokens) == (len(stream.train), len(stream.dev))
    train = stream.train.tolist()
    documents = [tokenizer.decode(train[a:b]) for a, b in bounds(train, tokenizer.sep_id)]
    assert documents == [f"river {n} the river of day {n}." for n in range(3)]
    assert "river" not in tokenizer.decode(stream.dev.tolist())
    assert stream.vocab_size == tokenizer.vocab_size
    assert prepare_prose(LanguageDataConfig(prose=files), tokenizer, tmp_path / "cache", progress) == report


def test_what_repeats_a_held_out_document_is_not_trained_on(
    tmp_path: Path, tokenizer: Tokenizer, progress: Any
) -> None:
    story = "Every spring the river rises past the second step of the old mill and the miller moves his flour upstairs."
    rows = [
        {"id": "held", "title": "Mill", "text": story, "split": "dev"},
        {"id": "same", "title": "A mill", "text": story.replace("spring", "autumn"), "split": "train"},
        {"id": "part", "title": "A book", "text": f"{story} {'Then something else entirely is told. ' * 50}"},
        {"id": "other", "title": "Trams", "text": "The old tram stops at the second bridge over the river every hour."},
    ]
    path = tmp_path / "prose.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    reports = []
    for overlap in (None, 0.5):
        config = LanguageDataConfig(prose=(str(path),), held_out_overlap=overlap)
        reports.append(prepare_prose(config, tokenizer, tmp_path / "cache", progress))
    assert [(r.train_documents, r.dev_documents, r.overlapping_documents) for r in reports] == [(3, 1, 0), (1, 1, 2)]
    text = tokenizer.decode(Stream.load(reports[1].path, "cpu").train.tolist())
    assert "trams" in text and "miller" not in text


def bounds(ids: list[int], separator: int) -> list[tuple[int, int]]:
    ends = [place for place, token in enumerate(ids) if token == separator]
    assert ends[-1] == len(ids) - 1
    return list(zip([0, *(end + 1 for end in ends[:-1])], ends))


def test_a_token_limit_is_shared_by_all_files(tmp_path: Path, tokenizer: Tokenizer, progress: Any) -> None:
    files = (write(tmp_path / "a.jsonl", 300, "train", "river"), write(tmp_path / "b.jsonl", 4, "train", "bridge"))
    config = LanguageDataConfig(prose=files, train_tokens=500)
    report = prepare_prose(config, tokenizer, tmp_path / "cache", progress)
    assert 450 <= report.train_tokens <= 520
    text = tokenizer.decode(Stream.load(report.path, "cpu").train.tolist())
    assert "bridge 3" in text and "river 20" in text


def test_nothing_to_train_on_and_foreign_files_are_named(tmp_path: Path, tokenizer: Tokenizer, progress: Any) -> None:
    dev = write(tmp_path / "dev.jsonl", 3, "dev", "river")
    with pytest.raises(DataError, match="no prose to train on"):
        prepare_prose(LanguageDataConfig(prose=(dev,)), tokenizer, tmp_path / "cache", progress)
    with pytest.raises(DataError, match="not a packed file of prose"):
        Stream.load(Path(dev), "cpu")


def test_an_epoch_reads_every_window_once_and_the_next_in_another_order() -> None:
    ids = torch.arange(10 * 16 + 7)
    stream = TokenStream(ids, length=10, sequences=3, seed=4, ranks=ALONE)
    assert stream.windows == 15
    rows = torch.cat([stream.batch(step).ids for step in range(10)])
    first, second = rows[:15, 0].tolist(), rows[15:, 0].tolist()
    for starts in (first, second):
        assert len(set(starts)) == 15 and len({start % 10 for start in starts}) == 1
    assert first != second
    batch = stream.batch(2)
    assert torch.equal(batch.targets, batch.ids + 1) and batch.tokens == 30
    assert torch.equal(batch.ids, batch.ids[:, :1] + torch.arange(10))


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    ids = torch.randint(100, (500,))

    def batch(step: int, seed: int, ranks: Ranks = ALONE) -> torch.Tensor:
        return TokenStream(ids, length=10, sequences=4, seed=seed, ranks=ranks).batch(step).ids

    stream = TokenStream(ids, length=10, sequences=4, seed=1, ranks=ALONE)
    later = [stream.batch(step).ids for step in (30, 2, 11)]
    assert all(torch.equal(a, batch(step, 1)) for a, step in zip(later, (30, 2, 11)))
    assert not torch.equal(batch(2, 1), batch(2, 2)) and not torch.equal(batch(2, 1), batch(3, 1))
    shares = [batch(11, 1, Ranks(rank, 2)) for rank in range(2)]
    assert torch.equal(torch.cat(shares), batch(11, 1))


def test_too_short_a_stream_is_refused() -> None:
    with pytest.raises(DataError, match="too few for sequences of 64"):
        TokenStream(torch.arange(100), length=64, sequences=1, seed=0, ranks=ALONE)
