"""ragyena answers questions over document collections with a Hyena reader and exact citations.

    import ragyena
    answer = ragyena.open("my-index").ask("When was the bridge built?")

``ragyena.open`` and the value types are all most programs need; importing this package loads no torch.
"""

from __future__ import annotations

from ragyena.types import Answer, Citation, Document, Passage, ScoredPassage

__version__ = "0.1.0"
__all__ = ["Answer", "Citation", "Document", "Passage", "ScoredPassage", "__version__"]
