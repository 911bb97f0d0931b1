"""``ragyena train``: runs a training recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragyena.cli.console import TerminalProgress, interruptible
from ragyena.cli.options import QuietOption, SetOption

__all__ = ["command"]


def command(
    recipe: Annotated[str, typer.Argument(help="A recipe of configs/train by name, or a YAML file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the run; by default runs/RECIPE.")] = None,
    overrides: SetOption = None,
    data_root: Annotated[Path, typer.Option(help="Folder that the recipe's data paths are relative to.")] = Path(),
    packed: Annotated[Path | None, typer.Option(help="Train from this packed data (made by --pack-only).")] = None,
    pack_only: Annotated[
        bool, typer.Option("--pack-only", help="Only pack the data and print the file's path.")
    ] = False,
    start: Annotated[
        Path | None,
        typer.Option(help="Reader to continue, a checkpoint folder, for recipes that start from 'shipped'."),
    ] = None,
    encoder: Annotated[Path | None, typer.Option(help="A model.safetensors in BERT's layout to start from.")] = None,
    pair_encoder: Annotated[
        Path | None, typer.Option(help="Folder of the BERT or MPNet encoder that a pair reader starts from.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    quiet: QuietOption = False,
) -> None:
    """Train a reader or a language model by a recipe. An interrupted run resumes from its last checkpoint.

    Each stage leaves a checkpoint folder and its log.jsonl in the run's folder; `tensorboard --logdir` and `ragyena
    report` draw the curves. On several GPUs: torchrun --nproc-per-node N -m ragyena train ...
    """
    from ragyena.train import run as train
    from ragyena.train.kinds import started_from

    config = train.load(recipe, data_root, overrides or (), check_data=packed is None)
    if start is not None:
        config = started_from(config, start)
    folder = out or Path("runs") / Path(recipe).stem
    with interruptible(f"the same command resumes the run from its last checkpoint ({folder})"):
        with TerminalProgress(quiet=quiet) as progress:
            if pack_only:
                data = train.pack_data(config, folder / "data", progress, encoder=encoder)
                progress.note(data.summary)
                print(data.path)
                return
            results = train.train(
                config,
                folder,
                packed=packed,
                encoder=encoder,
                pair_encoder=pair_encoder,
                device=device,
                progress=progress,
            )
        for result in results:
            print(
                f"{result.name}: {result.tokens / 1e6:.1f}M tokens in {result.steps:,} steps, {result.seconds:.0f} s "
                f"({result.tokens / max(result.seconds, 1e-9) / 1e6:.2f}M tokens/s); {result.checkpoint}"
            )
