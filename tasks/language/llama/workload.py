"""Today's decoder on WikiText-103, made live: a small Llama over subwords, in shuffled blocks of text."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaForCausalLM

from optathlon.tasks.data.loading import split
from optathlon.tasks.errors import TaskError
from optathlon.tasks.evaluation import Totals, batched, evaluating
from optathlon.tasks.language.corpora import wikitext103
from optathlon.tasks.language.settings import LlamaSettings
from optathlon.tasks.language.text import subwords
from optathlon.tasks.randomness import generator
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch, Workload

EVALUATED_AT_ONCE = 1 << 12


class LlamaWorkload(Workload):
    """Trains on blocks of `context` subwords, each followed by the next of its text, in a new order every epoch.

    Metrics are comparable with those of the word-level tasks on the same text: see tasks.language.subwords.scores.
    """

    def __init__(self, protocol: Protocol, data: Path, **process: Any) -> None:
        super().__init__(protocol, data, **process)
        self.settings = s = LlamaSettings.read(protocol)
        corpus = wikitext103(s, self.data)
        self.text = subwords.load_or_train(corpus, s.vocabulary, self.data)
        self.blocks = (len(self.text.ids["train"]) - 1) // s.context
        if self.blocks < protocol.batch:
            raise TaskError(
                f"protocol.batch: {protocol.batch} blocks of {s.context} subwords, but the training text has only"
                f" {self.blocks}"
            )
        for name, size in self.text.sizes.items():
            if size.subwords < 2:
                raise TaskError(
                    f"protocol.settings.evaluation_tokens: {s.evaluation_tokens} leaves {size.subwords} subwords of"
                    f" {name}, and the first one is never scored; take more"
                )
        self.model = model_of(s, self.text.vocabulary).to(self.device)
        self.players = {"model": self.model}

    def tags(self, player: str) -> dict[str, set[str]]:
        """As the modules tell; the tied matrix is one parameter, both embedding and head."""
        tags = super().tags(player)
        for name, facts in tags.items():
            if name.endswith("norm.weight"):  # transformers has its own class for it
                facts.add("norm")
        tags["model.embed_tokens.weight"].add("head")
        return tags

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """data is (subwords read, subwords to predict), each blocks × context."""
        order = generator(self.seed, "order", epoch).permutation(self.blocks)
        micro_batches = split(order, self.protocol.micro_batch_size, self.protocol.micro_batches, drop_last=True)
        fetch = functools.partial(blocks, self.text.ids["train"], self.settings.context)
        for index, data in self.load_share(fetch, micro_batches, start):
            tokens, targets = map(self.on_device, data)
            yield Batch((tokens, targets), index, len(micro_batches), size=targets.numel())

    def loss(self, batch: Batch, player: str) -> Tensor:
        """Mean cross-entropy, nats a subword."""
        return self._nats(*batch.data) / batch.size

    def _nats(self, tokens: Tensor, targets: Tensor) -> Tensor:
        logits = self.model(tokens, use_cache=False).logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="sum")

    def evaluate(self, split: str) -> dict[str, float]:
        """perplexity and loss (nats) of a word, and bits_per_byte; every block is read without what is before it."""
        ids, context = self.text.ids[split], self.settings.context
        whole, rest = divmod(len(ids) - 1, context)
        totals = Totals(self.device)
        with evaluating(self.model):
            for which in batched(whole, max(1, EVALUATED_AT_ONCE // context)):
                totals.add(len(which) * context, nats=self._nats(*self._on_device(ids, which, context)))
            if rest:
                last = self._on_device(ids[whole * context :], np.zeros(1, dtype=np.int64), rest)
                totals.add(rest, nats=self._nats(*last))
        return subwords.scores(totals.sums()["nats"], totals.count, self.text.sizes[split])

    def _on_device(self, ids: np.ndarray, which: np.ndarray, context: int) -> list[Tensor]:
        return [part.to(self.device) for part in blocks(ids, context, which)]


def blocks(ids: np.ndarray, context: int, which: np.ndarray) -> tuple[Tensor, Tensor]:
    """Blocks number `which` as (subwords read, subwords to predict), each int64, blocks × context."""
    rows = which[:, None] * context + np.arange(context + 1)
    tokens = torch.from_numpy(ids[rows].astype(np.int64))
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def model_of(settings: LlamaSettings, vocabulary: int) -> nn.Module:
    """The transformers model, with its own initialization: every matrix Normal(0, initializer_range)."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=settings.hidden,
        intermediate_size=settings.intermediate,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        max_position_embeddings=settings.context,
        initializer_range=settings.initializer_range,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config)
