"""The fenced blocks of the documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

PAGES = sorted(
    page
    for page in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "troubleshooting").glob("*.md"),
        *(ROOT / "examples").glob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
        *(ROOT / "systemd").rglob("*.md"),
        *(ROOT / "edge_runtime" / "fer_edge" / "models").glob("*.md"),
    )
)

_BLOCK = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One block: where it stands, its language, the marks behind it, and what is in it."""

    place: str
    language: str
    marks: frozenset[str]
    text: str


def blocks(language: str) -> list[Block]:
    """All blocks of that language, page by page."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            if match[1] == language:
                line = text.count("\n", 0, match.start()) + 1
                found.append(Block(f"{page.relative_to(ROOT)}:{line}", language, frozenset(match[2].split()), match[3]))
    return found
