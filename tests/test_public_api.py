"""The public API: exported names, examples, and no heavy imports."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ragyena
from ragyena import config, types

API = ("ragyena", "ragyena.index.index", "ragyena.index.view", "ragyena.pipeline")
"""The modules of the public API."""
HEAVY = ("torch", "faiss", "sentence_transformers", "transformers", "numpy", "langchain_core")


def loaded_by(statement: str) -> set[str]:
    """The heavy packages that are loaded in a fresh interpreter after ``statement``."""
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [test for name in API for test in finder.find(importlib.import_module(name), name) if test.examples]


@pytest.fixture(scope="module")
def bridges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index that the examples go on from."""
    folder = tmp_path_factory.mktemp("examples") / "bridges"
    with ragyena.Index.create(folder) as index:
        index.add({"iron": "The iron bridge was built in 1932.", "tea": "Brew tea at 70 degrees."})
    return folder


@pytest.fixture(scope="module")
def pipeline(bridges: Path) -> Iterator[ragyena.Pipeline]:
    with ragyena.Pipeline.open(bridges) as opened:
        yield opened


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_the_examples_of_the_api_are_true(
    example: doctest.DocTest,
    bridges: Path,
    pipeline: ragyena.Pipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(bridges, tmp_path / "bridges")
    (tmp_path / "minutes").mkdir()
    (tmp_path / "minutes" / "stone.md").write_text("The stone bridge has four arches.", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    example.globs |= {"Index": ragyena.Index, "Pipeline": ragyena.Pipeline, "pipeline": pipeline}
    assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example).failed == 0


@pytest.mark.parametrize("holder", [ragyena, ragyena.Index, ragyena.Pipeline], ids=lambda holder: holder.__name__)
def test_every_public_function_is_documented(holder: object) -> None:
    for name, member in inspect.getmembers(holder, inspect.isroutine):
        if not name.startswith("_"):
            assert inspect.getdoc(member), name


def test_the_exported_names() -> None:
    values = ["Answer", "Citation", "Document", "Evidence", "EvidencePiece", "Passage", "ScoredPassage"]
    assert sorted(ragyena.__all__) == sorted([*values, "Index", "Pipeline", "RagyenaError", "__version__", "open"])
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


def test_the_package_is_imported_in_a_moment() -> None:
    """Seconds of the processor, which other processes of the machine change little."""
    code = "import time; began = time.process_time(); import ragyena; print(time.process_time() - began)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.15


def test_every_name_of_the_settings_is_there_and_a_command_loads_those_it_needs() -> None:
    assert set(config.__all__) == {name for name in config.__all__ if getattr(config, name) is not None}
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = config.Nothing
    code = "import sys, ragyena.cli.main; print([name for name in sys.modules if name.startswith('ragyena.config.')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "ragyena.config.training" not in loaded and "ragyena.config.evaluation" not in loaded, loaded


def test_settings_load_no_torch() -> None:
    assert "torch" not in loaded_by("import ragyena.settings; ragyena.settings.load_settings()")


def test_frozen_contexts_are_evaluated_without_faiss() -> None:
    """A GPU machine may lack FAISS."""
    code = (
        "import sys\nsys.modules['faiss'] = None\nfrom ragyena.cli.main import run\n"
        "sys.argv = ['ragyena', 'eval', 'squad-dev', '--frozen', 'none.jsonl.xz']\nrun()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 3 and "there is no file none.jsonl.xz" in done.stderr


def test_every_module_declares_what_it_exports() -> None:
    for info in pkgutil.walk_packages(ragyena.__path__, "ragyena."):
        # A format has names of its own by which it is used: SUFFIXES, load and others of ragyena.documents.formats.
        if info.ispkg or info.name.endswith(".__main__") or info.name.startswith("ragyena.documents.formats."):
            continue
        try:
            module = importlib.import_module(info.name)
        except ModuleNotFoundError as error:
            assert not (error.name or "ragyena").startswith("ragyena"), error
            continue
        assert all(hasattr(module, name) for name in module.__all__), info.name
