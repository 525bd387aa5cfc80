"""What the language tasks declare as references: n-gram models on the text that the protocol leaves."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from optathlon.tasks import task
from optathlon.tasks.language.corpora import penn_treebank
from optathlon.tasks.language.settings import AwdLstmSettings
from optathlon.tasks.language.text import subwords
from optathlon.tasks.language.text.ngrams import bigram_perplexity, unigram_perplexity
from optathlon.tasks.language.wikitext103 import dataset as wikitext103
from optathlon.tasks.registry import resolve
from tests.miniatures import put_miniatures

PTB = ("ptb-awd-lstm", "ptb-awd-lstm-merity")
WIKITEXT = ("wikitext103-txl", "wikitext103-txl-wn", "wikitext103-llama")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    put_miniatures(root, "ptb", "wikitext-103")
    return root


def scores(name: str, data: Path, **settings: int) -> dict[str, dict[str, float]]:
    found = task(name)
    return resolve(str(found.references))(found.protocol("smoke").override({"settings": settings}), data)


@pytest.mark.parametrize("name", PTB + WIKITEXT)
def test_every_language_task_has_both_models_on_both_splits_in_metrics_of_its_own(name: str, data: Path) -> None:
    by_model = scores(name, data)
    assert list(by_model) == ["unigram", "bigram"]
    known = {f"{split}/{metric.name}" for split in ("validation", "test") for metric in task(name).metrics}
    for of_model in by_model.values():
        assert {f"{split}/{metric}" for split in ("validation", "test") for metric in ("perplexity", "loss")} <= set(
            of_model
        )
        assert set(of_model) <= known
        assert of_model["test/loss"] == pytest.approx(math.log(of_model["test/perplexity"]))
    assert by_model["bigram"]["test/perplexity"] < by_model["unigram"]["test/perplexity"]


@pytest.mark.parametrize("name", PTB)
def test_the_text_and_vocabulary_are_what_the_protocol_leaves(name: str, data: Path) -> None:
    changes = {"vocabulary": 40, "train_tokens": 3000, "evaluation_tokens": 500}
    corpus = penn_treebank(AwdLstmSettings.read(task(name).protocol("smoke").override({"settings": changes})), data)
    assert len(corpus.words) == 40
    found = scores(name, data, **changes)
    assert found["unigram"]["test/perplexity"] == unigram_perplexity(corpus)
    assert found["bigram"]["validation/perplexity"] == bigram_perplexity(corpus, "validation")


@pytest.mark.parametrize("name", WIKITEXT)
def test_all_wikitext_tasks_are_given_the_same_words(name: str, data: Path) -> None:
    corpus = wikitext103.read(data / wikitext103.NAME).cut(9000, 700)
    found = scores(name, data, train_tokens=9000, evaluation_tokens=700)
    assert found["unigram"]["test/perplexity"] == unigram_perplexity(corpus)
    assert found["bigram"]["test/perplexity"] == bigram_perplexity(corpus)


def test_bits_a_byte_are_of_the_bytes_that_the_subwords_stand_for(data: Path) -> None:
    bigram = scores("wikitext103-llama", data)["bigram"]
    s = task("wikitext103-llama").protocol("smoke").settings
    corpus = wikitext103.read(data / wikitext103.NAME).cut(int(s["train_tokens"]), int(s["evaluation_tokens"]))  # type: ignore[arg-type]
    text = "".join(subwords.lines(corpus.test, corpus.words))
    bits = bigram["test/loss"] * len(corpus.test) / math.log(2)
    assert bigram["test/bits_per_byte"] == pytest.approx(bits / len(text.encode()))


def test_they_need_no_torch() -> None:
    code = "import sys, optathlon.tasks.language.references; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
