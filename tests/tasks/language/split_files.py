"""Texts of splits, written to files in an official layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_splits(folder: Path, layout: str, text: Mapping[str, str]) -> Path:
    """Write the text of each split to its place in `layout` below `folder`, which is returned."""
    for split, content in text.items():
        path = folder / layout.format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder
