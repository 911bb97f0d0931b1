"""The indexes that a server answers from: open, with one reader for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ragyena.config import PipelineConfig
from ragyena.errors import ConfigError, IndexNotFoundError, UsageError
from ragyena.files import expanded
from ragyena.index.index import Index
from ragyena.index.storage import locate
from ragyena.integrations.writer import AnswerWriter
from ragyena.pipeline import Pipeline
from ragyena.reader.reader import Reader

__all__ = ["Library", "ServedIndex"]


@dataclass(frozen=True, slots=True)
class ServedIndex:
    """An open index with its name in requests, and the folder of the files uploaded to it."""

    name: str
    pipeline: Pipeline
    uploads: Path
    baseline: Pipeline | None = None
    """The index with the second reader (``serve.baseline``)."""
    writer: AnswerWriter | None = None
    """The writer of the settings, on ``pipeline``."""

    @property
    def index(self) -> Index:
        return self.pipeline.index


class Library:
    """The served indexes by name, the default one first. A context manager."""

    def __init__(self, config: PipelineConfig) -> None:
        """Open the indexes of ``config.serve.indexes``, and make those that are not there yet.

        Raises UsageError where two have one name, ConfigError for a recipe that retrieves from another store or a
        writer without a model, and the errors of ``Pipeline.open``.
        """
        if config.retriever.langchain is not None:
            raise ConfigError(
                f"the recipe retrieves from {config.retriever.langchain.class_}, and a server answers from indexes",
                hint="serve with a recipe without retriever.langchain; `ragyena ask` takes this one",
            )
        self.config = config
        self._served: dict[str, ServedIndex] = {}
        with ExitStack() as opened, ThreadPoolExecutor(max_workers=1) as background:
            loading = background.submit(_readers, config)
            for given in config.serve.indexes or (None,):
                folder = locate(given, config)
                if folder.name in self._served:
                    raise UsageError(
                        f"two indexes have the name '{folder.name}'", hint="serve them from folders of different names"
                    )
                index = opened.enter_context(Index.open(folder, create=True, settings=config))
                if config.retriever.mode != "lexical":
                    index.embedder()
                reader, baseline = loading.result()
                pipeline = Pipeline(index, reader, config)
                self._served[folder.name] = ServedIndex(
                    folder.name,
                    pipeline,
                    _uploads(folder, config),
                    baseline=None if baseline is None else Pipeline(index, baseline, _with_baseline(config)),
                    writer=None if config.writer.url is None else AnswerWriter(pipeline),
                )
            self._opened = opened.pop_all()

    @property
    def default(self) -> ServedIndex:
        return next(iter(self))

    def __iter__(self) -> Iterator[ServedIndex]:
        return iter(self._served.values())

    def get(self, name: str | None) -> ServedIndex:
        """The index of this name, None for the default one. Raises IndexNotFoundError."""
        if name is None:
            return self.default
        if name not in self._served:
            raise IndexNotFoundError(
                f"no index '{name}' is served", hint=f"name one of these: {', '.join(self._served)}"
            )
        return self._served[name]

    def close(self) -> None:
        """Close the indexes."""
        self._opened.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _readers(config: PipelineConfig) -> tuple[Reader, Reader | None]:
    """The reader, and the second one where the settings name one."""
    baseline = None if config.serve.baseline is None else Reader.open(_with_baseline(config).reader)
    return Reader.open(config.reader), baseline


def _with_baseline(config: PipelineConfig) -> PipelineConfig:
    reader = config.reader.model_copy(update={"checkpoint": config.serve.baseline})
    return config.model_copy(update={"reader": reader})


def _uploads(folder: Path, config: PipelineConfig) -> Path:
    if config.serve.uploads is not None:
        return Path(expanded(config.serve.uploads)).absolute() / folder.name
    return folder.with_name(f"{folder.name}.uploads")
