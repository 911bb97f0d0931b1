"""Pair readers: equal to the encoder they start from, passages read alone, encoders that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor

from ragyena import recipes
from ragyena.config import PairModelConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import CheckpointError
from ragyena.model.checkpoint import load_config, load_into, load_state, save_checkpoint
from ragyena.model.inputs import ReaderInput
from ragyena.model.pair_reader import PairReader, Pairs
from ragyena.model.reader_model import NEVER
from ragyena.model.warm_start import pair_config, start_pair, words_mapped

READER_TOKENIZER = recipes.asset("reader") / "tokenizer.json"
SMALL = {
    "vocab_size": 30530, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 100,
}  # fmt: skip


def save_encoder(folder: Path, kind: str) -> transformers.PreTrainedModel:
    """A small random encoder as Hugging Face keeps one, with the reader's words (and MPNet's own marks)."""
    torch.manual_seed(1)
    if kind == "bert":
        model = transformers.BertModel(transformers.BertConfig(**SMALL))
    else:
        model = transformers.MPNetModel(transformers.MPNetConfig(**SMALL))
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(
            parameter, mean=float("LayerNorm.weight" in name), std=0.2 if parameter.ndim > 1 else 0.05
        )
    model.eval().save_pretrained(folder)
    definition = json.loads(READER_TOKENIZER.read_text(encoding="utf-8"))
    if kind == "mpnet":  # the same words, four places on
        words = definition["model"]["vocab"]
        marks = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
        definition["model"]["vocab"] = marks | {word: number + 4 for word, number in words.items()}
        definition["model"]["unk_token"] = "<unk>"
        for added in definition["added_tokens"]:
            added["id"] += 4
    (folder / "tokenizer.json").write_text(json.dumps(definition), encoding="utf-8")
    return model


def started(folder: Path) -> PairReader:
    model = PairReader(pair_config(folder, Tokenizer.from_folder(READER_TOKENIZER.parent).vocab_size)).eval()
    start_pair(model, folder, READER_TOKENIZER)
    return model


def contexts(passages: list[list[int]], question: list[int], slot: int = 11, question_slot: int = 9) -> ReaderInput:
    """One context of passages of token ids, each slot ending in a separator."""
    tokens = Tokenizer.from_folder(READER_TOKENIZER.parent)
    framed = [tokens.cls_id, *question, tokens.sep_id]
    rows = [[*ids, tokens.sep_id] for ids in passages]

    def padded(ids: list[int], size: int) -> list[int]:
        return ids + [0] * (size - len(ids))

    length = torch.tensor([len(row) for row in rows])[None, :, None]
    position = torch.arange(slot)
    return ReaderInput(
        torch.tensor([padded(framed, question_slot)]),
        torch.arange(question_slot)[None] < len(framed),
        torch.tensor([[padded(row, slot) for row in rows]]),
        position < length,
        position < length - 1,
    )


@pytest.mark.parametrize("kind", ["bert", "mpnet"])
def test_states_are_those_of_the_library_that_made_the_encoder(kind: str, tmp_path: Path) -> None:
    theirs, ours = save_encoder(tmp_path, kind), started(tmp_path)
    inputs = contexts([[2001, 2002, 2003], [3001] * 9], [4001, 4002, 4003])
    begin, end = (0, 2) if kind == "mpnet" else (101, 102)
    shift = 4 if kind == "mpnet" else 0
    seen: list[Tensor] = []
    ours.layers[-1].register_forward_hook(lambda *arguments: seen.append(arguments[2]))
    with torch.no_grad():
        ours.span_scores(inputs, dtype=torch.float32)
        for row, passage in enumerate(([2001, 2002, 2003], [3001] * 9)):
            question = [begin, *(4001 + shift + n for n in range(3)), *([end] * (2 if kind == "mpnet" else 1))]
            ids = torch.tensor([[*question, *(number + shift for number in passage), end]])
            segments = (torch.arange(ids.shape[1]) >= len(question)).long()[None]
            extra = {"token_type_ids": segments} if kind == "bert" else {}
            expected = theirs(input_ids=ids, attention_mask=torch.ones_like(ids), **extra).last_hidden_state
            torch.testing.assert_close(seen[0][row : row + 1, : ids.shape[1]], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["bert", "mpnet"])
def test_a_passage_is_scored_alike_among_others_and_with_more_padding(kind: str, tmp_path: Path) -> None:
    save_encoder(tmp_path, kind)
    model = started(tmp_path)
    with torch.no_grad():
        one = model.span_scores(contexts([[2001, 2002, 2003]], [4001]), dtype=torch.float32)
        among = model.span_scores(
            contexts([[3001] * 5, [2001, 2002, 2003]], [4001], slot=30, question_slot=20), dtype=torch.float32
        )
    torch.testing.assert_close(among.start[0, 1, :3], one.start[0, 0, :3], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(among.end[0, 1, :3], one.end[0, 0, :3], rtol=1e-4, atol=1e-5)
    assert (one.start[0, 0, 3:] == NEVER).all() and (among.end[0, 0, 5:] == NEVER).all()
    assert torch.isfinite(among.null).all()


def test_every_token_of_a_slot_has_its_place_in_the_pair() -> None:
    inputs = contexts([[2001, 2002, 2003], [3001, 3002]], [4001, 4002])
    for separators in (1, 2):
        pairs = Pairs.of(inputs, separators)
        assert pairs.ids.shape[1] % 16 == 0
        for row in range(2):
            length = int(inputs.token_mask[0, row].sum())
            passage = pairs.ids[row].gather(0, pairs.place[row, :length])
            assert torch.equal(passage, inputs.token_ids[0, row, :length])
            assert int(pairs.mask[row].sum()) == 4 + separators - 1 + length
            assert pairs.ids[row, :4].tolist() == inputs.question_ids[0, :4].tolist()


def test_a_checkpoint_gives_the_same_scores(tmp_path: Path) -> None:
    save_encoder(tmp_path / "encoder", "mpnet")
    model = started(tmp_path / "encoder")
    save_checkpoint(tmp_path / "saved", model.state_dict(), model.config, tokenizer=None, card=None, storage="float32")
    config = load_config(tmp_path / "saved")
    assert isinstance(config, PairModelConfig)
    again = PairReader(config).eval()
    load_into(again, load_state(tmp_path / "saved"), "saved")
    inputs = contexts([[2001, 2002]], [4001])
    with torch.no_grad():
        expected = model.span_scores(inputs, dtype=torch.float32)
        assert torch.equal(again.span_scores(inputs, dtype=torch.float32).start, expected.start)


def test_longer_pairs_than_the_encoder_reads_are_refused(tmp_path: Path) -> None:
    save_encoder(tmp_path, "bert")
    with pytest.raises(ValueError, match="pairs of 112 tokens; the encoder's positions reach 96"):
        started(tmp_path).span_scores(contexts([[2001]], [4001], slot=90), dtype=torch.float32)


def test_encoders_of_other_kinds_and_other_words_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        pair_config(tmp_path, 30522)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(CheckpointError, match="kind 'gpt2'"):
        pair_config(tmp_path, 30522)
    definition = json.loads(READER_TOKENIZER.read_text(encoding="utf-8"))
    words = {word: n for word, n in definition["model"]["vocab"].items() if n < 20_000}
    definition["model"]["vocab"] = words
    (tmp_path / "tokenizer.json").write_text(json.dumps(definition), encoding="utf-8")
    with pytest.raises(CheckpointError, match="lacks 10,522 of the reader's 30,522 word pieces"):
        words_mapped(READER_TOKENIZER, tmp_path / "tokenizer.json")


def test_an_encoder_of_another_shape_than_it_says_is_named(tmp_path: Path) -> None:
    save_encoder(tmp_path, "bert")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))
    with pytest.raises(CheckpointError, match=r"does not fit its config\.json"):
        started(tmp_path)
