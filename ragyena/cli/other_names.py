"""Names that people try for a command, as other programs have it, and the command that does the work here."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

from ragyena.errors import UsageError

__all__ = ["IndexGroup"]

OF_INDEX = {
    **dict.fromkeys(("list", "ls", "files", "show", "info", "stats"), "status"),
    **dict.fromkeys(("remove", "delete", "del", "drop", "forget"), "rm DOC"),
    **dict.fromkeys(("create", "new", "init"), "add PATH..."),
    **dict.fromkeys(("rebuild", "reindex"), "add PATH... --rebuild"),
    **dict.fromkeys(("update", "refresh"), "sync FOLDER"),
    "watch": "sync FOLDER --watch",
    **dict.fromkeys(("find", "query"), "search QUERY"),
    "check": "verify",
    "repair": "verify --repair",
    "migrate": "upgrade",
}


class IndexGroup(TyperGroup):
    """``ragyena index``: an unknown command that has another name here is an error with that name."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in OF_INDEX and args[0] not in self.commands:
            raise UsageError(
                f"there is no command 'index {args[0]}'",
                hint=f"ragyena index {OF_INDEX[args[0]]}",
            )
        return super().resolve_command(ctx, args)
