"""``ragyena select``: the evidence for a question, for a person or another model to read."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from ragyena.cli.ask import one_question, opening
from ragyena.cli.cluster import ClusterOption, opened_pipeline
from ragyena.cli.console import emit_json, interruptible, output
from ragyena.cli.options import (
    IndexOption,
    JsonOption,
    PipelineOption,
    QuietOption,
    WhereOption,
    configure,
    parse_filters,
)

__all__ = ["command"]


def command(
    question: Annotated[
        str | None, typer.Argument(metavar="QUESTION", help="The question; read from stdin if left out.")
    ] = None,
    index: IndexOption = None,
    passages: Annotated[
        int | None, typer.Option(metavar="N", help="Choose the N best passages (setting evidence.passages).")
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="Choose the best sentences, of N tokens together (setting evidence.tokens)."),
    ] = None,
    context_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="The most tokens to read (setting packer.context_tokens).")
    ] = None,
    where: WhereOption = None,
    cluster: ClusterOption = None,
    pipeline: PipelineOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Choose the evidence for a question: the best passages or sentences of all that is retrieved and read."""
    config = configure(pipeline, {"packer.context_tokens": context_tokens})
    filters = parse_filters(where or [])
    text = one_question(question)
    with interruptible("nothing was changed"), ExitStack() as stack:
        with opening(quiet):
            opened = stack.enter_context(opened_pipeline(cluster, index, config))
        evidence = opened.select(text, passages=passages, tokens=tokens, filters=filters)
    if json:
        from ragyena.schemas import evidence_json

        emit_json(evidence_json(evidence).model_dump(by_alias=True))
        return
    from ragyena.cli.views import evidence_view

    output().print(evidence_view(evidence))
