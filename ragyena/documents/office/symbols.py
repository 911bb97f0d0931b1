"""Characters of symbol fonts (Wingdings, Symbol) as Unicode."""

from __future__ import annotations

__all__ = ["symbol"]

_WINGDINGS = {
    0x6C: "●", 0x6E: "■", 0x6F: "☐", 0x71: "☐", 0x72: "☐", 0x75: "◆", 0x76: "❖", 0x77: "◆", 0x9F: "•", 0xA7: "▪",
    0xA8: "☐", 0xD8: "➢", 0xDF: "←", 0xE0: "→", 0xE1: "↑", 0xE2: "↓", 0xE8: "➔", 0xF0: "⇨", 0xFB: "✗", 0xFC: "✓",
    0xFD: "☒", 0xFE: "☑", 0x28: "☎", 0x2A: "✉", 0x4A: "☺", 0x4C: "☹", 0x80: "⓪",
    **{0x81 + i: chr(0x2460 + i) for i in range(10)},
    **{0x8C + i: chr(0x2776 + i) for i in range(10)},
}  # fmt: skip
_WINGDINGS_2 = {0x4F: "✗", 0x50: "✓", 0x51: "☒", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0xA3: "☐", 0x2A: "☐", 0x30: "☑"}
_SYMBOL = {
    **dict(
        zip(
            range(0x41, 0x5B), "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ", strict=True
        )
    ),
    **dict(zip(range(0x61, 0x7B), "αβχδεφγηιϕκλμνοπθρστυϖωξψζ", strict=True)),
    0xA2: "′", 0xA3: "≤", 0xA5: "∞", 0xAB: "↔", 0xAC: "←", 0xAD: "↑", 0xAE: "→", 0xAF: "↓", 0xB0: "°", 0xB1: "±",
    0xB2: "″", 0xB3: "≥", 0xB4: "×", 0xB5: "∝", 0xB6: "∂", 0xB7: "•", 0xB8: "÷", 0xB9: "≠", 0xBA: "≡", 0xBB: "≈",
    0xBC: "…", 0xC6: "∅", 0xC7: "∩", 0xC8: "∪", 0xCC: "⊂", 0xCE: "∈", 0xCF: "∉", 0xD0: "∠", 0xD1: "∇", 0xD2: "®",
    0xD3: "©", 0xD4: "™", 0xD5: "∏", 0xD6: "√", 0xDB: "⇔", 0xDE: "⇒", 0xE5: "∑", 0xF2: "∫", 0x22: "∀", 0x24: "∃",
    0x27: "∋", 0x2D: "−",
}  # fmt: skip
_FONTS = {"wingdings": _WINGDINGS, "wingdings 2": _WINGDINGS_2, "symbol": _SYMBOL}


def symbol(code: int, font: str) -> str:
    """The character ``code`` of a font, "" where only the font knows its shape.

    >>> symbol(0xF0FE, "Wingdings"), symbol(0xF061, "Symbol"), symbol(0x2192, "Arial")
    ('☑', 'α', '→')
    """
    shapes = _FONTS.get(font.strip().lower(), {})
    low = code - 0xF000 if 0xF000 <= code <= 0xF0FF else code  # symbol fonts lie in the private area
    if low in shapes:
        return shapes[low]
    if 0xF020 <= code <= 0xF07E and not shapes:
        return chr(low)
    is_private = 0xE000 <= code <= 0xF8FF or 0xD800 <= code <= 0xDFFF
    return "" if is_private or not 0x20 <= code <= 0x10FFFF else chr(code)
