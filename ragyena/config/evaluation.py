"""Evaluation recipes: the questions, the conditions, and where results go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ragyena.config.strict import Count, Fraction, Strict

__all__ = ["EvalConfig", "SuiteConfig", "Task"]

Task = Literal["among", "open", "positions", "alias", "hybrid", "documents", "evidence", "retrieval"]

SearchMode = Literal["hybrid", "dense", "lexical", "rrf", "reader", "misspelt", "uncorrected"]

_TASK_FIELDS: dict[str, frozenset[str]] = {
    "among": frozenset({"among", "same_articles", "corpus", "masked", "timed", "timed_seconds"}),
    "open": frozenset({"context_tokens", "prose", "corpus", "masked", "timed", "timed_seconds"}),
    "positions": frozenset({"context_tokens", "positions", "corpus", "masked", "timed", "timed_seconds"}),
    "alias": frozenset({"among", "timed", "timed_seconds"}),
    "hybrid": frozenset({"documents", "prose", "timed", "timed_seconds"}),
    "documents": frozenset({"documents", "context_tokens"}),
    "evidence": frozenset({"documents", "context_tokens", "recall_at", "evidence_tokens"}),
    "retrieval": frozenset({"prose", "corpus", "beir", "masked", "modes", "recall_at", "reranker", "rerank"}),
}
"""Fields that belong to some tasks only, by task."""


class EvalConfig(Strict):
    """One evaluation of a reader: which questions, on which contexts. A file in ``configs/eval`` is one of these.

    Contexts are cut and packed as the pipeline settings say (``index.passage_tokens``, ``packer.header_tokens``).
    """

    description: str = ""
    task: Task = "among"
    """The kind of contexts. ``among``: the question's own passages among the retriever's other hits. ``open``: the
    passages that the pipeline retrieves and packs for the question alone. ``positions``: the own passages at given
    depths of a context filled with other hits. ``alias``: as ``among``, with and without a second hop that only another
    passage resolves. ``hybrid``: documents of tables and linked articles, read whole and passage by passage.
    ``documents``: questions on whole documents, asked end to end with all documents in one index. ``evidence``: recall
    of the answer's place in what the reader chooses, beside each way of searching. ``retrieval``: no reader; recall and
    rank of each way of searching."""
    questions: tuple[str, ...] = ()
    """Question rows, as in ``data.questions`` of a training recipe. Paths are relative to the data root, which is
    the current folder unless ``--data-root`` names another."""
    passages: tuple[str, ...] = ()
    """Passage rows that question rows refer to by ``passage_id``; also what is retrieved from."""
    unanswerable: tuple[str, ...] = ()
    """Question rows whose context holds no answer: they test whether confidence tells them from answerable ones."""
    same_articles: bool = False
    """Task ``among``: only answerable questions on texts of a title that ``unanswerable`` ones are asked on, too: the
    dev set of SQuAD 2.0."""
    prose: tuple[str, ...] = ()
    """Further texts: retrieved from in ``open``, the linked articles in ``hybrid``."""
    documents: tuple[str, ...] = ()
    """Task ``hybrid``: rows of documents with a table and links, that question rows name by ``doc_id``. Tasks
    ``documents`` and ``evidence``: rows ``{id, source, title, text, split}`` that question rows name by
    ``document_id``."""
    corpus: tuple[str, ...] = ()
    """Files and folders to index, as ``index add`` does, and to ask on instead of ``passages`` and ``prose``. A name
    that begins with ``shipped:`` stands inside the package: ``shipped:demo/corpus``. Questions need no context then."""
    beir: str = ""
    """Task ``retrieval``: a folder in the layout of BEIR (``corpus.jsonl``, ``queries.jsonl``, ``qrels/SPLIT.tsv``),
    instead of questions and passages; ``split`` chooses the judgements."""
    masked: Count = 0
    """Questions made by masking spans of the documents of ``corpus``, or of the index of ``--index``, which recur in
    another passage nearby: at most so many, asked in addition to ``questions``. The passage that a sentence is taken
    from is not shown."""
    split: str = "dev"
    """Rows of this split are asked, and rows that name none."""
    sources: tuple[str, ...] = ()
    """Only answerable rows of these sources; empty for all."""
    answer_types: tuple[str, ...] = ()
    """Only answerable rows whose ``answer_type`` is one of these (``span``, ``list``, ...); empty for all."""
    among: tuple[Annotated[int, Field(ge=1, le=512)], ...] = (1,)
    """Each number is a condition. 1: the question's own context alone. K: its passages among K in total, the others
    being the retriever's top hits in all passages, in an order drawn with the seed."""
    context_tokens: tuple[Annotated[int, Field(ge=256, le=131_072)], ...] = (8192, 32768, 131_072)
    """Tasks ``open``, ``positions``, ``documents`` and ``evidence``: context lengths, each a condition."""
    positions: tuple[Fraction, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    """Task ``positions``: places of the own passages, 0 the first slot and 1 the last; each a condition."""
    modes: Annotated[tuple[SearchMode, ...], Field(min_length=1)] = (*("hybrid", "dense", "lexical"),)
    """Task ``retrieval``: ways of searching, each a condition; the others are compared with the first. ``rrf`` is
    hybrid search fused by reciprocal rank, ``reader`` hybrid search ranked by the reader. ``misspelt`` searches as the
    settings say for questions of which every word of four letters or more has a typing error, ``uncorrected`` the same
    without putting them right."""
    reranker: str = ""
    """Task ``retrieval``: a cross-encoder, by its folder or its name on the hub. It adds the condition ``reranked``, in
    which it reorders the first hits of the first of ``modes``. None ships."""
    rerank: Annotated[int, Field(ge=1, le=1000)] = 50
    """Number of hits that the ``reranker`` orders; those after them keep their places."""
    recall_at: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = (1, 5, 20, 100)
    """Tasks ``retrieval`` and ``evidence``: numbers of passages among which the right one is looked for."""
    evidence_tokens: tuple[Annotated[int, Field(ge=16, le=16_384)], ...] = (256, 512, 1024)
    """Task ``evidence``: numbers of tokens within which sentences are chosen."""
    limit: Count = 0
    """The most answerable and the most unanswerable questions, drawn with the seed; 0 for all."""
    timed: Count = 0
    """Number of questions of each condition whose contexts are also read one by one, for latency percentiles: p95 needs
    20 of them, p99 100."""
    timed_seconds: Annotated[float, Field(gt=0)] = 120.0
    """No further context of a condition is timed once those that were timed took so long together: a slow reader has
    fewer times. Each is read once more before it is timed."""
    seed: int = 0
    resamples: Annotated[int, Field(ge=100)] = 2000
    """Bootstrap resamples behind each interval."""

    @model_validator(mode="after")
    def _of_the_task(self) -> EvalConfig:
        known = frozenset().union(*_TASK_FIELDS.values())
        if foreign := sorted((self.model_fields_set & known) - _TASK_FIELDS[self.task]):
            raise ValueError(f"{', '.join(foreign)} mean nothing to the task '{self.task}'")
        for name in ("among", "context_tokens", "positions", "modes", "recall_at", "evidence_tokens"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name} needs one value or more, each once")
        if self.corpus and self.passages:
            raise ValueError("questions are asked on the corpus or on the passages, not on both")
        if self.beir and (self.questions or self.passages or self.prose or self.corpus or self.masked):
            raise ValueError("a beir folder brings its own questions and documents")
        if self.masked and self.passages:
            raise ValueError("masked questions are made from a corpus or an index (--index), not from passages")
        if self.task == "among" and (self.corpus or self.masked) and 1 in self.among:
            raise ValueError("among 1 needs questions with a context of their own; on a corpus it is 2 or more")
        if self.task == "alias" and 1 in self.among:
            raise ValueError("among 1 leaves no other passage for a second hop")
        return self


class SuiteConfig(Strict):
    """Several evaluations that belong together, run one after the other and shown on one page. A file in
    ``configs/eval`` whose task is ``suite``."""

    description: str = ""
    task: Literal["suite"]
    recipes: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of recipes, or YAML files, relative to this one; in the order in which they are run and shown."""

    @model_validator(mode="after")
    def _each_once(self) -> SuiteConfig:
        if len(set(self.recipes)) < len(self.recipes):
            raise ValueError("recipes needs each recipe once")
        return self
