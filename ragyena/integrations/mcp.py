"""The Model Context Protocol: an index as tools of an assistant, over stdio or streamable HTTP."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, InputRequiredResult, Tool

from ragyena import __version__

if TYPE_CHECKING:
    from ragyena.integrations.tools import Tools

__all__ = ["Server"]

INSTRUCTIONS = """\
Answers questions from the user's own documents, with quotes that stand in them word for word. Use `ask` for a question
with an answer in the documents, `select` to gather what bears on a wider one, `search` to see the passages about a
subject, `read_document` to read on around one.
Cite the document and its page or lines. Where `ask` finds no answer, say so, or search in other words."""


class Server(MCPServer):
    """A server whose tools are made when they are first asked for: an assistant waits for the first answer of each of
    its servers, and that one needs none of them."""

    def __init__(self, make_tools: Callable[[], Tools]) -> None:
        super().__init__(
            "ragyena",
            title="ragyena",
            description="Answers from the user's documents, with exact citations",
            instructions=INSTRUCTIONS,
            version=__version__,
            log_level="WARNING",
        )
        self._make_tools = make_tools
        self._tools: Tools | None = None

    async def list_tools(self) -> list[Tool]:
        """The tools, with their schemas."""
        self._complete()
        return await super().list_tools()

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool by its name. Raises ToolError for an argument that it does not take: the package would leave it
        out, and give what was not asked for."""
        self._complete()
        for tool in await super().list_tools():
            takes = tool.input_schema.get("properties", {})
            if tool.name == name and (unknown := [f"'{each}'" for each in arguments if each not in takes]):
                raise ToolError(
                    f"Error executing tool {name}: there is no argument {', '.join(unknown)}. "
                    f"Hint: it takes {', '.join(takes)}"
                )
        return await super().call_tool(name, arguments, context)

    def serve(self, *, transport: Literal["stdio", "streamable-http"], port: int) -> None:
        """Serve until the client closes stdin, or the process is ended. Over HTTP, to this machine alone."""
        if transport == "stdio":
            self.run()
        else:  # for a loopback address the package checks Host and Origin by itself
            self._complete()
            self.run("streamable-http", host="127.0.0.1", port=port)

    def close(self) -> None:
        """Close what the tools hold open."""
        if self._tools is not None:
            self._tools.close()

    def _complete(self) -> None:
        if self._tools is not None:
            return
        from ragyena.integrations.mcp_tools import add_tools

        gc.disable()  # collections would be a tenth of the time that this takes, and free nothing
        try:
            self._tools = self._make_tools()
            add_tools(self, self._tools)
        finally:
            gc.freeze()
            gc.enable()
