"""Transformer-XL on WikiText-103, made live: segments of parallel streams, with a memory carried between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from optathlon.tasks.data.loading import share
from optathlon.tasks.evaluation import Totals, evaluating
from optathlon.tasks.language.corpora import wikitext103
from optathlon.tasks.language.settings import TransformerXLSettings
from optathlon.tasks.language.text.carried_memory import CarriedMemory
from optathlon.tasks.language.text.streams import Streams, segments
from optathlon.tasks.language.transformer_xl.model import Reading, TransformerXL
from optathlon.tasks.metrics.language_modeling import perplexity
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch, Workload

LONG = Reading(tokens=64, memory=640, clamp=400, same_length=True)
"""How the published test reads (transformer-xl `run_wt103_base.sh eval`)."""


class TransformerXLWorkload(Workload):
    """Trains on `Protocol.batch` parallel streams of text, each with its memory of the segments before.

    A part of a micro-batch's size is a fixed share of the streams, at whatever process it is. Metrics: `loss` in nats a
    scored token (all but the first of each stream) and `perplexity`, its exp, with the memory of training; on the test
    split also `perplexity_640`, with 640 tokens of memory, distances clamped at 400 and segments of 64.
    """

    def __init__(self, protocol: Protocol, data: Path, **process: Any) -> None:
        super().__init__(protocol, data, **process)
        self.settings = s = TransformerXLSettings.read(protocol)
        self.reading = Reading(s.tgt_len, s.mem_len)
        corpus = wikitext103(s, self.data)
        self.train = Streams(corpus.train, protocol.batch)
        held_out = {"validation": corpus.validation, "test": corpus.test}
        self.held_out = {
            split: Streams(ids, s.evaluation_batch, "protocol.settings.evaluation_batch")
            for split, ids in held_out.items()
        }
        self.model = TransformerXL(
            len(corpus.words),
            layers=s.n_layer,
            d_model=s.d_model,
            heads=s.n_head,
            d_head=s.d_head,
            d_inner=s.d_inner,
            dropout=s.dropout,
            dropatt=s.dropatt,
            cutoffs=s.cutoffs,
            weight_normalized=s.weight_norm,
        ).to(self.device)
        self.players = {"model": self.model}
        self._forget()

    def _forget(self) -> None:
        parts = range(self.rank, self.protocol.micro_batches, self.world)
        self._memory = CarriedMemory(parts, lambda: self.model.no_memory(self.protocol.micro_batch_size))

    def tags(self, player: str) -> dict[str, set[str]]:
        """As the modules tell; the tied matrix is one parameter, both embedding and head; a direction of weight
        normalization is scale-invariant."""
        tags = super().tags(player)
        tags["embedding.weight"].add("head")
        for name, facts in tags.items():
            if name.startswith("softmax."):
                facts.add("head")
            if name.endswith("parametrizations.weight.original1"):
                facts.add("scale_invariant")
        return tags

    def start_epoch(self, epoch: int, resuming: bool) -> None:
        """Each epoch reads the streams from their beginning, with no memory."""
        if not resuming:
            self._forget()

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Segments in order, each in `Protocol.micro_batches` shares of the streams; every epoch has the same.

        data is (tokens read, tokens to predict), each streams × length, and then where words of each cluster of the
        softmax after the first are to be predicted. Read in this process: a segment is a few kilobytes of a file that
        is mapped into memory.
        """
        epoch_segments = segments(len(self.train), self.settings.tgt_len)
        parts, size = self.protocol.micro_batches, self.protocol.micro_batch_size
        count = len(epoch_segments) * parts
        for index in share(count, start, self.rank, self.world):
            segment, part = divmod(index, parts)
            tokens, targets = self.train.read(epoch_segments[segment], slice(part * size, (part + 1) * size))
            places = self.model.softmax.places(targets)  # found on the host, which else would wait for a GPU
            data = tuple(map(self.on_device, (tokens, targets, *places)))
            yield Batch(data, index, count, size=targets.numel())

    def loss(self, batch: Batch, player: str) -> Tensor:
        """The mean cross-entropy of the segment's tokens."""
        part, (tokens, targets, *places) = batch.index % self.protocol.micro_batches, batch.data
        memory = self._memory.before(part, batch.index)
        loss, self._memory.after[part] = self.model(tokens, targets, memory, self.reading, places)
        return loss / targets.numel()

    def evaluate(self, split: str) -> dict[str, float]:
        """loss and perplexity at the memory of training; of "test" also perplexity_640."""
        with evaluating(self.model):
            loss = self._mean_loss(self.held_out[split], self.reading)
            scores = {"perplexity": perplexity(loss), "loss": loss}
            if split == "test":
                scores["perplexity_640"] = perplexity(self._mean_loss(self.held_out[split], LONG))
        return scores

    def _mean_loss(self, streams: Streams, reading: Reading) -> float:
        """Nats per scored token, read from the beginning with no memory."""
        memory = self.model.no_memory(streams.count)
        totals = Totals(self.device)
        for segment in segments(len(streams), reading.tokens):
            tokens, targets = (part.to(self.device) for part in streams.read(segment))
            nats, memory = self.model(tokens, targets, memory, reading)
            totals.add(targets.numel(), nats=nats)
        return totals.means()["nats"]

    def state_dict(self) -> dict[str, Any]:
        """The memory of each part after its last segment: what a resume within an epoch needs beside the weights."""
        return {"memory": {part: list(memory) for part, memory in self._memory.after.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for part in self._memory.parts:
            self._memory.restore(part, [layer.to(self.device) for layer in state["memory"][part]])
