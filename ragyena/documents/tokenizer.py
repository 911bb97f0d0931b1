"""Text -> token ids with exact char offsets, by the ``tokenizer.json`` of a checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers

from ragyena.documents.word_pieces import Pieces, WordPieces, cuts_at_words
from ragyena.errors import CheckpointError
from ragyena.files import read_file
from ragyena.parsing import replace_surrogates

__all__ = ["Encoding", "TokenCache", "Tokenizer"]

_SPECIAL = {"cls": ("[CLS]", "<s>"), "sep": ("[SEP]", "</s>"), "pad": ("[PAD]", "<pad>")}
LARGEST_DEFINITION = 256_000_000
"""Bytes of a tokenizer.json."""
_PROBE = "A text of 2024: caf\u00e9, \u65e5\u672c, \U0001f600 \U0010fffd"
_MOST_CACHED = 300_000  # texts, of about 2 KB each


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """The n tokens of a text; token i stands for ``text[starts[i]:ends[i]]``."""

    ids: npt.NDArray[np.int32]
    """[n] token ids."""
    starts: npt.NDArray[np.int32]
    """[n] char offset at which each token starts; never decreasing."""
    ends: npt.NDArray[np.int32]
    """[n] char offset at which each token ends, exclusive."""

    def __len__(self) -> int:
        return len(self.ids)


class Tokenizer:
    """Text to ids and back. Adds no special tokens and cuts nothing off; a special token spelt out in a text (``[SEP]``
    in a document) is text."""

    def __init__(self, definition: bytes, name: str) -> None:
        """``definition`` is the content of a tokenizer.json, ``name`` its name in messages.

        Raises CheckpointError if it is not one, cannot encode every text, or lacks a begin, separator or padding token.
        """
        try:
            self._backend = tokenizers.Tokenizer.from_str(definition.decode("utf-8"))
            unknown = getattr(self._backend.model, "unk_token", None)
            if unknown is not None and self._backend.token_to_id(unknown) is None:
                raise ValueError(f"the token {unknown} for unknown words is not in its vocabulary")
            self._backend.encode(_PROBE, add_special_tokens=False)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # the library raises bare Exception, and its panics are not even that
            raise CheckpointError(
                f"{name} is not a tokenizer: {error}", hint="download or copy the checkpoint again"
            ) from error
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = True
        self.cuts_at_words = cuts_at_words(definition)
        """True where what stands between white space is cut into tokens alike, whatever stands around it."""
        self._words = WordPieces(self._pieces) if self.cuts_at_words else None
        self.definition = definition
        self.fingerprint = hashlib.sha256(definition).hexdigest()
        """sha256 of the tokenizer.json: two tokenizers with the same one cut every text alike."""
        self.cls_id = self._special("cls", name)
        self.sep_id = self._special("sep", name)
        self.pad_id = self._special("pad", name)
        self.vocab_size = self._backend.get_vocab_size()

    @classmethod
    def from_folder(cls, folder: Path) -> Tokenizer:
        """Load the tokenizer of a checkpoint folder. Raises CheckpointError for a missing or bad tokenizer.json."""
        path = folder / "tokenizer.json"
        try:
            definition = read_file(path, LARGEST_DEFINITION)
        except OSError as error:
            raise CheckpointError(
                f"{path} cannot be read: {error.strerror or error}",
                hint="a checkpoint is a folder with config.json, model.safetensors and tokenizer.json",
            ) from error
        return cls(definition, str(path))

    def encode(self, text: str) -> Encoding:
        return _encoding(self._backend.encode(replace_surrogates(text), add_special_tokens=False))

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        """Encode several texts at once."""
        valid = [replace_surrogates(text) for text in texts]
        looked_up = [None if self._words is None else self._words.encode(text) for text in valid]
        rest = [text for text, known in zip(valid, looked_up) if known is None]
        encoded = map(_encoding, self._backend.encode_batch(rest, add_special_tokens=False) if rest else ())
        return [next(encoded) if known is None else Encoding(*known) for known in looked_up]

    def count_batch(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text, faster than encoding it."""
        valid = [replace_surrogates(text) for text in texts]
        looked_up = [None if self._words is None else self._words.count(text) for text in valid]
        rest = [text for text, known in zip(valid, looked_up) if known is None]
        counted = map(len, self._backend.encode_batch_fast(rest, add_special_tokens=False) if rest else ())
        return [next(counted) if known is None else known for known in looked_up]

    def decode(self, ids: Sequence[int] | npt.NDArray[np.integer]) -> str:
        """The text of ``ids``, special tokens left out. Lower case where the tokenizer lowers it."""
        return str(self._backend.decode([int(i) for i in ids], skip_special_tokens=True))

    def vocabulary(self) -> dict[str, int]:
        """Every word piece, special tokens included, and its id."""
        return dict(self._backend.get_vocab(with_added_tokens=True))

    def _pieces(self, words: Sequence[str]) -> list[Pieces]:
        """Ids and offsets of the pieces of words, each by itself."""
        encoded = self._backend.encode_batch(list(words), add_special_tokens=False)
        return [(tokens.ids, tokens.offsets) for tokens in encoded]

    def _special(self, role: str, name: str) -> int:
        for token in _SPECIAL[role]:
            token_id = self._backend.token_to_id(token)
            if token_id is not None:
                return int(token_id)
        raise CheckpointError(
            f"{name} has no {role} token ({' or '.join(_SPECIAL[role])})", hint="use a tokenizer of the BERT family"
        )


class TokenCache(Tokenizer):
    """Encodes as the tokenizer it wraps, each text once: for passages that are packed into thousands of contexts."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        vars(self).update(vars(tokenizer))  # the same definition and special tokens; nothing is loaded twice
        self._known: dict[str, Encoding] = {}

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        missing = list(dict.fromkeys(text for text in texts if text not in self._known))
        if len(self._known) + len(missing) > _MOST_CACHED:
            self._known.clear()
            missing = list(dict.fromkeys(texts))
        self._known.update(zip(missing, super().encode_batch(missing)))
        return [self._known[text] for text in texts]


def _encoding(tokens: tokenizers.Encoding) -> Encoding:
    ids = np.array(tokens.ids, dtype=np.int32)
    offsets = np.fromiter(chain.from_iterable(tokens.offsets), dtype=np.int32, count=2 * len(ids)).reshape(-1, 2)
    return Encoding(ids, np.ascontiguousarray(offsets[:, 0]), np.ascontiguousarray(offsets[:, 1]))
