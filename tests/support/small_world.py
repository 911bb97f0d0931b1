"""Facts in files and an untrained reader."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ragyena import recipes
from ragyena.config import ReaderModelConfig
from ragyena.model.checkpoint import save_checkpoint
from ragyena.model.reader_model import ReaderModel

FACTS = {
    "bridge.md": "# The bridges of Oldtown\n\n## The iron bridge\n\nThe iron bridge was built in 1932 by the engineer "
    "Ada Stone. It has three arches.\n\n## The wooden bridge\n\nThe wooden bridge burned down in 1911.\n",
    "lamp.txt": "The lamp of the light house at Cape Farewell flashes every ten seconds.\nIts keeper was Tom Marsh.\n",
    "tea.txt": "Green tea is brewed at seventy degrees.\n",
    "bread.txt": "Sour dough rests for twelve hours before it is baked.\n",
    "museum.txt": "The museum of clocks opens at nine o'clock and closes at five.\n",
}


def save_small_reader(
    folder: Path, seed: int = 0, context_channels: tuple[int, ...] = (0, 16), mixer: str = "hyena"
) -> Path:
    torch.manual_seed(seed)
    config = ReaderModelConfig(
        width=32, heads=4, ffn_width=64, mixers=(mixer,) * 2, context_channels=context_channels, decoder_layers=0
    )
    model = ReaderModel(config)
    tokenizer = recipes.asset("reader") / "tokenizer.json"
    save_checkpoint(folder, model.state_dict(), config, tokenizer=tokenizer, card="untrained", storage="float32")
    return folder


TOWNS = ["Oldtown", "Seaford", "Milbrook", "Ashby", "Dunmore", "Kelso"]


def save_towns(folder: Path, built: int = 1900) -> None:
    """``questions.jsonl`` and ``passages.jsonl`` of six towns, each with a bridge."""
    passages, questions = [], []
    for i, town in enumerate(TOWNS):
        text = f"The bridge of {town} was built in {built + i}. It has arches, and the road over it is long."
        passages.append({"id": f"p{i}", "title": town, "context": text})
        question = {"id": f"q{i}", "passage_id": f"p{i}", "question": f"When was the bridge of {town} built?"}
        questions.append({**question, "answers": [str(built + i)]})
    for name, rows in (("passages", passages), ("questions", questions)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
