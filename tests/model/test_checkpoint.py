"""Checkpoints on disk: round trips, reported damage, and failed saves that leave the old one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from ragyena.config import CausalModelConfig, ReaderModelConfig
from ragyena.errors import CheckpointError, StorageError
from ragyena.model.checkpoint import (
    LARGEST_FILE,
    load_config,
    load_into,
    load_model,
    load_state,
    save_checkpoint,
    saved,
)

CONFIG = CausalModelConfig(width=32, depth=1)


def state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(50, 384, generator=generator)
    return {
        "embedding.weight": embedding,
        "head.weight": embedding,
        "layer.weight": torch.randn(24, 32, generator=generator) * torch.logspace(-3, 2, 24)[:, None],
        "layer.bias": torch.randn(24, generator=generator),
        "ids": torch.arange(5),
        "mask": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(1.5),
        "transposed": torch.randn(6, 4, generator=generator).t(),
    }


def save(folder: Path, storage="float32", **changes: Tensor) -> None:
    save_checkpoint(folder, {**state(), **changes}, CONFIG, tokenizer=None, card=None, storage=storage)


def stored_types(folder: Path) -> dict[str, torch.dtype]:
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        names = file.keys()
        return {name: file.get_tensor(name).dtype for name in names}


def relative(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).norm() / expected.norm())


def test_float32_round_trip_is_exact(tmp_path: Path) -> None:
    save(tmp_path / "new" / "folder")
    loaded, expected = load_state(tmp_path / "new" / "folder"), state()
    assert loaded.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(loaded[name], tensor)
        assert loaded[name].dtype == tensor.dtype


def test_folder_holds_the_hubs_files_and_nothing_else(tmp_path: Path) -> None:
    tokenizer = tmp_path / "some.json"
    tokenizer.write_text("{}")
    folder = tmp_path / "checkpoint"
    for config in (CONFIG, ReaderModelConfig(width=96, heads=12)):
        save_checkpoint(folder, state(), config, tokenizer=tokenizer, card="# A card", storage="bfloat16")
        assert sorted(p.name for p in folder.iterdir()) == [
            "README.md",
            "config.json",
            "model.safetensors",
            "tokenizer.json",
        ]
        assert load_config(folder) == config
    assert (folder / "README.md").read_text() == "# A card"
    assert (folder / "tokenizer.json").read_text() == "{}"


def test_bfloat16_error_and_size(tmp_path: Path) -> None:
    save(tmp_path, "bfloat16")
    loaded = load_state(tmp_path)
    assert all(t.dtype == torch.float32 for t in loaded.values() if t.is_floating_point())
    assert 0 < relative(loaded["embedding.weight"], state()["embedding.weight"]) <= 2**-8
    assert (tmp_path / "model.safetensors").stat().st_size < 50 * 384 * 2 + 8000


def test_int8_rows_have_their_own_scale_and_vectors_stay_exact(tmp_path: Path) -> None:
    save(tmp_path, "int8")
    loaded, expected = load_state(tmp_path), state()
    types = stored_types(tmp_path)
    assert types["layer.weight"] == torch.int8
    assert types["layer.weight::scale"] == torch.float16
    assert types["layer.bias"] == types["scalar"] == torch.float32
    assert torch.equal(loaded["layer.bias"], expected["layer.bias"])
    for row, wanted in zip(loaded["layer.weight"], expected["layer.weight"]):  # rows five decades apart
        assert relative(row, wanted) <= 0.012
    assert relative(loaded["embedding.weight"], expected["embedding.weight"]) <= 0.0085


def test_int8_clips_where_that_lowers_the_error(tmp_path: Path) -> None:
    """A row with one outlier: scaling to the outlier would cost every other value."""
    row = torch.randn(1, 4096, generator=torch.Generator().manual_seed(1))
    row[0, 0] = 6.0
    save(tmp_path, "int8", row=row, zeros=torch.zeros(3, 4), tiny=torch.full((1, 4), 1e-12))
    loaded = load_state(tmp_path)
    unclipped = (row / (6.0 / 127)).round() * (6.0 / 127)
    assert relative(loaded["row"], row) < relative(unclipped, row)
    assert torch.equal(loaded["zeros"], torch.zeros(3, 4))
    assert torch.isfinite(loaded["tiny"]).all()


def test_policy_by_name_takes_the_first_pattern_that_matches(tmp_path: Path) -> None:
    save(tmp_path, {"embedding.*": "int8", "layer.weight": "float32", "layer.*": "bfloat16"})
    types = stored_types(tmp_path)
    assert types["embedding.weight"] == torch.int8
    assert types["layer.weight"] == torch.float32
    assert types["layer.bias"] == torch.bfloat16
    assert types["transposed"] == torch.float32
    with pytest.raises(ValueError, match="storage 'int4' for 'layer"):
        save(tmp_path, {"layer.*": "int4"})


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "int8"])
def test_tensors_that_share_memory_are_stored_once(tmp_path: Path, storage: str) -> None:
    save(tmp_path, storage)
    assert "head.weight" not in stored_types(tmp_path)
    loaded = load_state(tmp_path)
    assert torch.equal(loaded["head.weight"], loaded["embedding.weight"])


def test_views_of_one_memory_are_not_taken_for_the_same_tensor(tmp_path: Path) -> None:
    whole = torch.arange(12.0).view(3, 4)
    save(tmp_path, whole=whole, turned=whole.t(), part=whole[:2], flat=whole.view(-1))
    loaded = load_state(tmp_path)
    for name, tensor in {"whole": whole, "turned": whole.t(), "part": whole[:2], "flat": whole.view(-1)}.items():
        assert torch.equal(loaded[name], tensor), name


# -- damage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.999])
def test_truncated_weights(tmp_path: Path, keep: float) -> None:
    save(tmp_path)
    path = tmp_path / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_state(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    del values["weights_sha256"]  # without the hash, the format itself must notice
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_state(tmp_path)


def test_one_changed_bit_and_another_files_weights(tmp_path: Path) -> None:
    save(tmp_path / "a")
    save(tmp_path / "b", scalar=torch.tensor(2.0))
    content = bytearray((tmp_path / "a" / "model.safetensors").read_bytes())
    content[-1] ^= 1
    for wrong in (bytes(content), (tmp_path / "b" / "model.safetensors").read_bytes()):
        (tmp_path / "a" / "model.safetensors").write_bytes(wrong)
        with pytest.raises(CheckpointError, match=r"is not the file that was saved with config\.json"):
            load_state(tmp_path / "a")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "cannot be read"),
        ("[]", "not a JSON object"),
        ("\xff", "cannot be read"),
        ("{}", "format version None"),
        ('{"format_version": 99, "kind": "causal"}', "format version 99; this ragyena reads 1"),
        ('{"format_version": 1}', "kind None"),
        ('{"format_version": 1, "kind": ["reader"]}', "of kind"),
        ('{"format_version": 1, "kind": "causal", "depht": 3}', "unknown setting 'depht'"),
        ('{"format_version": 1, "kind": "causal", "depth": -3}', "'depth'"),
    ],
)
def test_wrong_configuration(tmp_path: Path, content: str, match: str) -> None:
    save(tmp_path)
    (tmp_path / "config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(CheckpointError, match=match):
        load_config(tmp_path)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        load_config(tmp_path)
    save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing"):
        load_state(tmp_path)


def test_weights_of_another_format_version(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    del values["weights_sha256"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    for metadata in ({}, {"format_version": "2"}, {"format_version": "1", "int8": '["a"]', "same": "{}"}):
        save_file({"a": torch.zeros(2)}, tmp_path / "model.safetensors", metadata=metadata)
        with pytest.raises(CheckpointError, match=r"format version|metadata that do not fit"):
            load_state(tmp_path)


# -- several files -----------------------------------------------------------------------------------------------

PARTS = [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]


def large() -> nn.Sequential:
    """105 MiB in float32, a quarter of it in int8."""
    torch.manual_seed(3)
    return nn.Sequential(*[nn.Linear(2300, 2000) for _ in range(6)])


@pytest.fixture(scope="module")
def in_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    state = large().state_dict()
    state["again"] = state["5.weight"]
    save_checkpoint(folder, state, CONFIG, tokenizer=None, card=None, storage={"0.*": "int8", "*": "float32"})
    return folder


def copied(source: Path, folder: Path) -> Path:
    shutil.copytree(source, folder)
    return folder


def test_large_weights_are_in_files_of_at_most_45_mib_with_the_conventional_index(in_parts: Path) -> None:
    assert sorted(p.name for p in in_parts.iterdir()) == ["config.json", *PARTS, "model.safetensors.index.json"]
    assert all((in_parts / name).stat().st_size <= LARGEST_FILE == 45 * 2**20 for name in PARTS)
    index = json.loads((in_parts / "model.safetensors.index.json").read_text())
    for name, file in index["weight_map"].items():
        with safe_open(in_parts / file, framework="pt") as opened:
            assert name in list(opened.keys())
    loaded, expected = load_state(in_parts), large().state_dict()
    assert loaded.keys() == {*expected, "again"}
    for name, tensor in expected.items():
        assert relative(loaded[name], tensor) < (0.0086 if name == "0.weight" else 1e-9), name
    assert torch.equal(loaded["again"], expected["5.weight"])


def test_each_part_is_checked(in_parts: Path, tmp_path: Path) -> None:
    lost = copied(in_parts, tmp_path / "lost")
    (lost / PARTS[1]).unlink()
    with pytest.raises(CheckpointError, match=f"{PARTS[1]} is missing"):
        load_state(lost)
    changed = copied(in_parts, tmp_path / "changed")
    with (changed / PARTS[2]).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    with pytest.raises(CheckpointError, match=f"{PARTS[2]} is not the file that was saved"):
        load_state(changed)
    cut = copied(in_parts, tmp_path / "cut")
    values = json.loads((cut / "config.json").read_text())
    del values["weights_sha256"]
    (cut / "config.json").write_text(json.dumps(values))
    with (cut / PARTS[0]).open("r+b") as file:
        file.truncate(30_000_000)
    with pytest.raises(CheckpointError, match=f"{PARTS[0]} cannot be read"):
        load_state(cut)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, "index.json is missing"),
        ("{", "cannot be read"),
        ("[]", "names no files of weights"),
        ('{"weight_map": {"w": "../model-00001-of-00003.safetensors"}}', "names no files of weights"),
        ('{"weight_map": {"w": "model-00001-of-00003.safetensors"}}', "not the index that was saved"),
    ],
)
def test_a_wrong_index(in_parts: Path, tmp_path: Path, content: str | None, match: str) -> None:
    folder = copied(in_parts, tmp_path / "wrong")
    (folder / "model.safetensors.index.json").unlink()
    if content is not None:
        (folder / "model.safetensors.index.json").write_text(content)
    for load in (load_state, lambda where: load_model(lambda _: large(), CONFIG, where)):
        with pytest.raises(CheckpointError, match=match):
            load(folder)


def test_files_of_a_checkpoint_of_another_size_are_replaced(in_parts: Path, tmp_path: Path) -> None:
    folder = copied(in_parts, tmp_path / "replaced")
    (folder / "model-of-mine.txt").write_text("kept")
    save(folder)
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model-of-mine.txt", "model.safetensors"]
    assert torch.equal(load_state(folder)["scalar"], torch.tensor(1.5))
    state = large().state_dict()
    save_checkpoint(folder, state, CONFIG, tokenizer=None, card=None, storage="float32")
    assert not (folder / "model.safetensors").exists() and torch.equal(load_state(folder)["3.bias"], state["3.bias"])


def test_a_checkpoint_is_saved_when_its_configuration_is_written(tmp_path: Path) -> None:
    assert not saved(tmp_path)
    save(tmp_path)
    assert saved(tmp_path)


# -- loading into a module ---------------------------------------------------------------------------------------


def test_strict_loading_names_what_does_not_fit() -> None:
    module = nn.Sequential(*[nn.Linear(3, 2) for _ in range(8)])
    good = {name: torch.randn_like(tensor) for name, tensor in module.state_dict().items()}
    load_into(module, good, "here")
    assert all(torch.equal(module.state_dict()[n], t) for n, t in good.items())
    wrong = {n: t for n, t in good.items() if n.endswith("weight") or n == "7.bias"}
    wrong |= {"0.weight": torch.zeros(4, 3), "extra": torch.zeros(1)}
    with pytest.raises(CheckpointError) as caught:
        load_into(module, wrong, "here")
    message = caught.value.message
    assert "here does not fit" in message
    assert "7 missing: 0.bias, 1.bias, 2.bias, 3.bias, 4.bias and 2 more" in message
    assert "1 unexpected: extra" in message
    assert "1 of another shape: 0.weight [4, 3] instead of [2, 3]" in message
    assert "config.json" in caught.value.hint
    assert all(torch.equal(module.state_dict()[n], t) for n, t in good.items())  # nothing was half loaded


# -- writing -----------------------------------------------------------------------------------------------------


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    save(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(StorageError, match="cannot write the checkpoint"):
        save_checkpoint(tmp_path, state(), CONFIG, tokenizer=tmp_path / "not there.json", card="new", storage="float32")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_what_a_killed_save_left_is_swept_up_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".writing-1").mkdir()
    (tmp_path / ".writing-1" / "model.safetensors").write_bytes(b"half")
    save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="limits on file sizes are tested where /dev/full is")
def test_a_full_disk_is_a_storage_error(tmp_path: Path) -> None:
    """In a process that may write no file over 4 KiB, as on a disk with no room left."""
    save(tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    program = (
        "import resource, signal, sys, torch\n"
        "from pathlib import Path\n"
        "from ragyena.config import CausalModelConfig\n"
        "from ragyena.errors import StorageError\n"
        "from ragyena.model.checkpoint import save_checkpoint\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    save_checkpoint(Path(sys.argv[1]), {'w': torch.zeros(100, 1000)}, CausalModelConfig(), tokenizer=None,"
        " card=None, storage='float32')\n"
        "except StorageError as error:\n"
        "    print('refused:', error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, cwd=Path.cwd())
    assert run.stdout.startswith("refused: cannot write the checkpoint"), run.stderr
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
