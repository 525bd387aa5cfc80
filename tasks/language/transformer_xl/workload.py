"""Transformer-XL on WikiText-103, made live: segments of parallel streams, with a memory carried between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from optathlon.tasks.data.loading import share
from optathlon.tasks.errors import TaskError
from optathlon.tasks.language.corpora import wikitext103
from optathlon.tasks.language.settings import transformer_xl_settings_of
from optathlon.tasks.language.text.streams import Streams, segments
from optathlon.tasks.language.transformer_xl.model import Memory, Reading, TransformerXL
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

    def __init__(
        self,
        protocol: Protocol,
        data: Path,
        *,
        device: torch.device | str = "cpu",
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        data_workers: int = 0,
    ) -> None:
        super().__init__(protocol, data, device=device, seed=seed, rank=rank, world=world, data_workers=data_workers)
        if protocol.parts % world:
            raise TaskError(
                f"protocol.micro_batch: {protocol.parts} parts of batch {protocol.batch} cannot be shared by {world}"
                f" processes; expected a micro_batch of {protocol.batch}/n for a multiple n of {world}"
            )
        self.settings = s = transformer_xl_settings_of(protocol)
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
        own = range(self.rank, self.protocol.parts, self.world)
        self._index: dict[int, int | None] = dict.fromkeys(own)
        self._after = {part: self.model.no_memory(self.protocol.part) for part in own}
        self._before = dict(self._after)

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
        """Segments in order, each in `Protocol.parts` shares of the streams; every epoch has the same.

        data is (tokens read, tokens to predict), each streams × length. Read in this process: a segment is a few
        kilobytes of a file that is mapped into memory.
        """
        found, parts, size = segments(len(self.train), self.settings.tgt_len), self.protocol.parts, self.protocol.part
        count = len(found) * parts
        for index in share(count, start, self.rank, self.world):
            segment, part = divmod(index, parts)
            tokens, targets = self.train.read(found[segment], slice(part * size, (part + 1) * size))
            data = (tokens.to(self.device, non_blocking=True), targets.to(self.device, non_blocking=True))
            yield Batch(data, index, count, size=targets.numel())

    def loss(self, batch: Batch, player: str) -> Tensor:
        """The mean cross-entropy of the segment's tokens."""
        part = batch.index % self.protocol.parts
        if batch.index != self._index[part]:
            self._index[part], self._before[part] = batch.index, self._after[part]
        tokens, targets = batch.data
        loss, self._after[part] = self.model(tokens, targets, self._before[part], self.reading)
        return loss / targets.numel()

    @torch.no_grad()
    def evaluate(self, split: str) -> dict[str, float]:
        """loss and perplexity at the memory of training; of "test" also perplexity_640."""
        training = self.model.training
        self.model.eval()
        try:
            loss = self._mean_loss(self.held_out[split], self.reading)
            found = {"perplexity": loss.exp().item(), "loss": loss.item()}
            if split == "test":
                found["perplexity_640"] = self._mean_loss(self.held_out[split], LONG).exp().item()
        finally:
            self.model.train(training)
        return found

    def _mean_loss(self, streams: Streams, reading: Reading) -> Tensor:
        """Nats per scored token, read from the beginning with no memory; float64."""
        memory = self.model.no_memory(streams.count)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for segment in segments(len(streams), reading.tokens):
            tokens, targets = (part.to(self.device) for part in streams.read(segment))
            loss, memory = self.model(tokens, targets, memory, reading)
            total += loss
        return total / (streams.count * (len(streams) - 1))

    def state_dict(self) -> dict[str, Any]:
        """The memory of each part after its last segment: what a resume within an epoch needs beside the weights."""
        return {"memory": {part: list(memory) for part, memory in self._after.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._forget()
        for part in self._after:
            memory: Memory = [layer.to(self.device) for layer in state["memory"][part]]
            self._before[part] = self._after[part] = memory
