"""Checkpoints that were tampered with: an error of ours that names the file, without a hang or memory for what they
claim."""

from __future__ import annotations

import contextlib
import json
import random
import resource
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ragyena import recipes
from ragyena.config import ReaderConfig, ReaderModelConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import CheckpointError, ConfigError
from ragyena.model.checkpoint import save_checkpoint
from ragyena.model.reader_model import ReaderModel
from ragyena.reader.reader import Reader

CONFIG = ReaderModelConfig(
    width=16, heads=2, ffn_width=16, mixers=("hyena", "hyena"), filter_width=8, decoder_layers=1, null_width=8
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "sound"
    tokenizer = recipes.asset("reader") / "tokenizer.json"
    state = ReaderModel(CONFIG).state_dict()
    storage = {"*embedding*": "int8", "word.weight": "int8", "*": "float16"}
    save_checkpoint(folder, state, CONFIG, tokenizer=tokenizer, card=None, storage=storage)  # type: ignore[arg-type]
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del values["weights_sha256"]  # whoever tampers with a file leaves out its sum
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "checkpoint"))


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """At most 4 GB more than now: an allocation of what a file claims fails."""
    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + 4_000_000_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def opened(folder: Path) -> Reader:
    began = time.perf_counter()
    try:
        return Reader.open(ReaderConfig(checkpoint=str(folder), device="cpu", max_question_tokens=64))
    finally:
        assert time.perf_counter() - began < 20


def test_the_untampered_one_is_opened(folder: Path) -> None:
    assert opened(folder).parameters > 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("width", 10**9),
        ("width", 10**300),
        ("width", "wide"),
        ("width", [16]),
        ("width", -1),
        ("width", None),
        ("vocab_size", 2**31),
        ("ffn_width", 2**40),
        ("heads", 0),
        ("mixers", ["hyena"] * 100_000),
        ("mixers", "hyena"),
        ("mixers", {"a": 1}),
        ("mixers", ["nonesuch", "hyena"]),
        ("filter_width", 10**8),
        ("filter_bands", 10**9),
        ("decoder_layers", 10**9),
        ("max_answer_tokens", 10**12),
        ("max_slot_tokens", 10**12),
        ("max_question_tokens", 10**10),
        ("null_width", 10**9),
        ("near_taps", 10**6),
        ("kind", ["reader"]),
        ("kind", "causal"),
        ("format_version", 10**50),
        ("format_version", {}),
        ("surprise", 1),
    ],
)
def test_a_configuration_that_lies(folder: Path, key: str, value: object) -> None:
    path = folder / "config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(values | {key: value}), encoding="utf-8")
    with pytest.raises((CheckpointError, ConfigError), match=str(folder)):
        opened(folder)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"a":' * 5000,
        '{"width": ' + "9" * 5000 + "}",
        '{"width": NaN}',
        "\x00",
        " " * 2_000_000,
    ],
)
def test_a_configuration_that_is_none(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        opened(folder)


# --- weights ---------------------------------------------------------------------------------------------------


def with_header(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "model.safetensors"
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    written = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(written)) + written + content[8 + length :])


def the_metadata(**values: str) -> Callable[[dict[str, Any]], object]:
    return lambda header: header["__metadata__"].update(values)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.pop("span.weight"),
        lambda header: header["span.weight"].update(shape=[10**9, 10**9]),
        lambda header: header["span.weight"].update(shape=[-1]),
        lambda header: header["span.weight"].update(dtype="F99"),
        lambda header: header["span.weight"].update(data_offsets=[0, 2**62]),
        lambda header: header["span.weight"].update(shape=list(reversed(header["span.weight"]["shape"]))),
        lambda header: header.update({"span.other": header.pop("span.weight")}),
        lambda header: header["word.weight"].update(dtype="U8"),
        lambda header: header["word.weight::scale"].update(shape=[2, header["word.weight::scale"]["shape"][0] // 2]),
        lambda header: header.pop("__metadata__"),
        the_metadata(int8="[" * 100_000),
        the_metadata(int8='"word.weight"'),
        the_metadata(int8="[[]]"),
        the_metadata(int8='["nonesuch"]'),
        the_metadata(same="[1]"),
        the_metadata(same='{"span.weight": "nonesuch"}'),
        the_metadata(same='{"span.weight": ["x"]}'),
        the_metadata(format_version="9" * 5000),
    ],
)
def test_a_header_that_lies(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    with_header(folder, change)
    with pytest.raises(CheckpointError, match=str(folder)):
        opened(folder)


@pytest.mark.parametrize("length", [0, 2**63, 2**64 - 1, 90_000_000])
def test_a_header_of_another_length(folder: Path, length: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        opened(folder)


def test_a_sparse_file_that_claims_half_a_terabyte(folder: Path) -> None:
    values = 125_000_000_000
    header = {"span.weight": {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}}
    written = json.dumps(header | {"__metadata__": {"format_version": "1", "int8": "[]", "same": "{}"}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(written)) + written)
        file.truncate(8 + len(written) + 4 * values)
    with pytest.raises(CheckpointError):
        opened(folder)


def test_weights_that_are_not_finite(folder: Path) -> None:
    state = ReaderModel(CONFIG).state_dict()
    state["span.bias"][0] = float("nan")
    save_checkpoint(folder, state, CONFIG, tokenizer=None, card=None, storage="float32")
    with pytest.raises(CheckpointError, match=r"span\.bias holds values that are not finite"):
        opened(folder)


@pytest.mark.slow
def test_no_change_of_a_few_bytes_is_an_unexpected_error(sound: Path, tmp_path: Path) -> None:
    """A sweep: bytes changed, cut out and doubled in each file."""
    chance = random.Random(0)
    for number in range(400):
        folder = Path(shutil.copytree(sound, tmp_path / str(number)))
        path = folder / chance.choice(["config.json", "model.safetensors", "tokenizer.json"])
        content = bytearray(path.read_bytes())
        for _ in range(chance.choice([1, 1, 3])):
            at = chance.randrange(min(len(content), chance.choice([64, 4096, len(content)])))
            match chance.randrange(3):
                case 0:
                    content[at] = chance.randrange(256)
                case 1:
                    del content[at : at + chance.choice([1, 8, 1000])]
                case 2:
                    content[at:at] = content[at : at + chance.choice([1, 8, 1000])]
        path.write_bytes(content)
        with contextlib.suppress(CheckpointError, ConfigError):
            opened(folder)
        shutil.rmtree(folder)


# --- tokenizers ------------------------------------------------------------------------------------------------


def test_a_tokenizer_without_a_token_for_unknown_words(folder: Path) -> None:
    path = folder / "tokenizer.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    del values["model"]["vocab"]["[UNK]"]
    values["added_tokens"] = [token for token in values["added_tokens"] if token["content"] != "[UNK]"]
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json.*\[UNK\]"):
        Tokenizer.from_folder(folder)


def test_a_tokenizer_with_tokens_that_the_model_has_not(folder: Path) -> None:
    path = folder / "tokenizer.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values["model"]["vocab"]["zyzzyva"] = 40_000
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(CheckpointError, match="40000"):
        opened(folder)


@pytest.mark.parametrize("content", ["", "{}", "[" * 100_000, '{"model": {"type": "BPE"}}', "\x00", "null"])
def test_a_tokenizer_that_is_none(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        Tokenizer.from_folder(folder)
