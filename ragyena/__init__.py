"""ragyena answers questions over document collections with a Hyena reader and exact citations.

    import ragyena
    answer = ragyena.open("my-index").ask("When was the bridge built?")

``ragyena.open`` and the value types are all most programs need; importing this package loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    from ragyena.pipeline import Pipeline
    from ragyena.types import Answer, Citation, Document, Passage, ScoredPassage

__version__ = "0.1.0"
__all__ = ["Answer", "Citation", "Document", "Passage", "ScoredPassage", "__version__", "open"]


def open(index: str | os.PathLike[str] | None = None, *, pipeline: str | None = None) -> Pipeline:
    """Opens an index, by name or path, and the reader that goes with it.

    ``index`` is what ``--index`` is on the command line (None for the default index), ``pipeline`` a recipe's name or
    path. Settings come from the environment, the project file and the user file, as they do for the command line.

    Raises IndexProblem, ConfigError, CheckpointError or MissingDependencyError, all in ``ragyena.errors``.
    """
    import os

    from ragyena.index.use_cases import resolve_index
    from ragyena.pipeline import Pipeline
    from ragyena.settings import load_settings

    config = load_settings(pipeline=pipeline).config
    return Pipeline.open(resolve_index(None if index is None else os.fspath(index), config), config)


def __getattr__(name: str) -> Any:
    """The value types, imported on first use: numpy comes with them."""
    if name in __all__:
        from ragyena import types

        return getattr(types, name)
    raise AttributeError(f"module 'ragyena' has no attribute '{name}'")
