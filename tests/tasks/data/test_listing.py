"""Lists in text files: a line is quoted where it is wrong, so none may be as long as a book."""

from __future__ import annotations

from pathlib import Path

import pytest

from optathlon.tasks.data.listing import LONGEST, rows
from optathlon.tasks.errors import DataError


def test_a_line_of_absurd_length_is_named_and_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "images.txt"
    path.write_text(f"1 a.jpg\n2 {'b' * LONGEST}.jpg\n")
    with pytest.raises(DataError, match=r"images\.txt, line 2 has 1,006 characters; expected image name$"):
        list(rows(path, ("image", "name")))
