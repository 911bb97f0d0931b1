"""Runs of LaTeX -> plain text: accents, symbols, formulas, quantities. References and citations are dropped."""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import Any

from ragyena.documents.latex_source import argument, brace_pairs

__all__ = ["plain"]

LONGEST = 20_000
"""Chars of a run that the library reads; longer ones lose their commands only."""
DEEPEST = 10
"""Braces inside each other; the library may read what is in them twice at each level."""
_SPECIAL = re.compile(r"[\\$~{}^_&]|``|''|--|!`|\?`")
_DROPPED = re.compile(
    r"~?\\(?:[A-Za-z]*cite[A-Za-z]*|[cC]?refs?|eqref|autoref|nameref|pageref|[vV]ref|cpageref|label|index|glsadd|nocite|"
    r"vspace|hspace|includegraphics|includesvg|bibliographystyle|bibliography|input|include|pagestyle|thispagestyle|"
    r"setcounter|addtocounter|setlength|addtolength|usepackage|hypersetup|graphicspath|thanks|orcid|"
    r"definecolor|fontsize|captionsetup|DeclareMathOperator|setlist|color|enlargethispage|phantomsection|balance)"
    r"\*?(?:\s{0,9}\[[^\[\]]{0,500}\]){0,3}(?:\s{0,9}\{[^{}]{0,2000}\}){0,2}"
)
_EMPTY = re.compile(r"[ \t]*(?:\(\s{0,9}[,;]?\s{0,9}\)|\[\s{0,9}\])")
_TWO = re.compile(
    r"\\(?:href|textcolor|colorbox|hyperlink|hyperref|texorpdfstring|foreignlanguage|acrodef)\*?\s*(?=[{\[])"
)
_UNKNOWN = re.compile(r"\\(?:texttt|textsf|mbox|textmd|textup|url|nolinkurl)\s{0,9}(?=\{)")
"""Commands whose argument the library leaves out or puts in signs of its own."""
_QUANTITY = re.compile(
    r"\\(SI|qty|SIrange|qtyrange|num|numrange|si|unit|ang)\s{0,9}(?:\[[^\[\]]{0,200}\])?\s{0,9}(?=\{)"
)
_DOLLAR = re.compile(r"\\.|\$", re.DOTALL)
_SIGN = re.compile(r"\\.|[{}]", re.DOTALL)
_UNIT = re.compile(r"\\([A-Za-z]+)\s*")
_UNITS = {
    **{"kilo": "k", "mega": "M", "giga": "G", "tera": "T", "milli": "m", "micro": "µ", "nano": "n", "pico": "p"},
    **{"centi": "c", "deci": "d", "hecto": "h", "kibi": "Ki", "mebi": "Mi", "gibi": "Gi"},
    **{"gram": "g", "g": "g", "kg": "kg", "mg": "mg", "kilogram": "kg", "metre": "m", "meter": "m", "m": "m"},
    **{"km": "km", "cm": "cm", "mm": "mm", "um": "µm", "nm": "nm", "second": "s", "s": "s", "ms": "ms", "us": "µs"},
    **{"ns": "ns", "minute": "min", "hour": "h", "day": "d", "hertz": "Hz", "Hz": "Hz", "kHz": "kHz", "MHz": "MHz"},
    **{"GHz": "GHz", "watt": "W", "W": "W", "kW": "kW", "joule": "J", "J": "J", "volt": "V", "V": "V", "mV": "mV"},
    **{"ampere": "A", "A": "A", "mA": "mA", "ohm": "Ω", "farad": "F", "tesla": "T", "newton": "N", "pascal": "Pa"},
    **{"kelvin": "K", "K": "K", "celsius": "°C", "degreeCelsius": "°C", "degree": "°", "percent": "%", "mole": "mol"},
    **{"mol": "mol", "litre": "L", "liter": "L", "L": "L", "mL": "mL", "bit": "bit", "byte": "B", "electronvolt": "eV"},
    **{"eV": "eV", "keV": "keV", "MeV": "MeV", "GeV": "GeV", "TeV": "TeV", "bar": "bar", "candela": "cd", "lux": "lx"},
    **{"per": "/", "squared": "²", "cubed": "³", "square": "²", "cubic": "³", "of": " "},
}


def plain(text: str) -> str:
    """One run of LaTeX as a line of text."""
    if not _SPECIAL.search(text):
        return " ".join(text.split())
    text = _EMPTY.sub("", _DROPPED.sub("", text)) if "\\" in text else text
    if "\\" in text:
        text = _second_arguments(_quantities(_UNKNOWN.sub("", text)))
    text, depth = _balanced(text)
    if len(text) <= LONGEST and depth <= DEEPEST:
        try:
            return " ".join(_converter().latex_to_text(text).split())
        except Exception:
            pass  # RecursionError for deep nesting, others of the library for broken source: the words are kept
    return " ".join(re.sub(r"\\[A-Za-z@]+\*?|[\\{}$~]", " ", text).split())


def _balanced(text: str) -> tuple[str, int]:
    """The text without braces, dollars and environments that lack their other half, and how deep braces nest. The
    library reads on from such a place again and again."""
    if text.count("\\begin") != text.count("\\end") or text.count("\\begin") > DEEPEST:
        text = re.sub(r"\\(?:begin|end)\s{0,9}\{[^{}]{0,40}\}", " ", text)
    pairs = brace_pairs(text)
    kept = {*pairs, *pairs.values()}
    parts: list[str] = []
    depth = deepest = position = 0
    for match in _SIGN.finditer(text):
        sign, place = match[0], match.start()
        if sign == "{" and place in kept:
            depth += 1
            deepest = max(deepest, depth)
        elif sign == "}" and place in kept:
            depth -= 1
        elif sign in "{}":
            parts.append(text[position:place])
            position = place + 1
    text = "".join((*parts, text[position:]))
    dollars = sum(1 for match in _DOLLAR.finditer(text) if match[0] == "$")
    return (_DOLLAR.sub(lambda match: match[0] if match[0] != "$" else "", text) if dollars % 2 else text), deepest


@cache
def _converter() -> Any:
    from pylatexenc.latex2text import LatexNodes2Text

    logging.getLogger("pylatexenc").setLevel(logging.CRITICAL)  # it warns of every command that it does not know
    return LatexNodes2Text(math_mode="text", keep_comments=False, strict_latex_spaces=False)


def _second_arguments(text: str) -> str:
    """``\\href{address}{words}`` and the like replaced by their words."""
    if not _TWO.search(text):
        return text
    pairs = brace_pairs(text)
    parts: list[str] = []
    position = 0
    for match in _TWO.finditer(text):
        if match.start() < position:
            continue
        place = match.end()
        if text[place] == "[":
            place = text.find("]", place, place + 500) + 1 or place
            words, end = argument(text, place, pairs)
        else:
            _, place = argument(text, place, pairs)
            words, end = argument(text, place, pairs)
        parts += (text[position : match.start()], words)
        position = max(end, match.end())
    return "".join((*parts, text[position:]))


def _quantities(text: str) -> str:
    """Numbers and units of siunitx, ``\\SI{5}{\\kilo\\gram}``, as they are printed: ``5 kg``."""
    if not _QUANTITY.search(text):
        return text
    pairs = brace_pairs(text)
    parts: list[str] = []
    position = 0
    for match in _QUANTITY.finditer(text):
        if match.start() < position:
            continue
        values, end = [], match.end()
        for _ in range({"SI": 2, "qty": 2, "SIrange": 3, "qtyrange": 3, "numrange": 2}.get(match[1], 1)):
            value, end = argument(text, end, pairs)
            values.append(value)
        if match[1] in {"SI", "qty", "SIrange", "qtyrange", "si", "unit"}:
            values[-1] = _UNIT.sub(lambda unit: _UNITS.get(unit[1], unit[1]), values[-1]).replace(".", " ")
        shown = f"{'–'.join(values[:-1])} {values[-1]}" if match[1] in {"SI", "qty", "SIrange", "qtyrange"} else None
        shown = shown or "–".join(values) + ("°" if match[1] == "ang" else "")
        parts += (text[position : match.start()], shown.replace("%", "\\%"))
        position = end
    return "".join((*parts, text[position:]))
