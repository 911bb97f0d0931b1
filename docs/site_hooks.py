"""Hooks of the documentation site: pages that stand elsewhere in the repository join it, and links follow them."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
JOINED = {
    "README.md": "index.md",
    "indexes/README.md": "index-format.md",
    "ragyena/assets/reader/README.md": "model-card.md",
    "benchmarks/README.md": "benchmarks.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Path in the repository -> name in the site."""

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_MERMAID = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of ``JOINED``."""
    from mkdocs.structure.files import File

    for path, name in JOINED.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at pages of the site; what is not part of it stays as text."""
    origins = {name: path for path, name in JOINED.items()}
    origin = origins.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    known = {file.src_uri for file in files}
    # a diagram needs a script from elsewhere; the page on how it works says the same
    return with_links(_MERMAID.sub("", markdown), origin, known)


def with_links(markdown: str, origin: str, known: set[str]) -> str:
    """The Markdown of the page ``origin``, a path in the repository, with its links as they are in the site.

    ``known`` has the names of the site's files.
    """

    def follow(link: re.Match[str]) -> str:
        image, text, target = link.groups()
        if re.match(r"[a-z]+:|#", target):
            return link[0]
        path, _, anchor = target.partition("#")
        place = normpath(str(PurePosixPath(origin).parent / path))
        name = JOINED.get(place, place.removeprefix("docs/") if place.startswith("docs/") else "")
        if name not in known:
            return text
        here = JOINED.get(origin, origin.removeprefix("docs/"))
        there = relpath(name, str(PurePosixPath(here).parent))
        return f"{image}[{text}]({there}{'#' + anchor if anchor else ''})"

    return _LINK.sub(follow, markdown)
