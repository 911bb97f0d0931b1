"""Limits of what an assistant gets from one call of a tool (``ragyena mcp``), and where that server listens."""

from __future__ import annotations

__all__ = [
    "EVIDENCE",
    "LISTED",
    "MATCHES",
    "MCP_PORT",
    "MIN_EVIDENCE",
    "MOST_EVIDENCE",
    "MOST_LISTED",
    "MOST_MATCHES",
    "READ_CHARS",
]

READ_CHARS = 16_000
"""Characters of a document in one reading: about 4,000 tokens."""
LISTED = 100
MOST_LISTED = 1000
"""Files in one list: by default, and at most."""
MATCHES = 10
MOST_MATCHES = 50
"""Passages of one search: by default, and at most."""
EVIDENCE = 1500
MIN_EVIDENCE = 64
MOST_EVIDENCE = 8000
"""Tokens of evidence: by default, at least, and at most."""
MCP_PORT = 8786
"""Port of ``ragyena mcp --http``."""
