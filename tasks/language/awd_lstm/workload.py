"""AWD-LSTM on Penn Treebank, made live: truncated backpropagation through streams with a carried memory."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from optathlon.tasks.evaluation import Totals, evaluating
from optathlon.tasks.language.awd_lstm.model import AwdLstmModel
from optathlon.tasks.language.corpora import penn_treebank
from optathlon.tasks.language.settings import AwdLstmSettings
from optathlon.tasks.language.text.carried_memory import CarriedMemory
from optathlon.tasks.language.text.streams import Window, cut, parallel, segments, windows
from optathlon.tasks.metrics.language_modeling import perplexity
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch, Workload


class AwdLstm(Workload):
    """Trains on `Protocol.batch` parallel streams of text, whose memory goes on from window to window of an epoch.

    An update is one window of all streams. Its part k is that window of the streams k * part to (k + 1) * part, which
    has a memory, dropout masks and dropped weights of its own.
    """

    def __init__(self, protocol: Protocol, data: Path, **process: Any) -> None:
        super().__init__(protocol, data, **process)
        self.settings = s = AwdLstmSettings.read(protocol)
        corpus = penn_treebank(s, self.data)
        self.train = parallel(corpus.train, protocol.batch)
        validation = parallel(corpus.validation, s.validation_batch, "protocol.settings.validation_batch")
        test = parallel(corpus.test, s.test_batch, "protocol.settings.test_batch")
        self.held_out = {"validation": validation.to(self.device), "test": test.to(self.device)}
        self.model = AwdLstmModel(
            len(corpus.words),
            emsize=s.emsize,
            nhid=s.nhid,
            nlayers=s.nlayers,
            dropout=s.dropout,
            dropouth=s.dropouth,
            dropouti=s.dropouti,
            dropoute=s.dropoute,
            wdrop=s.wdrop,
        ).to(self.device)
        self.players = {"model": self.model}
        self._forget()

    def _forget(self) -> None:
        parts = range(self.rank, self.protocol.micro_batches, self.world)
        self._memory = CarriedMemory(parts, lambda: self.model.no_memory(self.protocol.micro_batch_size))

    def tags(self, player: str) -> dict[str, set[str]]:
        """As the modules tell; the tied matrix is one parameter, both embedding and head."""
        tags = super().tags(player)
        tags["encoder.weight"].add("head")
        tags["decoder_bias"].add("head")
        return tags

    def start_epoch(self, epoch: int, resuming: bool) -> None:
        """Each epoch reads the streams from their beginning, with no memory."""
        if not resuming:
            self._forget()

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Windows of random length; data is (tokens read, tokens to predict), each length × streams of a part."""
        drawn = windows(len(self.train), self.settings, self.seed, epoch)
        jobs = [(window, part) for window in drawn for part in range(self.protocol.micro_batches)]
        fetch = functools.partial(cut_part, self.train, self.protocol.micro_batch_size)
        for index, fetched in self.load_share(fetch, jobs, start):
            tokens, targets = map(self.on_device, fetched)
            scale = jobs[index][0].drawn / self.settings.bptt
            yield Batch((tokens, targets), index, len(jobs), size=targets.numel(), lr_scale=scale)

    def loss(self, batch: Batch, player: str) -> Tensor:
        """Mean cross-entropy + alpha · mean(dropped²) + beta · mean((rawₜ₊₁ - rawₜ)²), of the last layer's output."""
        part, (tokens, targets) = batch.index % self.protocol.micro_batches, batch.data
        output = self.model(tokens, self._memory.before(part, batch.index))
        self._memory.after[part] = [(hidden.detach(), cell.detach()) for hidden, cell in output.memory]
        loss = F.cross_entropy(self.model.decode(output.dropped).flatten(0, 1), targets.flatten())
        if self.settings.alpha:
            loss = loss + self.settings.alpha * output.dropped.pow(2).mean()
        if self.settings.beta:
            loss = loss + self.settings.beta * (output.raw[1:] - output.raw[:-1]).pow(2).mean()
        return loss

    def evaluate(self, split: str) -> dict[str, float]:
        """loss: mean cross-entropy, nats per scored token (all but each stream's first); perplexity: its exp."""
        streams = self.held_out[split]
        memory = self.model.no_memory(streams.shape[1])
        totals = Totals(self.device)
        with evaluating(self.model):
            for segment in segments(len(streams), self.settings.bptt):
                tokens, targets = cut(streams, segment)
                output = self.model(tokens, memory)
                memory = output.memory
                logits = self.model.decode(output.dropped).flatten(0, 1)
                totals.add(targets.numel(), nats=F.cross_entropy(logits, targets.flatten(), reduction="sum"))
        loss = totals.means()["nats"]
        return {"perplexity": perplexity(loss), "loss": loss}

    def state_dict(self) -> dict[str, Any]:
        """Each part's memory after the last window: all that a resume in an epoch needs beside the weights."""
        return {"memory": {part: [list(pair) for pair in memory] for part, memory in self._memory.after.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for part in self._memory.parts:
            memory = [(hidden.to(self.device), cell.to(self.device)) for hidden, cell in state["memory"][part]]
            self._memory.restore(part, memory)


def cut_part(streams: Tensor, size: int, job: tuple[Window, int]) -> tuple[Tensor, Tensor]:
    """`cut` for the window `job[0]` of the part `job[1]` of `streams`, which has `size` of them."""
    window, part = job
    return cut(streams[:, part * size : (part + 1) * size], window)
