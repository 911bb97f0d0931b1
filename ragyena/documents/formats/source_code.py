"""Source code and settings files, kept as they stand and titled by their name; classes and functions are headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.documents.line_text import LineText
from ragyena.types import Document

SUFFIXES = (
    *(".py", ".pyi", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".vue", ".svelte"),
    *(".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".cu", ".cuh", ".m", ".mm", ".swift"),
    *(".rs", ".go", ".java", ".kt", ".kts", ".scala", ".groovy", ".clj", ".cljs", ".cs", ".fs", ".vb"),
    *(".rb", ".php", ".pl", ".pm", ".lua", ".r", ".jl", ".hs", ".ml", ".mli", ".ex", ".exs", ".erl", ".elm"),
    *(".dart", ".zig", ".nim", ".lisp", ".el", ".scm", ".f90", ".f", ".pas", ".asm", ".s", ".v", ".sv", ".vhd"),
    *(".sh", ".bash", ".zsh", ".fish", ".ps1", ".bat", ".sql", ".proto", ".graphql", ".tf", ".cmake", ".mk"),
    *(".css", ".scss", ".less", ".json", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".gradle"),
    *(".properties", ".env", ".hcl", ".nix", ".desktop", ".crontab", ".cron"),
    *(".service", ".timer", ".socket", ".mount", ".automount", ".target", ".path", ".slice", ".network", ".netdev"),
    *("makefile", "dockerfile", "containerfile", "justfile", "rakefile", "gemfile", "procfile", "jenkinsfile"),
    *("vagrantfile", "crontab", "fstab", "hosts", "ssh_config", "sshd_config"),
    *(".profile", ".bashrc", ".bash_profile", ".bash_aliases", ".zshrc", ".zprofile", ".zshenv", ".vimrc", ".inputrc"),
    *(".gitconfig", ".gitignore", ".gitattributes", ".dockerignore", ".editorconfig"),
)
WAY_OUT: dict[str, str] = {}


LONGEST_NAME = 120
"""Chars of a heading made of a definition."""

_SETTINGS = frozenset(
    """.yaml .yml .toml .ini .cfg .conf .css .scss .less .properties .env .desktop .crontab .cron crontab fstab hosts
    .service .timer .socket .mount .automount .target .path .slice .network .netdev .gitconfig .editorconfig""".split()  # noqa: SIM905
)
_SECTION = re.compile(r"\[{1,2}([^\[\]]{1,120})\]{1,2}\s*\Z")
_DEFINITION = re.compile(
    r"(?P<indent>[ \t]{0,8})(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|pub"
    r"(?:\([a-z]{1,9}\))?|open|sealed|data|override|inline|const|unsafe|virtual)\s{1,4}){0,5}"
    r"(?:def|class|struct|enum|trait|impl|interface|func|function|fn|fun|module|namespace|object|protocol|extension|sub)"
    r"\b[ \t*]{1,4}[A-Za-z_$(<]"
)


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    result = LineText(read_text(path))
    result.mark(0, len(result.lines), "code")
    settings = (path.suffix or path.name).lower() in _SETTINGS
    for number, line in enumerate(result.lines):
        section = _SECTION.match(line) if settings else None
        definition = None if settings else _DEFINITION.match(line)
        if section is not None:
            result.heading(number, 1, section[1])
        elif definition is not None:
            level = 1 if not definition["indent"] else 2
            result.heading(number, level, line.strip()[:LONGEST_NAME].rstrip(" {:;"))
    yield result.document(path, path.name)
