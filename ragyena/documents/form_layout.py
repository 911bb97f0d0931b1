"""Forms: tables of labels, each with its value beside it, told apart from tables under column names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from statistics import median

from ragyena.documents.cell_kinds import kind_of, unit_of
from ragyena.documents.merged_cells import Covered

__all__ = ["Row", "find_labels", "is_attribute", "pairs_of"]

Row = tuple[str, ...]
"""Cells of a row on one line each; those that are missing at its end are empty."""

LONGEST_LABEL = 80
LONG_VALUE = 30
"""Chars from which a text in the first row is a value, not the name of a column."""
_COLONS = (":", "：")

_ATTRIBUTES = frozenset(
    """name title author date address street city town country state zip postcode phone telephone tel fax mobile email
    e-mail mail website web url company customer client supplier contact contractor department position role project
    subject topic id number no ref reference order invoice version status type category description comments notes
    remarks language born birth birthday age gender sex nationality created modified updated approved prepared reviewed
    due start end from to duration location place room venue currency amount total subtotal price weight height width
    length depth colour color size material model manufacturer serial brand capacity power voltage speed period year
    month week quarter owner manager responsible priority deadline budget iban bic vat policyholder policy patient
    hospital ward consultant diagnosis insurer insured employer employee assistant lecturer teacher mentor tutor
    supervisor auditor present apologies minutes site building office hours credits prerequisites assessment
    signature signed mark late probation tenant landlord borrower holder premium account tender event organiser
    purpose scope issued valid sheet source licence license contents
    anschrift adresse datum ort plz telefon firma kunde kunden auftraggeber auftragnehmer vertrag
    projekt betreff abteilung thema nom prénom ville pays téléphone fecha nombre dirección teléfono""".split()  # noqa: SIM905
)
"""Last words of labels as forms have them, and of many names of columns."""
_OF_COLUMNS = frozenset(
    """price role event task meaning explanation definition effect action result answer capital share
    count quantity qty cost costs fee rate score points unit units detail details item items feature property
    attribute parameter field term code step""".split()  # noqa: SIM905
)
"""Names of columns that are no values."""
_MISSING = frozenset(("-", "–", "—", "n/a", "na", "none", "tbd", "tba", "?", "x", "unknown", "k. a.", "k.a."))
"""Stand for a value that is not there."""
_NAMES = re.compile(
    r"(?:[A-Z][\w'’.]*|of|the|and|&|de|van|von|der)(?: (?:[A-Z][\w'’.-]*|of|the|and|&|de|van|von|der))+"
)


def pairs_of(row: Row, labels: Sequence[int] = ()) -> Iterator[tuple[str, str]]:
    """The labels of a form's row, each with its value; a text without a label or value has an empty one.

    ``labels`` are the columns of labels where they are known; a label there without a value is a label all the same.
    """
    cells = [cell for cell in row if cell and not isinstance(cell, Covered)]
    marked = any(cell.endswith(_COLONS) for cell in cells)
    if labels and not marked:
        yield from _pairs_at(row, labels)
        return
    i = 0
    while i < len(cells):
        cell, after = cells[i], cells[i + 1] if i + 1 < len(cells) else ""
        is_label = cell.endswith(_COLONS) if marked else bool(after)
        if is_label and after and not (marked and after.endswith(_COLONS)):
            yield cell.rstrip(":： "), after
            i += 2
        else:
            yield "", cell
            i += 1


def _pairs_at(row: Row, labels: Sequence[int]) -> Iterator[tuple[str, str]]:
    places = [i for i in labels if i < len(row) and row[i] and not isinstance(row[i], Covered)]
    for start, stop in zip([0, *places], [*places, len(row)], strict=True):
        rest = start + (start in places)
        values = [cell for cell in row[rest:stop] if cell and not isinstance(cell, Covered)]
        if start in places and stop > start:
            yield row[start], values[0] if values else ""
            values = values[1:]
        for value in values:
            yield "", value


def find_labels(rows: Sequence[Row], *, may_have_names: bool) -> tuple[int, ...] | None:
    """The columns of labels of a form, () where colons mark them: ``Name: | Ann | Born: | 1970``. None for no form.

    ``may_have_names`` is False where the file says that no row names the columns.
    """
    own = [tuple("" if isinstance(cell, Covered) else cell for cell in row) for row in rows]
    own = [row for row in own if sum(map(bool, row)) > 1]
    if 2 * sum(next(filter(None, row)).endswith(_COLONS) for row in own) > len(own):
        return ()
    places = sorted({i for row in own for i, cell in enumerate(row) if cell})
    if len(places) not in (2, 4, 6) or 2 * len(own) < len(rows):
        return None
    width = places[-1] + 1
    cells = [[*row, *[""] * (width - len(row))] for row in own]
    cells = [[row[i] for i in places] for row in cells]
    labels = [row[i] for row in cells for i in range(0, len(row), 2) if row[i]]
    if _repeats(cells) or not all(row[0] for row in cells):
        return None
    if any(len(label) > LONGEST_LABEL or kind_of(label) != "text" for label in labels):
        return None
    if any(row[i + 1] and not row[i] for row in cells for i in range(0, len(row), 2)):
        return None
    if len(cells) == 1:
        is_form = len(rows) == 1 and is_attribute(labels[0])
    elif len(places) > 2:
        is_form = _is_form_of_several(cells, labels, may_have_names)
    else:
        is_form = not may_have_names or _is_form_of_two_columns(cells)
    return tuple(places[::2]) if is_form else None


def _repeats(rows: Sequence[Sequence[str]]) -> bool:
    """True where labels come again in their column, beside one or two such as ``Phone``; or names in the first row."""
    first = list(zip(rows[0][::2], rows[0][1::2], strict=True))
    if len(set(first)) < len(first):
        return True  # tables side by side
    for i in range(0, len(rows[0]), 2):
        labels = [row[i] for row in rows if row[i]]
        again = [label for label in dict.fromkeys(labels) if labels.count(label) > 1]
        if again and (5 * len(again) > len(labels) or not all(map(is_attribute, again))):
            return True
    return False


def _is_form_of_several(rows: Sequence[Sequence[str]], labels: Sequence[str], may_have_names: bool) -> bool:
    if not may_have_names:
        return True
    values = [cell for cell in rows[0][1::2] if cell]
    below = [label for row in rows[1:] for label in row[::2] if label]
    known = sum(map(is_attribute, below))
    if any(is_attribute(cell) or _names_column(cell) for cell in values):
        return 2 * known >= len(below)
    if 4 * known >= len(below) or 2 * sum(map(is_attribute, labels)) >= len(labels):
        return True
    return any(map(_is_value, values)) if known else bool(values) and all(map(_is_value_alone, values))


def _is_form_of_two_columns(rows: Sequence[Sequence[str]]) -> bool:
    """Tell a form of labels and values from a table of two columns under names."""
    (label, value), *below = rows
    if (is_attribute(value) or _names_column(value)) and value.strip().lower() not in _MISSING:
        return False  # ``Product | Price``
    known = sum(is_attribute(other) for other, _ in below)
    if known and 3 * known >= len(below):
        return True
    filled = [cell for _, cell in below if cell and cell.lower() not in _MISSING]
    kinds = [kind_of(cell) for cell in filled]
    if kind_of(value) in ("number", "measure") or (kind_of(value) != "text" and kind_of(value) in kinds):
        return True
    units = {unit_of(cell) for cell in filled} - {""}
    texts = kinds.count("text")
    is_mixed = min(texts, len(kinds) - texts) * 10 >= 3 * len(kinds) or len(set(kinds)) > 2 or len(units) > 1
    if is_mixed and len(below) > 1:
        return True
    if len(below) < 2 and not known and not is_attribute(label):
        return False
    # Texts alone: the first is a value where it is none that could name the others.
    return 2 * texts > len(kinds) and _is_value(value) and 3 * len(value) >= median(map(len, filled))


def _is_value(cell: str) -> bool:
    """True for a text that names no column: long, with a digit or a sign of a sentence or list, or somebody's name."""
    return _is_value_alone(cell) or (any(map(str.isdigit, cell)) and not is_attribute(cell))


def _is_value_alone(cell: str) -> bool:
    """True for a value that needs no other evidence; ``Menu 1`` does."""
    if not cell or is_attribute(cell):
        return False
    return (
        len(cell) > LONG_VALUE
        or kind_of(cell) != "text"
        or any(char in "@;,→☐☒☑" for char in cell)
        or cell.endswith(".")
        or (bool(_NAMES.fullmatch(cell)) and not _names_column(cell))
    )


def is_attribute(label: str) -> bool:
    """True for a label as forms have it, of at most three words: ``Date of birth``."""
    words = label.lower().rstrip(":：?*. ").split()
    return bool(words) and len(words) < 4 and words[-1] in _ATTRIBUTES


def _names_column(cell: str) -> bool:
    words = cell.lower().split()
    return bool(words) and len(words) < 4 and words[-1] in _OF_COLUMNS
