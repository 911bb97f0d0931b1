"""Write small Outlook messages (.msg): a compound file of streams, each a property."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

Tree = Mapping[str, "bytes | Tree"]

SECTOR = 512
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def text(number: int, value: str) -> dict[str, bytes]:
    """A text property."""
    return {f"__substg1.0_{number:04X}001F": value.encode("utf-16-le")}


def binary(number: int, value: bytes) -> dict[str, bytes]:
    """A property of bytes."""
    return {f"__substg1.0_{number:04X}0102": value}


def fixed(header: int, values: Mapping[int, int]) -> dict[str, bytes]:
    """The stream of numbers and times."""
    rows = b"".join(struct.pack("<HHIQ", 0x0040, number, 6, value) for number, value in values.items())
    return {"__properties_version1.0": bytes(header) + rows}


def write_compound(path: Path, tree: Tree) -> None:
    """Write a compound file (MS-CFB) of storages (mappings) and streams (bytes)."""
    entries: list[bytearray] = []
    sectors, mini = bytearray(), bytearray()
    fat: list[int] = []
    mini_fat: list[int] = []

    def store(content: bytes, area: bytearray, table: list[int], size: int) -> int:
        """Append content to an area of sectors of a size; its first sector."""
        start = len(table)
        count = -(-len(content) // size)
        table.extend([*range(start + 1, start + count), _END])
        area.extend(content.ljust(count * size, b"\0"))
        return start

    def add(name: str, kind: int, content: bytes = b"") -> int:
        entry = bytearray(128)
        encoded = name.encode("utf-16-le") + b"\0\0"
        entry[: len(encoded)] = encoded
        struct.pack_into("<HBBIII", entry, 64, len(encoded), kind, 1, _FREE, _FREE, _FREE)
        start = _END
        if content:
            small = len(content) < 4096
            start = store(content, mini, mini_fat, 64) if small else store(content, sectors, fat, SECTOR)
        struct.pack_into("<IQ", entry, 116, start, len(content))
        entries.append(entry)
        return len(entries) - 1

    def fill(parent: int, children: Tree) -> None:
        last = -1
        for name, content in children.items():
            index = add(name, 2, content) if isinstance(content, bytes) else add(name, 1)
            struct.pack_into("<I", entries[parent if last < 0 else last], 76 if last < 0 else 72, index)
            last = index
            if not isinstance(content, bytes):
                fill(index, content)

    fill(add("Root Entry", 5), tree)
    struct.pack_into("<IQ", entries[0], 116, store(bytes(mini), sectors, fat, SECTOR), len(mini))
    first = store(b"".join(map(bytes, entries)), sectors, fat, SECTOR)
    first_mini = store(struct.pack(f"<{len(mini_fat)}I", *mini_fat).ljust(SECTOR, b"\xff"), sectors, fat, SECTOR)
    fat_count = -(-(len(fat) + 8) // (SECTOR // 4))
    places = list(range(len(fat), len(fat) + fat_count))
    fat += [_FAT] * fat_count
    header = bytearray(SECTOR)
    header[:8] = bytes.fromhex("d0cf11e0a1b11ae1")
    struct.pack_into("<HHHHH", header, 24, 0x3E, 3, 0xFFFE, 9, 6)
    struct.pack_into("<IIIIIIII", header, 44, fat_count, first, 0, 4096, first_mini, 1, _END, 0)
    struct.pack_into("<109I", header, 76, *(places + [_FREE] * (109 - fat_count)))
    table = struct.pack(f"<{len(fat)}I", *fat).ljust(fat_count * SECTOR, b"\xff")
    path.write_bytes(bytes(header + sectors) + table)
