"""Formulas (OMML of Word and PowerPoint, MathML of OpenDocument) as one line of text: ``x=(-b±√(b^2-4ac))/2a``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ragyena.documents.office.package import Element, local

__all__ = ["formula"]

Parts = Sequence[tuple[str, str]]
"""Name and text of the children of an element, in order."""


def formula(element: Element) -> str:
    """The text of a formula. Takes time linear in its size, and its depth costs no stack."""
    results: list[list[tuple[str, str]]] = [[]]
    stack: list[tuple[Element, bool]] = [(element, False)]
    while stack:
        current, is_done = stack.pop()
        name = local(current)
        if not is_done:
            if name in ("del", "moveFrom", "rPr", "ctrlPr", "annotation", "annotation-xml"):
                continue
            results.append([])
            stack.append((current, True))
            stack.extend((child, False) for child in reversed(current) if isinstance(child.tag, str))
        else:
            parts = results.pop()
            results[-1].append((name, _WRITE.get(name, _plain)(parts, current)))
    return " ".join("".join(text for _, text in results[0]).split())


def _plain(parts: Parts, element: Element) -> str:
    own = "".join((element.text or "").split("\n")) if local(element) in ("t", "mi", "mn", "mo", "mtext", "ms") else ""
    return own + "".join(text for _, text in parts)


def _of(parts: Parts, name: str) -> str:
    return "".join(text for part, text in parts if part == name)


def _group(text: str) -> str:
    return text if len(text) <= 1 or text.isalnum() else f"({text})"


def _value(element: Element, path: Sequence[str], default: str) -> str:
    """The ``m:val`` at a path of child names below an element."""
    found: Element | None = element
    for name in path:
        found = None if found is None else next((child for child in found if local(child) == name), None)
    if found is None:
        return default
    return next((value for key, value in found.attrib.items() if key.rpartition("}")[2] == "val"), "")


def _fraction(parts: Parts, element: Element) -> str:
    return f"{_group(_of(parts, 'num'))}/{_group(_of(parts, 'den'))}"


def _radical(parts: Parts, element: Element) -> str:
    degree = _of(parts, "deg")
    return f"{degree if degree != '2' else ''}√{_group(_of(parts, 'e'))}"


def _raised(base: str, below: str, above: str) -> str:
    return base + (f"_{_group(below)}" if below else "") + (f"^{_group(above)}" if above else "")


def _script(parts: Parts, element: Element) -> str:
    return _raised(_of(parts, "e"), _of(parts, "sub"), _of(parts, "sup"))


def _limit(parts: Parts, element: Element) -> str:
    return _raised(_of(parts, "e"), _of(parts, "lim"), "")


def _operator(parts: Parts, element: Element) -> str:
    sign = _value(element, ("naryPr", "chr"), "∫")
    return f"{_raised(sign, _of(parts, 'sub'), _of(parts, 'sup'))} {_of(parts, 'e')}"


def _delimiters(parts: Parts, element: Element) -> str:
    begin, end = _value(element, ("dPr", "begChr"), "("), _value(element, ("dPr", "endChr"), ")")
    between = _value(element, ("dPr", "sepChr"), "|")
    return begin + between.join(text for name, text in parts if name == "e") + end


def _matrix(parts: Parts, element: Element) -> str:
    return "; ".join(text for name, text in parts if name in ("mr", "mtr", "e") and text)


def _row(parts: Parts, element: Element) -> str:
    return ", ".join(text for name, text in parts if name in ("e", "mtd"))


def _nothing(parts: Parts, element: Element) -> str:
    return ""


def _at(parts: Parts, index: int) -> str:
    return parts[index][1] if index < len(parts) else ""


_WRITE: dict[str, Callable[[Parts, Element], str]] = {
    "f": _fraction,
    "rad": _radical,
    "sSup": _script,
    "sSub": _script,
    "sSubSup": _script,
    "sPre": _script,
    "limLow": _limit,
    "limUpp": lambda parts, element: _raised(_of(parts, "e"), "", _of(parts, "lim")),
    "nary": _operator,
    "d": _delimiters,
    "m": _matrix,
    "eqArr": _matrix,
    "mr": _row,
    "naryPr": _nothing,
    # MathML
    "mfrac": lambda parts, element: f"{_group(_at(parts, 0))}/{_group(_at(parts, 1))}",
    "msqrt": lambda parts, element: f"√{_group(''.join(text for _, text in parts))}",
    "mroot": lambda parts, element: f"{_at(parts, 1)}√{_group(_at(parts, 0))}",
    "msup": lambda parts, element: _raised(_at(parts, 0), "", _at(parts, 1)),
    "msub": lambda parts, element: _raised(_at(parts, 0), _at(parts, 1), ""),
    "msubsup": lambda parts, element: _raised(_at(parts, 0), _at(parts, 1), _at(parts, 2)),
    "munder": lambda parts, element: _raised(_at(parts, 0), _at(parts, 1), ""),
    "mover": lambda parts, element: _raised(_at(parts, 0), "", _at(parts, 1)),
    "munderover": lambda parts, element: _raised(_at(parts, 0), _at(parts, 1), _at(parts, 2)),
    "mtable": _matrix,
    "mtr": _row,
}
