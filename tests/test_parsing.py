"""The one reader of JSON and YAML: what it gives, and every fault named with its line."""

from __future__ import annotations

import time

import pytest

from ragyena.parsing import MalformedError, parse_json, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2.5, true, null, "ü"]}', {"a": [1, 2.5, True, None, "ü"]}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('{"\\ud800": ["x\\udc00y"]}', {"\ufffd": ["x\ufffdy"]}),
        ("12345678901234567890123", 12345678901234567890123),
        ("[" * 100 + "]" * 100, None),
    ],
)
def test_json_is_read(text: str | bytes, value: object) -> None:
    read = parse_json(text)
    assert value is None or read == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ('{"a": 1,\n "b" 2}', "line 2: not JSON"),
        ('{"a": 1,\n "b": NaN}', "line 2: NaN is not a number"),
        ("[-Infinity]", "-Infinity is not a number"),
        ("[1,\n2,\n1e999]", "line 3: the number 1e999 is out of range"),
        ("[1,\n" + "9" * 5000 + "]", "line 2: a number of 5,000 digits"),
        ("[" + "9" * 1_000_000 + "]", "a number of 1,000,000 digits"),
        ('{"a": 1,\n"b": 2,\n"a": 3}', "line 3: 'a' stands twice"),
        ("[" * 101 + "]" * 101, "nested more than 100 deep"),
        ("[" * 1_000_000, "nested more than 100 deep"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "nested more than 100 deep"),
        (b'{"a": 1,\n"b": "\xff"}', "line 2: not UTF-8"),
    ],
)
def test_faults_of_json_are_named(text: str | bytes, words: str) -> None:
    began = time.perf_counter()
    with pytest.raises(MalformedError, match=words):
        parse_json(text)
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: 1\nb: {c: [x, 2.5, yes, null]}", {"a": 1, "b": {"c": ["x", 2.5, True, None]}}),
        ("when: 2024-02-30\nthen: 2024-01-02", {"when": "2024-02-30", "then": "2024-01-02"}),
        ("when: !!timestamp nonsense", {"when": "nonsense"}),
        ("1: one\non: two\nnull: three", {"1": "one", "on": "two", "null": "three"}),
        ("a: &x {b: 1}\nc: {<<: *x, b: 2}\nd: *x", {"a": {"b": 1}, "c": {"b": 2}, "d": {"b": 1}}),
        ('a: "\\uD800"', {"a": "\ufffd"}),
    ],
)
def test_yaml_is_read(text: str, value: object) -> None:
    assert parse_yaml(text) == value


def test_scalars_of_yaml_as_they_are_written() -> None:
    text = "version: 1.10\nday: 2024-02-31\nflag: no\nnone:\nsize: 0x10\nown: !size 3\nlist: [1, ~]"
    assert parse_yaml(text, scalars_as_text=True) == {
        **{"version": "1.10", "day": "2024-02-31", "flag": "no", "none": "", "size": "0x10", "own": "3"},
        "list": ["1", "~"],
    }
    with pytest.raises(MalformedError, match="line 2: 'a' stands twice"):
        parse_yaml("a: 1\na: 2", scalars_as_text=True)


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{chr(i + 1)}: &{chr(i + 1)} [*{chr(i)}, *{chr(i)}, *{chr(i)}]\n" for i in range(97, 121)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: [", "line 2: not valid YAML"),
        ("a: 1\nb: 2\na: 3", "line 3: 'a' stands twice"),
        ("a: 1\nb: " + "9" * 5000, "line 2: a number of 5,000 digits"),
        ("a: 0x_", "line 1: '0x_' is not a number"),
        ("a: .inf", "line 1: the number .inf is out of range"),
        ("a: .nan", "out of range"),
        ("a: !!int x", "not a number"),
        ("a: !!float ''", "not a number"),
        ("a: !!bool maybe", "neither true nor false"),
        ("a: !!binary xx", "not valid YAML"),
        ("a: !!python/object:os.system x", "not valid YAML"),
        ("? [a]\n: b", "a key that is not a text"),
        ('a: "\\U00110000"', "not valid YAML"),
        ("%YAML " + "9" * 5000 + ".1\n---\na", "not valid YAML"),
        ("&a [*a]", "an alias stands inside"),
        ("a: &a {b: *a}", "an alias stands inside"),
        ("&a {<<: *a}", "an alias stands inside"),
        (LAUGHS, "more than 100,000 values"),
        (LAUGHS.replace("[x, x]", "{x: y}").replace("[", "{<<: [").replace("]", "]}"), "more than 100,000 values"),
        ("[" * 100_000, "nested more than 100 deep"),
        ("- " * 100_000, "nested more than 100 deep"),
        ("".join(" " * i + "a:\n" for i in range(600)), "nested more than 100 deep"),
        ("a: " + "x" * 300_000, "longer than"),
        ("a\x00b", "not valid YAML"),
        ("--- a\n--- b", "not valid YAML"),
    ],
)
def test_faults_of_yaml_are_named(text: str, words: str) -> None:
    began = time.perf_counter()
    with pytest.raises(MalformedError, match=words):
        parse_yaml(text)
    assert time.perf_counter() - began < 5
