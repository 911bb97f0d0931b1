"""A text with a table in Markdown, and the same as it is read."""

from __future__ import annotations

TABLE = """Prices of the shop.

| Item | Price | Note |
| --- | --- | --- |
| Bolt M8 | 12 EUR | **zinc** |
| Nut M8 | 8 EUR | 12 EUR a pack |

Closed on Sundays.
"""
READ = """Prices of the shop.



Item: Bolt M8; Price: 12 EUR; Note: zinc
Item: Nut M8; Price: 8 EUR; Note: 12 EUR a pack

Closed on Sundays.
"""
