"""What ``import ragyena`` gives, and what it does not load."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import ragyena
from ragyena import types

HEAVY = ("torch", "faiss", "sentence_transformers", "transformers", "numpy", "langchain_core")


def loaded_by(statement: str) -> set[str]:
    """The heavy packages that are loaded in a fresh interpreter after ``statement``."""
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


def test_the_exported_names() -> None:
    assert ragyena.__all__ == ["Answer", "Citation", "Document", "Passage", "ScoredPassage", "__version__", "open"]
    for name in ragyena.__all__:
        assert getattr(ragyena, name) is not None
    assert ragyena.Answer is types.Answer


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Awnser"):
        _ = ragyena.Awnser


@pytest.mark.parametrize(
    "statement",
    [
        "import ragyena",
        "import ragyena.cli.main",
        "import ragyena.cli.main as main; main.commands()",
    ],
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    assert loaded_by(statement) == set()


def test_settings_load_no_torch() -> None:
    assert "torch" not in loaded_by("import ragyena.settings; ragyena.settings.load_settings()")


def test_frozen_contexts_are_evaluated_without_faiss() -> None:
    """...which the machine with the GPU may lack."""
    code = (
        "import sys\nsys.modules['faiss'] = None\nfrom ragyena.cli.main import run\n"
        "sys.argv = ['ragyena', 'eval', 'squad-dev', '--frozen', 'none.jsonl.xz']\nrun()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 3 and "there is no file none.jsonl.xz" in done.stderr


def test_every_module_declares_what_it_exports() -> None:
    for info in pkgutil.walk_packages(ragyena.__path__, "ragyena."):
        if info.ispkg or info.name.endswith(".__main__"):
            continue
        try:
            module = importlib.import_module(info.name)
        except ModuleNotFoundError as error:
            assert not (error.name or "ragyena").startswith("ragyena"), error
            continue
        assert all(hasattr(module, name) for name in module.__all__), info.name
