"""The text that a protocol's settings leave of the prepared corpora below a data root. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from optathlon.tasks.data.dataset import require
from optathlon.tasks.data.places import folder_of
from optathlon.tasks.language.ptb.dataset import PennTreebank
from optathlon.tasks.language.ptb.layout import read
from optathlon.tasks.language.settings import AwdLstmSettings, LlamaSettings, TransformerXLSettings
from optathlon.tasks.language.text.corpus import Corpus
from optathlon.tasks.language.wikitext103 import dataset


def penn_treebank(settings: AwdLstmSettings, data: Path) -> Corpus:
    """What `settings` leave, with their vocabulary; DataError if the corpus is not there or not whole."""
    require(PennTreebank(), data)
    corpus = read(folder_of(data, PennTreebank.name))
    if settings.vocabulary:
        corpus = corpus.limited(settings.vocabulary)
    return corpus.cut(settings.train_tokens, settings.evaluation_tokens)


def wikitext103(settings: TransformerXLSettings | LlamaSettings, data: Path) -> Corpus:
    """What `settings` leave; DataError if the corpus is not there or not whole."""
    require(dataset.WikiText103(), data)
    return dataset.read(folder_of(data, dataset.NAME)).cut(settings.train_tokens, settings.evaluation_tokens)
