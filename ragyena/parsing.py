"""JSON and YAML -> plain values: bounded in size and depth, and every fault named with its line.

The one reader of both for settings, recipes, question files, data files, manifests and checkpoints. Whatever a file
holds, what comes out is made of dicts with text keys, lists, texts that UTF-8 can spell, finite numbers, booleans and
None; all else is a ``MalformedError``, which callers turn into the error of their own kind of file.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Hashable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import yaml

from ragyena.files import SMALL_FILE_BYTES, read_file

__all__ = [
    "MAX_DEPTH",
    "MAX_DIGITS",
    "MalformedError",
    "parse_json",
    "parse_json_lines",
    "parse_yaml",
    "read_json",
    "read_yaml",
    "replace_surrogates",
]

MAX_DEPTH = 100
"""Lists and mappings inside each other."""
MAX_DIGITS = 1000
"""Digits of a whole number; Python itself neither reads nor prints more than 4,300."""
MAX_LINE_BYTES = 64_000_000
"""Length of a row of JSON lines."""
MAX_YAML_CHARS = 256_000
"""Length of a YAML text: the pure Python parser takes some seconds for it."""
MAX_YAML_VALUES = 100_000
"""Values in a YAML text, those that aliases repeat counted every time."""

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class MalformedError(ValueError):
    """A text that is not JSON or YAML as this product reads it. ``line`` is where, None where that is not known."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem if line is None else f"line {line}: {problem}")
        self.problem = problem
        self.line = line


def parse_json(content: str | bytes, *, keep_surrogates: bool = False, numbers_as_text: bool = False) -> Any:
    """The value of a JSON text (RFC 8259; a byte order mark is skipped). Raises MalformedError.

    Refused are also what Python's own reader lets through: NaN and Infinity, numbers of more than ``MAX_DIGITS`` digits
    or beyond a float, names that stand twice in an object, and nesting deeper than ``MAX_DEPTH``. Lone surrogates
    (half an emoji) become U+FFFD, one for one; ``keep_surrogates`` is for files that give back what was put in.
    ``numbers_as_text`` is for documents: numbers are then the texts that spell them (``19.90``), of whatever size.
    """
    text = _text_of(content)
    try:
        value = (_TEXT_DECODER if numbers_as_text else _DECODER).decode(text)
    except json.JSONDecodeError as error:
        raise MalformedError(f"not JSON: {error.msg} at column {error.colno}", error.lineno) from error
    except RecursionError as error:
        raise MalformedError(f"nested more than {MAX_DEPTH} deep") from error
    except _RefusedError as error:
        raise MalformedError(str(error), _only_line(text, error.pattern, error.place)) from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    if keep_surrogates or not (_SURROGATE_ESCAPE.search(text) or _SURROGATE.search(text)):
        return value
    return _valid_unicode(value)


def read_json(path: Path, limit: int = SMALL_FILE_BYTES) -> Any:
    """The value of a JSON file of at most ``limit`` bytes. Raises MalformedError, and OSError as ``read_file`` does."""
    return parse_json(read_file(path, limit))


def read_yaml(path: Path) -> Any:
    """The value of a YAML file. Raises MalformedError, and OSError as ``read_file`` does."""
    return parse_yaml(read_file(path))


def parse_json_lines(file: BinaryIO) -> Iterator[tuple[int, Any]]:
    """Number and value of every line that is not blank; the value is a MalformedError where the line is not JSON.

    Raises MalformedError for a line of more than ``MAX_LINE_BYTES``, and what reading the file raises.
    """
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise MalformedError(f"longer than {MAX_LINE_BYTES:,} bytes, so no row", number)
        if line.strip():
            try:
                yield number, parse_json(line)
            except MalformedError as error:
                yield number, MalformedError(error.problem)


def parse_yaml(content: str | bytes, *, scalars_as_text: bool = False) -> Any:
    """The value of a YAML text of one document, None where it is empty. Raises MalformedError.

    Mappings have text keys, a date is a text, and tags other than those of JSON's values are refused, as are names that
    stand twice in a mapping, numbers that are not finite or have more than ``MAX_DIGITS`` digits, and aliases that blow
    up to more than ``MAX_YAML_VALUES`` values. ``scalars_as_text`` is for documents: every scalar is then the text that
    spells it (``1.10``, ``no``), whatever its tag.
    """
    text = _text_of(content)
    if len(text) > MAX_YAML_CHARS:
        raise MalformedError(f"longer than {MAX_YAML_CHARS:,} characters")
    loader: _Loader | None = None
    try:
        loader = (_TextLoader if scalars_as_text else _Loader)(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return _valid_unicode(loader.construct_document(node))
    except MalformedError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join((error.problem or str(error)).split())
        raise MalformedError(f"not valid YAML: {problem}", mark.line + 1 if mark else None) from error
    except Exception as error:  # the library raises ValueError, IndexError and others on odd scalars and escapes
        line = loader.line + 1 if loader is not None else None
        raise MalformedError(f"not valid YAML: {' '.join(str(error).split())[:200]}", line) from error


def replace_surrogates(text: str) -> str:
    """``text`` with lone surrogates replaced one for one, so that offsets stand.

    They come from undecodable bytes of a command line and from half an emoji in JSON; UTF-8 cannot spell them.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


# --- any text ---------------------------------------------------------------------------------------------------


def _text_of(content: str | bytes) -> str:
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedError("not UTF-8", content.count(b"\n", 0, error.start) + 1) from error


def _valid_unicode(value: Any) -> Any:
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, list):
        return [_valid_unicode(item) for item in value]
    if isinstance(value, dict):
        return {replace_surrogates(key): _valid_unicode(item) for key, item in value.items()}
    return value


# --- JSON -------------------------------------------------------------------------------------------------------


class _RefusedError(ValueError):
    """A value that Python's reader would take. It does not tell the line: ``pattern`` finds it again in the text, where
    nothing else matches (``place`` 0) or where it is the second of two matches (``place`` 1)."""

    def __init__(self, problem: str, pattern: str, place: int = 0) -> None:
        super().__init__(problem)
        self.pattern = pattern
        self.place = place


def _only_line(text: str, pattern: str, place: int) -> int | None:
    """The line of the match at ``place`` where it is the last one; None where it could be another."""
    starts = [match.start() for match in islice(re.finditer(pattern, text), place + 2)]
    return text.count("\n", 0, starts[place]) + 1 if len(starts) == place + 1 else None


def _unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise _RefusedError(f"'{twice[:100]}' stands twice in an object", re.escape(json.dumps(twice)) + r"\s*:", 1)
    return values


def _whole_number(written: str) -> int:
    if len(written) > MAX_DIGITS:
        raise _RefusedError(f"a number of {len(written):,} digits", rf"\d{{{MAX_DIGITS}}}\d*")
    return int(written)


def _finite_number(written: str) -> float:
    number = float(written) if len(written) <= MAX_DIGITS else math.inf
    if not math.isfinite(number):
        raise _RefusedError(f"the number {written[:40]} is out of range", re.escape(written[:MAX_DIGITS]))
    return number


def _no_number(written: str) -> NoReturn:
    raise _RefusedError(f"{written} is not a number in JSON", re.escape(written))


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_object, parse_int=_whole_number, parse_float=_finite_number, parse_constant=_no_number
)
_TEXT_DECODER = json.JSONDecoder(object_pairs_hook=_unique_object, parse_int=str, parse_float=str, parse_constant=str)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for each in level:
            if isinstance(each, list):
                deeper += [item for item in each if isinstance(item, list | dict)]
            elif isinstance(each, dict):
                deeper += [item for item in each.values() if isinstance(item, list | dict)]
        if not deeper:
            return
        level = deeper
    raise MalformedError(f"nested more than {MAX_DEPTH} deep")


# --- YAML -------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, for the values that JSON has."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise MalformedError(f"nested more than {MAX_DEPTH} deep", self.line + 1)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        seen: set[str] = set()
        for key in own:
            if not isinstance(key, yaml.ScalarNode):
                raise MalformedError("a key that is not a text", key.start_mark.line + 1)
            if key.value in seen:
                raise MalformedError(f"'{key.value[:100]}' stands twice in a mapping", key.start_mark.line + 1)
            seen.add(key.value)
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        line = node.start_mark.line + 1
        if len(node.value) > MAX_DIGITS:
            raise MalformedError(f"a number of {len(node.value):,} digits", line)
        try:
            number = self.construct_yaml_int(node) if node.tag.endswith(":int") else self.construct_yaml_float(node)
        except (ValueError, IndexError) as error:
            raise MalformedError(f"'{node.value[:100]}' is not a number", line) from error
        if not math.isfinite(number):
            raise MalformedError(f"the number {node.value[:40]} is out of range", line)
        return number

    def construct_truth(self, node: yaml.ScalarNode) -> bool:
        if node.value.lower() not in self.bool_values:
            raise MalformedError(f"'{node.value[:100]}' is neither true nor false", node.start_mark.line + 1)
        return bool(self.construct_yaml_bool(node))


# Dates stay texts; sets, ordered mappings, binary data and Python's own tags are no values of JSON.
_Loader.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in ("null", "str", "seq", "map")
}
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:bool", _Loader.construct_truth)
_Loader.yaml_constructors["tag:yaml.org,2002:timestamp"] = _Loader.yaml_constructors["tag:yaml.org,2002:str"]


class _TextLoader(_Loader):
    """The same, with texts for numbers, dates and all else that is no list or mapping."""


_TextLoader.yaml_implicit_resolvers = {}
_TextLoader.yaml_constructors = {}


def _check_size(root: yaml.Node) -> None:
    """Raise MalformedError for aliases that stand inside what they repeat, or that blow up."""
    sizes: dict[int, int] = {}
    unfinished: set[int] = set()

    def size(node: yaml.Node) -> int:  # as deep as the text is nested at most
        if isinstance(node, yaml.ScalarNode):
            return 1
        line = node.start_mark.line + 1
        if id(node) in unfinished:
            raise MalformedError("an alias stands inside what it repeats", line)
        if id(node) not in sizes:
            unfinished.add(id(node))
            parts = node.value if isinstance(node, yaml.SequenceNode) else chain.from_iterable(node.value)
            sizes[id(node)] = 1 + sum(size(part) for part in parts)
            unfinished.remove(id(node))
            if sizes[id(node)] > MAX_YAML_VALUES:
                raise MalformedError(f"more than {MAX_YAML_VALUES:,} values, aliases written out", line)
        return sizes[id(node)]

    size(root)
