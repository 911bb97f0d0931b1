"""The libraries that ``benchmarks/peers.py`` compares, each behind the same five methods, set up as its documentation
has it for speed on one machine.

Whatever a library brings for a step is used for it: readers of folders, splitters, stores, ways to save. txtai, bm25s
and tantivy bring no splitter by size: they get LangChain's. What a library needs is imported when its engine is made,
before anything is timed.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["ENGINES", "Engine", "Lookup", "Vectors", "open_engine"]

PASSAGE_TOKENS = 200
PASSAGE_CHARS = 800
"""About as many tokens, for splitters that count characters."""
FloatArray = npt.NDArray[np.float32]


class Vectors(Protocol):
    """An embedding model."""

    dimension: int

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """[N, dimension], of unit length."""


class Lookup:
    """Looks up vectors in place of a model: that of a text is a real embedding, moved by a direction of its own, both
    found by the text's hash. So all texts have different vectors, near each other as embeddings are."""

    NOISE = 0.5

    def __init__(self, table: Path) -> None:
        self._real: FloatArray = np.load(table)
        self.dimension = self._real.shape[1]
        moves = np.random.default_rng(0).standard_normal((4093, self.dimension)).astype(np.float32)
        self._moves = moves / np.linalg.norm(moves, axis=1, keepdims=True)
        self.seen: list[int] = []
        """Hashes of all texts embedded, in order."""
        self.last = ""
        """One of the texts embedded last."""

    def embed(self, texts: Sequence[str]) -> FloatArray:
        hashes = [self.hash(text) for text in texts]
        self.seen += hashes
        self.last = texts[-1]
        return self.vectors(np.array(hashes, np.int64))

    def vectors(self, hashes: npt.NDArray[np.int64]) -> FloatArray:
        moved = self._real[hashes % len(self._real)] + self.NOISE * self._moves[hashes % len(self._moves)]
        result: FloatArray = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        return result

    @staticmethod
    def hash(text: str) -> int:
        return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=7).digest())


class Model:
    """The weights through sentence-transformers, as it is by default."""

    def __init__(self, weights: Path) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(weights), device="cpu", local_files_only=True)
        self.dimension = 384

    def embed(self, texts: Sequence[str]) -> FloatArray:
        encoded: FloatArray = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return encoded


class Engine(Protocol):
    """A library: one index in one folder."""

    def warm(self) -> None:
        """Load the model and use it once."""

    def build(self, files: Path) -> int:
        """Index a folder of text files, until all can be searched and is on the disk; the number of passages."""

    def open(self) -> None:
        """Open the index that another process built."""

    def search(self, query: str, k: int) -> list[str]:
        """The texts of the ``k`` best passages, as they were embedded."""

    def add(self, path: Path) -> None:
        """Add a file to the open index, until it can be searched and is on the disk."""


class Ragyena:
    """``mode`` is that of the search; the index is the same for all."""

    def __init__(self, folder: Path, weights: Path | None, lookup: Lookup | None, mode: str) -> None:
        from ragyena.index.embedder import BUNDLED, BUNDLED_SHA256, Embedder

        if lookup is not None:
            cached = lookup

            class Cached(Embedder):
                name, dimension, fingerprint = BUNDLED, cached.dimension, BUNDLED_SHA256

                def embed(self, texts: Sequence[str], *, on_progress: Any = None) -> FloatArray:
                    vectors = cached.embed(texts) if len(texts) else np.empty((0, cached.dimension), np.float32)
                    if on_progress is not None:
                        on_progress(len(texts))
                    return vectors

            Embedder.open = staticmethod(lambda name, *, download=True: Cached())  # type: ignore[method-assign]
        self._folder, self._mode, self._cached = folder, mode, lookup is not None

    def warm(self) -> None:
        from ragyena.index.embedder import BUNDLED, FEW, Embedder

        model = Embedder.open(BUNDLED)
        model.embed(["a text"] * (FEW + 1))
        Embedder.open = staticmethod(lambda name, *, download=True: model)  # type: ignore[method-assign]

    def build(self, files: Path) -> int:
        from ragyena import Index

        with Index.create(self._folder) as index:
            return index.add([files]).total_passages

    def open(self) -> None:
        from ragyena import Index

        # Words put right would have another vector than that which is looked up for the question.
        spelling = "false" if self._cached else "true"
        settings = {"retriever.mode": self._mode, "retriever.spelling": spelling}
        self._index = Index.open(self._folder, settings=settings)
        self._index.embedder()

    def search(self, query: str, k: int) -> list[str]:
        from ragyena.index.embedder import embedding_text

        return [embedding_text(match.passage) for match in self._index.search(query, k=k)]

    def add(self, path: Path) -> None:
        self._index.add([path])


class Txtai:
    """Content in SQLite; vectors in the FAISS index that it chooses by their number (IVF above 5,000)."""

    def __init__(self, folder: Path, weights: Path | None, lookup: Lookup | None) -> None:
        from txtai import Embeddings

        self._folder = folder
        if lookup is None:
            self._config: dict[str, Any] = {"path": str(weights), "method": "sentence-transformers"}
        else:
            self._config = {"method": "external", "transform": lambda texts: lookup.embed(texts)}
        self._config |= {"content": True, "sqlite": {"wal": True}, "gpu": False}
        self._embeddings = Embeddings(self._config)

    def warm(self) -> None:
        self._embeddings.transform("a text")

    def build(self, files: Path) -> int:
        split = _splitter()
        passages = (
            (f"{path}#{number}", text, None)
            for path in _text_files(files)
            for number, text in enumerate(split.split_text(path.read_text(encoding="utf-8")))
        )
        self._embeddings.index(passages)
        self._save()
        return int(self._embeddings.count())

    def _save(self) -> None:
        transform = self._embeddings.config.pop("transform", None)  # no function is saved
        self._embeddings.save(str(self._folder))
        if transform is not None:
            self._embeddings.config["transform"] = transform

    def open(self) -> None:
        from txtai import Embeddings

        self._embeddings = Embeddings()
        self._embeddings.load(str(self._folder), config=self._config if "transform" in self._config else None)

    def search(self, query: str, k: int) -> list[str]:
        return [row["text"] for row in self._embeddings.search(query, k)]

    def add(self, path: Path) -> None:
        texts = _splitter().split_text(path.read_text(encoding="utf-8"))
        self._embeddings.upsert([(f"{path}#{number}", text, None) for number, text in enumerate(texts)])
        self._save()


class LlamaIndex:
    """SimpleDirectoryReader, SentenceSplitter, a flat FAISS index, and its own stores as JSON."""

    def __init__(self, folder: Path, weights: Path | None, lookup: Lookup | None) -> None:
        from llama_index.core.embeddings import BaseEmbedding

        vectors: Vectors = lookup if lookup is not None else Model(_given(weights))

        class Hook(BaseEmbedding):  # type: ignore[misc]
            def _get_text_embedding(self, text: str) -> list[float]:
                return vectors.embed([text])[0].tolist()

            def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
                return vectors.embed(texts).tolist()

            def _get_query_embedding(self, query: str) -> list[float]:
                return self._get_text_embedding(query)

            async def _aget_query_embedding(self, query: str) -> list[float]:
                return self._get_text_embedding(query)

        self._folder, self._hook, self._dimension = folder, Hook(embed_batch_size=1024), vectors.dimension

    def warm(self) -> None:
        self._hook.get_query_embedding("a text")

    def _nodes(self, **where: Any) -> list[Any]:
        from llama_index.core import SimpleDirectoryReader
        from llama_index.core.node_parser import SentenceSplitter

        documents = SimpleDirectoryReader(**where, file_metadata=lambda path: {"file_path": path}).load_data()
        for document in documents:  # neither embedded with a passage nor counted as tokens of it
            document.excluded_embed_metadata_keys = document.excluded_llm_metadata_keys = ["file_path"]
        return SentenceSplitter(chunk_size=PASSAGE_TOKENS, chunk_overlap=0).get_nodes_from_documents(documents)

    def build(self, files: Path) -> int:
        import faiss
        from llama_index.core import StorageContext, VectorStoreIndex
        from llama_index.vector_stores.faiss import FaissVectorStore

        nodes = self._nodes(input_dir=str(files), recursive=True)
        store = FaissVectorStore(faiss_index=faiss.IndexFlatIP(self._dimension))
        context = StorageContext.from_defaults(vector_store=store)
        self._index = VectorStoreIndex(nodes, storage_context=context, embed_model=self._hook)
        context.persist(persist_dir=str(self._folder))
        return len(nodes)

    def open(self) -> None:
        from llama_index.core import StorageContext, load_index_from_storage
        from llama_index.vector_stores.faiss import FaissVectorStore

        store = FaissVectorStore.from_persist_dir(str(self._folder))
        context = StorageContext.from_defaults(vector_store=store, persist_dir=str(self._folder))
        self._index = load_index_from_storage(context, embed_model=self._hook)

    def search(self, query: str, k: int) -> list[str]:
        return [match.node.text for match in self._index.as_retriever(similarity_top_k=k).retrieve(query)]

    def add(self, path: Path) -> None:
        self._index.insert_nodes(self._nodes(input_files=[str(path)]))
        self._index.storage_context.persist(persist_dir=str(self._folder))


class LangChain:
    """DirectoryLoader, RecursiveCharacterTextSplitter, FAISS with its flat index and ``save_local``."""

    def __init__(self, folder: Path, weights: Path | None, lookup: Lookup | None) -> None:
        from langchain_core.embeddings import Embeddings

        vectors: Vectors = lookup if lookup is not None else Model(_given(weights))

        class Hook(Embeddings):
            def embed_documents(self, texts: list[str]) -> list[list[float]]:
                return vectors.embed(texts).tolist()

            def embed_query(self, text: str) -> list[float]:
                return vectors.embed([text])[0].tolist()

        self._folder, self._hook = folder, Hook()

    def warm(self) -> None:
        self._hook.embed_query("a text")

    def build(self, files: Path) -> int:
        from langchain_community.document_loaders import DirectoryLoader, TextLoader
        from langchain_community.vectorstores import FAISS

        loader = DirectoryLoader(
            str(files), glob="**/*.txt", loader_cls=TextLoader, loader_kwargs={"encoding": "utf-8"}, silent_errors=False
        )
        passages = _splitter().split_documents(loader.load())
        self._store = FAISS.from_documents(passages, self._hook)
        self._store.save_local(str(self._folder))
        return len(passages)

    def open(self) -> None:
        from langchain_community.vectorstores import FAISS

        self._store = FAISS.load_local(str(self._folder), self._hook, allow_dangerous_deserialization=True)

    def search(self, query: str, k: int) -> list[str]:
        return [document.page_content for document in self._store.similarity_search(query, k=k)]

    def add(self, path: Path) -> None:
        from langchain_community.document_loaders import TextLoader

        documents = TextLoader(str(path), encoding="utf-8").load()
        self._store.add_documents(_splitter().split_documents(documents))
        self._store.save_local(str(self._folder))


class Bm25s:
    """English stopwords and stems, as its guide has it; texts are saved with the index and mapped into memory."""

    def __init__(self, folder: Path, weights: Path | None, lookup: Lookup | None) -> None:
        import Stemmer

        self._folder, self._stemmer = folder, Stemmer.Stemmer("english")

    def warm(self) -> None:
        """It has no model."""

    def _tokens(self, texts: Any) -> Any:
        import bm25s

        return bm25s.tokenize(texts, stopwords="en", stemmer=self._stemmer, show_progress=False)

    def build(self, files: Path) -> int:
        import bm25s

        split = _splitter()
        texts = [text for path in _text_files(files) for text in split.split_text(path.read_text(encoding="utf-8"))]
        index = bm25s.BM25()
        index.index(self._tokens(texts), show_progress=False)
        index.save(str(self._folder), corpus=texts)
        return len(texts)

    def open(self) -> None:
        import bm25s

        self._index = bm25s.BM25.load(str(self._folder), load_corpus=True, mmap=True)

    def search(self, query: str, k: int) -> list[str]:
        results, _ = self._index.retrieve(self._tokens([query]), k=k, show_progress=False, n_threads=0)
        return [row["text"] for row in results[0]]

    def add(self, path: Path) -> None:
        raise NotImplementedError("bm25s adds nothing to an index: it is built again")


class Tantivy:
    """English stems, one thread of its writer a core, texts stored."""

    HEAP = 256_000_000

    def __init__(self, folder: Path, weights: Path | None, lookup: Lookup | None) -> None:
        import tantivy

        schema = tantivy.SchemaBuilder()
        schema.add_text_field("path", stored=True, tokenizer_name="raw")
        schema.add_text_field("text", stored=True, tokenizer_name="en_stem")
        self._schema, self._folder = schema.build(), folder

    def warm(self) -> None:
        """It has no model."""

    def build(self, files: Path) -> int:
        import tantivy

        self._folder.mkdir(parents=True)
        index = tantivy.Index(self._schema, path=str(self._folder))
        writer = index.writer(heap_size=self.HEAP)
        split, count = _splitter(), 0
        for path in _text_files(files):
            for text in split.split_text(path.read_text(encoding="utf-8")):
                writer.add_document(tantivy.Document(path=str(path), text=text))
                count += 1
        writer.commit()
        writer.wait_merging_threads()
        return count

    def open(self) -> None:
        import tantivy

        self._index = tantivy.Index.open(str(self._folder))
        self._searcher = self._index.searcher()

    def search(self, query: str, k: int) -> list[str]:
        words = "".join(char if char.isalnum() else " " for char in query)
        parsed = self._index.parse_query(words.lower(), ["text"])
        return [self._searcher.doc(address)["text"][0] for _, address in self._searcher.search(parsed, k).hits]

    def add(self, path: Path) -> None:
        import tantivy

        writer = self._index.writer(heap_size=self.HEAP)
        for text in _splitter().split_text(path.read_text(encoding="utf-8")):
            writer.add_document(tantivy.Document(path=str(path), text=text))
        writer.commit()
        self._index.reload()
        self._searcher = self._index.searcher()


ENGINES = ("ragyena", "txtai", "LlamaIndex", "LangChain", "bm25s", "tantivy")
IMPORTS = {
    "ragyena": ("ragyena.index.index", "ragyena.index.embedder"),
    "txtai": ("txtai", "langchain_text_splitters"),
    "LlamaIndex": ("faiss", "llama_index.core", "llama_index.core.node_parser", "llama_index.vector_stores.faiss"),
    "LangChain": (
        *("faiss", "langchain_community.document_loaders", "langchain_community.vectorstores"),
        *("langchain_community.vectorstores.faiss", "langchain_text_splitters"),
    ),
    "bm25s": ("bm25s", "langchain_text_splitters"),
    "tantivy": ("tantivy", "langchain_text_splitters"),
}
"""Imported before anything is timed."""


def open_engine(name: str, folder: Path, weights: Path | None, lookup: Lookup | None, mode: str = "dense") -> Engine:
    """The engine of a name, with a model of the ``weights`` or a ``lookup`` in its place."""
    for module in IMPORTS[name]:
        importlib.import_module(module)
    if name == "ragyena":
        return Ragyena(folder, weights, lookup, mode)
    others = {"txtai": Txtai, "LlamaIndex": LlamaIndex, "LangChain": LangChain, "bm25s": Bm25s, "tantivy": Tantivy}
    return others[name](folder, weights, lookup)


def _text_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.txt"))


def _splitter() -> Any:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    return RecursiveCharacterTextSplitter(chunk_size=PASSAGE_CHARS, chunk_overlap=0)


def _given(weights: Path | None) -> Path:
    if weights is None:
        raise ValueError("neither weights nor a lookup")
    return weights
