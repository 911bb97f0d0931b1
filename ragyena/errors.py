"""Everything ragyena raises on purpose.

    RagyenaError                    exit code 1
    ├── UsageError                  2   the request cannot be carried out as given
    │   ├── EmptyQuestionError
    │   ├── QuestionTooLongError
    │   └── BudgetError                 context_tokens too small for the question, or out of range
    ├── ConfigError                 2   a setting or recipe is unknown, misspelt or out of range
    ├── InputError                  3   a document or data file cannot be used
    │   ├── PathNotFoundError
    │   ├── UnreadableDocumentError     corrupt, encrypted, binary, too large, wrong encoding, no text
    │   ├── NothingToIndexError
    │   ├── PartialFailureError         the rest was done; the named files were not
    │   └── DataError                   a training or evaluation file
    ├── IndexProblem                4   an index cannot be used
    │   ├── IndexNotFoundError
    │   ├── IndexFormatError            made by another version of the format
    │   ├── IndexMismatchError          made with another embedder or tokenizer
    │   └── IndexCorruptError           a file of it is damaged
    ├── IndexLockedError            5   another process is writing
    ├── StorageError                6   disk full, no permission
    ├── CheckpointError             7   a reader's files are missing, damaged or of other shape
    ├── MissingDependencyError      8   an optional package, device or kernel is not there
    ├── TrainingError               9   NaN, out of memory
    ├── WriterError                 10  the writer's address cannot be reached, or its reply not used
    ├── EmbeddingError              11  a process that embeds has died, or found no memory
    ├── StoreError                  12  a store named in a recipe cannot be opened, searched or written to
    └── ClusterError                13  a cluster or a shard in it cannot be reached

A message names the thing; ``hint`` says what to do next. The command line prints both and exits with ``exit_code``;
an interrupt exits with 130.
"""

from __future__ import annotations

__all__ = [
    "BudgetError",
    "CheckpointError",
    "ClusterError",
    "ConfigError",
    "DataError",
    "EmbeddingError",
    "EmptyQuestionError",
    "IndexCorruptError",
    "IndexFormatError",
    "IndexLockedError",
    "IndexMismatchError",
    "IndexNotFoundError",
    "IndexProblem",
    "InputError",
    "MissingDependencyError",
    "NothingToIndexError",
    "PartialFailureError",
    "PathNotFoundError",
    "QuestionTooLongError",
    "RagyenaError",
    "StorageError",
    "StoreError",
    "TrainingError",
    "UnreadableDocumentError",
    "UsageError",
    "WriterError",
]


class RagyenaError(Exception):
    """A problem a person can act on: ``message`` names it, ``hint`` says what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})"


class UsageError(RagyenaError):
    exit_code = 2


class EmptyQuestionError(UsageError):
    pass


class QuestionTooLongError(UsageError):
    pass


class BudgetError(UsageError):
    pass


class ConfigError(RagyenaError):
    exit_code = 2


class InputError(RagyenaError):
    exit_code = 3


class PathNotFoundError(InputError):
    pass


class UnreadableDocumentError(InputError):
    pass


class NothingToIndexError(InputError):
    pass


class PartialFailureError(InputError):
    pass


class DataError(InputError):
    pass


class IndexProblem(RagyenaError):
    exit_code = 4


class IndexNotFoundError(IndexProblem):
    pass


class IndexFormatError(IndexProblem):
    pass


class IndexMismatchError(IndexProblem):
    pass


class IndexCorruptError(IndexProblem):
    pass


class IndexLockedError(RagyenaError):
    exit_code = 5


class StorageError(RagyenaError):
    exit_code = 6


class CheckpointError(RagyenaError):
    exit_code = 7


class MissingDependencyError(RagyenaError):
    exit_code = 8


class TrainingError(RagyenaError):
    exit_code = 9


class WriterError(RagyenaError):
    exit_code = 10


class EmbeddingError(RagyenaError):
    exit_code = 11


class StoreError(RagyenaError):
    exit_code = 12


class ClusterError(RagyenaError):
    exit_code = 13
