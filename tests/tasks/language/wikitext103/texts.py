"""A few lines of text in the official layouts."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from optathlon.tasks.data.files import file_digest
from optathlon.tasks.language.wikitext103.dataset import ARCHIVE, LAYOUTS
from tests.tasks.language.split_files import write_splits

TEXT = {
    "train": " \n = A b = \n \n b b <unk> c \n",
    "valid": " b A \n",
    "test": " = c = \n \n",
}
WORDS = ("<eos>", "b", "=", "A", "<unk>", "c")


def lay(folder: Path, layout: str = LAYOUTS[0], text: dict[str, str] = TEXT) -> Path:
    return write_splits(folder, layout, text)


def archive(folder: Path, names: Iterable[str] = (), text: dict[str, str] = TEXT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / ARCHIVE, "w", zipfile.ZIP_DEFLATED) as out:
        for split, content in text.items():
            out.writestr(LAYOUTS[0].format(split), content)
        for name in names:
            out.writestr(name, "evil")
    return folder


def digests(folder: Path) -> list[str]:
    return [file_digest(folder / "tokens" / name) for name in ("train.npy", "valid.npy", "test.npy", "vocabulary.txt")]
