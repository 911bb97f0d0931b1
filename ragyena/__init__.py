"""Answer questions over document collections with a Hyena reader and exact citations.

    >>> from ragyena import Index, Pipeline
    >>> with Index.create("./towns") as index:
    ...     report = index.add({"town": "The bridge of Oldtown was built in 1932.", "tea": "Brew tea at 70 degrees."})
    >>> with Pipeline.open("./towns") as pipeline:
    ...     answer = pipeline.ask("When was the bridge of Oldtown built?")
    >>> answer.text, answer.citations[0].quote
    ('1932', 'The bridge of Oldtown was built in 1932.')

Any setting is overridden by ``settings=``, where an index or a pipeline is opened or for one call:
``pipeline.ask(question, settings={"packer.context_tokens": 4096})``; ``ragyena config show`` lists them. Importing this
package loads no torch.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; importing typing takes longer than all else here
if TYPE_CHECKING:
    import os
    from typing import Any

    from ragyena.errors import RagyenaError
    from ragyena.index.index import Index
    from ragyena.pipeline import Pipeline
    from ragyena.settings import Overrides
    from ragyena.types import Answer, Citation, Document, Evidence, EvidencePiece, Passage, ScoredPassage

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Citation",
    "Document",
    "Evidence",
    "EvidencePiece",
    "Index",
    "Passage",
    "Pipeline",
    "RagyenaError",
    "ScoredPassage",
    "__version__",
    "open",
]

_HOMES = {"Index": "ragyena.index.index", "Pipeline": "ragyena.pipeline", "RagyenaError": "ragyena.errors"}


def open(index: str | os.PathLike[str] | None = None, *, settings: Overrides = None) -> Pipeline:
    """Open an index and the reader: short for ``Pipeline.open``, with the same arguments and errors.

    Example:
        >>> import ragyena
        >>> with ragyena.open("./bridges", settings={"pipeline": "quick"}) as pipeline:
        ...     pipeline.ask("When was the bridge built?").text
        '1932'
    """
    from ragyena.pipeline import Pipeline

    return Pipeline.open(index, settings=settings)


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: numpy and torch come with them."""
    import importlib

    if name in __all__:
        return getattr(importlib.import_module(_HOMES.get(name, "ragyena.types")), name)
    raise AttributeError(f"module 'ragyena' has no attribute '{name}'")
