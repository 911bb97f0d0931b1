"""Settings of indexing, retrieval, packing and reading."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ragyena.config.serving import ServeConfig
from ragyena.config.stores import LangChainStoreConfig
from ragyena.config.strict import Positive, Strict
from ragyena.config.writing import WriterConfig

__all__ = [
    "LONGEST_CONTEXT",
    "SEARCH_RESULTS",
    "EvidenceConfig",
    "IndexConfig",
    "PackerConfig",
    "PipelineConfig",
    "ReaderConfig",
    "RetrieverConfig",
]


LONGEST_CONTEXT = 131_072
"""Tokens of the longest context."""
SEARCH_RESULTS = 10
"""Passages a search gives where neither the call nor ``retriever.top_k`` says how many."""


class IndexConfig(Strict):
    """Documents to an index. Fixed when the index is made; kept in its manifest."""

    embedder: str = "all-MiniLM-L6-v2"
    """Sentence embedder: the bundled one by this name, or any sentence-transformers model name or folder."""
    passage_tokens: Annotated[int, Field(ge=16, le=320)] = 200
    """The most tokens of text a passage holds, counted by the reader's tokenizer."""
    embed_processes: Annotated[int, Field(ge=0, le=256)] = 0
    """Processes that embed passages: 0 for one a GPU, and one where there is no GPU."""
    vector_index: Literal["auto", "flat", "hnsw", "ivfpq"] = "auto"
    """FAISS index kind; ``auto`` chooses by the number of passages."""
    max_file_mb: Positive = 100
    """Files larger than this are refused by name."""
    max_document_seconds: Positive = 60
    """A document that takes longer to read is given up by name; the other files go on. Each scanned
    page has as much."""
    max_document_memory_mb: Annotated[int, Field(ge=200)] = 1000
    """Memory of the process that reads documents: one that needs more is given up by name."""
    max_document_chars: Positive = 50_000_000
    """Characters of text in a document; one with more is refused by name, as it is by the next two settings."""
    max_document_cells: Positive = 5_000_000
    """Cells of the tables of a document."""
    max_document_pages: Positive = 20_000
    """Pages, slides or sheets of a document."""
    exclude: tuple[str, ...] = ()
    """Further patterns, as in a .gitignore, of files a folder walk leaves out."""
    ocr: Literal["auto", "off", "on"] = "auto"
    """Recognise the text of scanned pages: ``auto`` where ``ragyena[ocr]`` is installed, ``on`` to require that."""
    text_fields: tuple[str, ...] = ("text", "context", "content", "body", "document")
    """Fields of a csv or jsonl row: the first that is not empty is the text; without any, all as ``name: value``."""
    title_fields: tuple[str, ...] = ("title", "name", "heading", "subject")
    """Fields of a csv or jsonl row: the first that is not empty is the title."""
    csv_rows: Literal["auto", "documents", "table"] = "auto"
    """Rows of a csv file: a document each, which ``--filter`` finds by its fields, or lines of one table; ``auto``: as
    documents where they have a text field or are long."""
    comments: bool = False
    """Read the comments that reviewers left in office documents, too."""
    hidden: bool = False
    """Read the hidden sheets, rows and columns of workbooks and the hidden slides of presentations, too."""


class RetrieverConfig(Strict):
    """Search for passages."""

    mode: Literal["hybrid", "dense", "lexical"] = "hybrid"
    """Dense (embeddings), lexical (BM25), or both fused."""
    fusion: Literal["convex", "rrf"] = "convex"
    """Fusion of the two: a weighted sum of cosine and BM25 score, or reciprocal rank."""
    dense_weight: Annotated[float, Field(ge=0.0, le=1.0)] = 0.7
    """Weight of the cosine in ``convex``; the rest is that of the BM25 score as a share of the best one. Chosen on
    training questions (docs/retrieval.md)."""
    spelling: bool = True
    """Take a misspelt word that no passage holds for the nearest word that one does."""
    top_k: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Passages to retrieve; 0 for as many as the context budget can hold."""
    rerank: Annotated[str, Field(min_length=1)] = "none"
    """Order of the passages of ``index search``: as the search ranks them (``none``), as the reader does after reading
    those that ``packer.context_tokens`` hold (``reader``), or as a cross-encoder does, by its folder or its name on the
    hub (none ships). ``ask`` and ``select`` read all they retrieve in any case."""
    rerank_passages: Annotated[int, Field(ge=1, le=1000)] = 50
    """The passages that a cross-encoder ranks; those after them keep their places."""
    candidates: Positive = 200
    """Passages taken from each of the dense and the lexical search before fusion (never fewer than the result)."""
    rrf_k: Positive = 60
    """The constant of reciprocal rank fusion (Cormack et al. 2009): a match at rank r weighs 1 / (rrf_k + r)."""
    langchain: LangChainStoreConfig | None = None
    """A vector store of LangChain's to retrieve from in place of an index: ``class``, ``arguments``, ``search``,
    ``options``, ``filter``. Only in a recipe that you name (docs/stores.md)."""


class PackerConfig(Strict):
    """Passages to a context."""

    context_tokens: Annotated[int, Field(ge=256, le=LONGEST_CONTEXT)] = 8192
    """The most tokens a context may have: question, passages and padding."""
    order: Literal["score", "document"] = "score"
    """Slot order: best first, or as the passages stand in their documents."""
    neighbours: Annotated[int, Field(ge=0, le=8)] = 0
    """Passages before and after a match that are packed with it while there is room."""
    near_duplicate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Passages whose sets of word 3-grams overlap by this Jaccard similarity or more count as duplicates."""
    header_tokens: Annotated[int, Field(ge=0, le=64)] = 32
    """The most tokens of title and headings written before each passage's text."""


class ReaderConfig(Strict):
    """A context to an answer."""

    checkpoint: str = "small"
    """The reader: ``small``, which is inside the package, ``base`` or another that is installed, a checkpoint folder,
    or several of these joined by ``+``. A pair reader reads again what a reader, ``small`` by itself, finds likeliest.
    """
    threshold: Annotated[float | None, Field(ge=0.0, le=1.0)] = None
    """Answers less probable than this are withheld: the reader says that it does not know. None for what was fitted
    with the reader's confidence: answers are withheld that are too improbable beside there being no answer."""
    retrieval_weight: Annotated[float, Field(ge=0.0, le=100.0)] = 3.0
    """Weight of the retriever: this times log(score / best score) is added to the scores of a passage's spans, and as
    much as all passages of its document together make that likely; 0 leaves it to the reader alone. Reciprocal rank
    fusion, whose scores fall half as fast, wants twice as much. Passages that came from no search are not weighed."""
    max_answer_tokens: Annotated[int, Field(ge=1, le=256)] = 48
    """The longest answer, extracted or written."""
    max_question_tokens: Annotated[int, Field(ge=8, le=512)] = 128
    """The longest question."""
    table_chars: Annotated[int, Field(ge=0)] = 150_000
    """The longest table, in characters, of which all rows are compared where a question asks for that ("the cheapest",
    "the last", "after X"); longer ones are left to the reader. 0 leaves all to it."""
    citations: Annotated[int, Field(ge=1, le=32)] = 3
    """The most citations an answer carries."""
    device: str = "auto"
    """``auto`` (CUDA where there is one, else CPU), ``cpu``, ``cuda`` or ``cuda:N``."""
    dtype: Literal["auto", "float32", "bfloat16", "int8"] = "auto"
    """Arithmetic of the layers; ``auto`` is bfloat16 where the device multiplies matrices faster in it, else float32.
    ``int8``: as ``auto``, with most products in int8, on a CPU with VNNI or AMX instructions."""
    cuda_graphs: bool = True
    """On a GPU, record the work of a context's length when that is met for the second time, and launch it as one from
    then on. Costs the memory of the longest context once more."""


class EvidenceConfig(Strict):
    """Evidence for another model: the best passages or sentences of a context, by the reader's scores."""

    passages: Positive = 10
    """Whole passages to choose, where ``tokens`` is 0."""
    tokens: Annotated[int, Field(ge=0, le=LONGEST_CONTEXT)] = 0
    """Tokens of the sentences to choose instead of passages."""
    rank_weight: Annotated[float, Field(ge=0.0, le=100.0)] = 2.0
    """Weight of the retriever: this times log(1 / (2 + rank)) is added to the reader's score of a passage; 0 leaves
    the choice to the reader alone."""


class PipelineConfig(Strict):
    """One runnable pipeline: settings of all its parts and of the server. A file in ``pipelines/`` is one of these."""

    description: str = ""
    """One line for ``--help`` and ``config show``."""
    index_root: Path | None = None
    """Folder of indexes named without a path; unset is the user's data folder."""
    index: IndexConfig = IndexConfig()
    retriever: RetrieverConfig = RetrieverConfig()
    packer: PackerConfig = PackerConfig()
    reader: ReaderConfig = ReaderConfig()
    evidence: EvidenceConfig = EvidenceConfig()
    serve: ServeConfig = ServeConfig()
    writer: WriterConfig = WriterConfig()
