"""``ragyena train``: runs a training recipe; ``tune`` tunes a reader on questions of one's own, ``calibrate`` fits its
confidence."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ragyena.cli import calibrate, tune
from ragyena.cli.console import TerminalProgress, interruptible
from ragyena.cli.options import QuietOption, SetOption

__all__ = ["app"]


class _RecipeFirst(TyperGroup):
    """``train RECIPE ...`` is ``train recipe RECIPE ...``: the first word names a command only where it is one."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["recipe", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RecipeFirst,
    help="Train a reader or a language model; tune a reader on your own questions; fit its confidence. `train RECIPE` "
    "is `train recipe RECIPE`.",
    no_args_is_help=True,
)
app.command("tune")(tune.command)
app.command("calibrate")(calibrate.command)


@app.command("recipe")
def recipe_(
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
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Processes that share every step (one a GPU), or with --pack-only cut texts (one a core).",
        ),
    ] = None,
    side_by_side: Annotated[
        bool,
        typer.Option(
            "--side-by-side", help="Each process trains a stage of its own, in place of a share of every step."
        ),
    ] = False,
    seeds: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Train with N seeds from the recipe's on, the others in OUT/seed-1, ..."),
    ] = 1,
    quiet: QuietOption = False,
) -> None:
    """Train a reader or a language model by a recipe. An interrupted run resumes from its last checkpoint.

    Each stage leaves a checkpoint folder and its log.jsonl in the run's folder; `tensorboard --logdir` and `ragyena
    report` draw the curves. All GPUs of a machine train together; several machines: torchrun ... -m ragyena train ...
    --side-by-side gives each GPU a stage of its own, for recipes whose stages are variants to compare.
    """
    from ragyena.train import run as train
    from ragyena.train.kinds import started_from
    from ragyena.train.launch import Run, process_count, run_together
    from ragyena.train.side_by_side import run_side_by_side, with_seeds, worker_count

    config = train.load(recipe, data_root, overrides or (), check_data=packed is None)
    if start is not None:
        config = started_from(config, start)
    folder = out or Path("runs") / Path(recipe).stem
    with interruptible(f"the same command resumes the run from its last checkpoint ({folder})"):
        if pack_only:
            with TerminalProgress(quiet=quiet) as progress:
                data = train.pack_data(config, folder / "data", progress, encoder=encoder, processes=processes)
                progress.note(data.summary)
            print(data.path)
            return
        run = Run(config, folder, packed, encoder, pair_encoder, device)
        make_progress = partial(TerminalProgress, quiet=quiet)
        if side_by_side:
            results = run_side_by_side(run, worker_count(processes, device), seeds, make_progress)
        else:
            results, count = [], process_count(processes, device)
            for each in with_seeds(run, seeds):
                if count > 1:
                    results += run_together(each, count, make_progress)
                else:
                    with make_progress() as progress:
                        results += each.train(progress)
        for result in results:
            print(
                f"{result.name}: {result.tokens / 1e6:.1f}M tokens in {result.steps:,} steps, {result.seconds:.0f} s "
                f"({result.tokens / max(result.seconds, 1e-9) / 1e6:.2f}M tokens/s); {result.checkpoint}"
            )
