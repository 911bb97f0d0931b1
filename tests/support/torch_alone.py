"""A Python process in which nothing but the standard library and torch, with what torch needs, can be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_REFUSE = """
import sys

class Refuse:
    ELSEWHERE = {"faiss", "httpx", "huggingface_hub", "langchain_core", "pydantic", "rich", "safetensors",
                 "sentence_transformers", "tokenizers", "transformers", "typer", "yaml"}

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.ELSEWHERE or name in REFUSED:
            raise ImportError(f"{name} is imported")

sys.meta_path.insert(0, Refuse())
"""


def run(code: str, *arguments: str, refused: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Runs ``code`` with the checkout on its path; importing a module of ``refused`` is an error too."""
    whole = f"REFUSED = {set(refused)!r}\n{_REFUSE}\n{code}"
    return subprocess.run([sys.executable, "-c", whole, *arguments], cwd=ROOT, capture_output=True, text=True)
