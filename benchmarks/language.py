"""Transformer-XL's training step beside plainer ways to compute it, and its adaptive softmax beside the full one.

    PYTHONPATH=. python benchmarks/language.py --streams 4 --rounds 7 --threads 1

Every contender computes the same function with the same parameters, which is checked first (without dropout). "plain"
writes the equations down with einsum, gathers the scores by distance, and takes log_softmax of each cluster;
"reference" does what the published code does, in its order and layout: steps first, a padded and reshaped relative
shift, queries for the memory too, softmax over the second dimension. A step is forward and backward of the loss, and
the new memory. The rounds are interleaved in one process, a ratio is the median of the rounds' ratios. With one thread
the time is the processor's, so that others on the machine count little. Peak memory is what a step holds at most beyond
parameters and memory, on a CPU by torch's profiler.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from optathlon.tasks.language.transformer_xl.model import Layer, Memory, Reading, TransformerXL

Step = Callable[[TransformerXL, Tensor, Tensor, Memory, Reading], tuple[Tensor, Memory]]
SIZES: dict[str, dict[str, Any]] = {
    "paper": {
        "vocabulary": 267_735,
        "cutoffs": (20_000, 40_000, 200_000),
        "layers": 16,
        "d_model": 410,
        "heads": 10,
        "d_head": 41,
        "d_inner": 2100,
    },
    "half": {
        "vocabulary": 20_000,
        "cutoffs": (2_000, 4_000, 15_000),
        "layers": 8,
        "d_model": 200,
        "heads": 5,
        "d_head": 40,
        "d_inner": 1000,
    },
}
DROPOUT = 0.1


def ours(model: TransformerXL, x: Tensor, y: Tensor, memory: Memory, reading: Reading) -> tuple[Tensor, Memory]:
    loss, memory = model(x, y, memory, reading)
    return loss / y.numel(), memory


def full_softmax(model: TransformerXL, x: Tensor, y: Tensor, memory: Memory, reading: Reading) -> tuple[Tensor, Memory]:
    """As ours, with one softmax over all words: another model, whose loss is not compared."""
    hidden, memory = model.hidden(x, memory, reading)
    logits = F.linear(hidden, model.embedding.weight, model.softmax.bias)
    return F.cross_entropy(logits.flatten(0, 1), y.flatten()), memory


def plain(model: TransformerXL, x: Tensor, y: Tensor, memory: Memory, reading: Reading) -> tuple[Tensor, Memory]:
    drop = dropout_of(model)
    steps, keys = x.shape[1], x.shape[1] + memory[0].shape[1]
    distance = torch.arange(keys - steps, keys, device=x.device)[:, None] - torch.arange(keys, device=x.device)
    positions = drop(sinusoid_table(torch.arange(keys, device=x.device), model.d_model))
    hidden, after = drop(model.embedding(x) * math.sqrt(model.d_model)), []
    for layer, old in zip(layers(model), memory, strict=True):
        both = torch.cat([old, hidden], dim=1)
        after.append(both[:, keys - reading.memory if keys > reading.memory else 0 :].detach())
        hidden = plain_layer(layer, hidden, both, positions, distance, model, drop)
    return plain_softmax(model, drop(hidden), y), after


def plain_layer(
    layer: Layer,
    x: Tensor,
    context: Tensor,
    positions: Tensor,
    distance: Tensor,
    model: TransformerXL,
    drop: Callable[[Tensor], Tensor],
) -> Tensor:
    heads, width = model.content_bias.shape
    to_q, to_k, to_v = layer.attention.qkv.weight.chunk(3)
    q, k, v = ((part @ w.T).unflatten(-1, (heads, width)) for part, w in ((x, to_q), (context, to_k), (context, to_v)))
    r = layer.attention.positions(positions).unflatten(-1, (heads, width))
    content = torch.einsum("bind,bjnd->bnij", q + model.content_bias, k)
    by_distance = torch.einsum("bind,jnd->bnij", q + model.position_bias, r)
    position = by_distance.gather(3, distance.clamp(min=0).expand_as(content))
    scores = ((content + position) / math.sqrt(width)).masked_fill(distance < 0, float("-inf"))
    found = torch.einsum("bnij,bjnd->bind", scores.softmax(-1), v).flatten(2)
    x = layer.attention_norm(x + drop(layer.attention.output(found)))
    return layer.outer_norm(x + drop(layer.outer(drop(layer.inner(x).relu()))))


def plain_softmax(model: TransformerXL, hidden: Tensor, y: Tensor) -> Tensor:
    hidden, y = hidden.flatten(0, 1), y.flatten()
    softmax, vectors = model.softmax, model.embedding.weight
    assert softmax.cluster_vectors is not None
    assert softmax.cluster_bias is not None
    first = softmax.sizes[0]
    head = torch.cat([vectors[:first], softmax.cluster_vectors])
    of_head = F.log_softmax(F.linear(hidden, head, torch.cat([softmax.bias[:first], softmax.cluster_bias])), -1)
    losses = torch.zeros_like(hidden[:, 0])
    start = 0
    for number, size in enumerate(softmax.sizes):
        rows = ((y >= start) & (y < start + size)).nonzero().squeeze(1)
        if number == 0:
            log_likelihood = of_head[rows, y[rows]]
        else:
            part = slice(start, start + size)
            tail = F.log_softmax(F.linear(hidden[rows], vectors[part], softmax.bias[part]), -1)
            log_likelihood = of_head[rows, first + number - 1] + tail.gather(1, (y[rows] - start)[:, None]).squeeze(1)
        losses = losses.index_copy(0, rows, -log_likelihood.to(losses.dtype))
        start += size
    return losses.mean()


def reference(model: TransformerXL, x: Tensor, y: Tensor, memory: Memory, reading: Reading) -> tuple[Tensor, Memory]:
    drop = dropout_of(model)
    x, y = x.T.contiguous(), y.T.contiguous()
    memory = [m.transpose(0, 1) for m in memory]
    steps, keys = len(x), len(x) + len(memory[0])
    masked = torch.triu(torch.ones(steps, keys, dtype=torch.bool, device=x.device), 1 + keys - steps)[:, :, None]
    positions = drop(sinusoid_table(torch.arange(keys - 1, -1, -1, device=x.device), model.d_model)[:, None])
    hidden, after = drop(model.embedding(x) * model.d_model**0.5), []
    for layer, old in zip(layers(model), memory, strict=True):
        after.append(torch.cat([old, hidden])[-reading.memory :].detach().transpose(0, 1))
        hidden = reference_layer(layer, hidden, old, positions, masked, model, drop)
    return plain_softmax(model, drop(hidden), y), after


def reference_layer(
    layer: Layer,
    x: Tensor,
    old: Tensor,
    positions: Tensor,
    masked: Tensor,
    model: TransformerXL,
    drop: Callable[[Tensor], Tensor],
) -> Tensor:
    heads, width = model.content_bias.shape
    q, k, v = layer.attention.qkv(torch.cat([old, x])).chunk(3, dim=-1)
    q, k, v = (part.reshape(*part.shape[:2], heads, width) for part in (q[-len(x) :], k, v))
    r = layer.attention.positions(positions).view(-1, heads, width)
    content = torch.einsum("ibnd,jbnd->ijbn", q + model.content_bias, k)
    position = torch.einsum("ibnd,jnd->ijbn", q + model.position_bias, r)
    scores = (content + padded_shift(position)) * width**-0.5
    weights = scores.float().masked_fill(masked[..., None], float("-inf")).type_as(scores).softmax(dim=1)
    found = torch.einsum("ijbn,jbnd->ibnd", weights, v).reshape(*x.shape[:2], heads * width)
    x = layer.attention_norm(x + drop(layer.attention.output(found)))
    return layer.outer_norm(x + drop(layer.outer(drop(layer.inner(x).relu()))))


def padded_shift(x: Tensor) -> Tensor:
    """Row i of steps × keys × ... moved left by steps - 1 - i places, by way of a column of zeros and two reshapes."""
    steps, keys = x.shape[:2]
    padded = torch.cat([x.new_zeros(steps, 1, *x.shape[2:]), x], dim=1)
    return padded.view(keys + 1, steps, *x.shape[2:])[1:].view_as(x)


def sinusoid_table(distances: Tensor, width: int) -> Tensor:
    rates = 1 / 10000 ** (torch.arange(0.0, width, 2.0, device=distances.device) / width)
    angles = torch.outer(distances.to(rates.dtype), rates)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def dropout_of(model: TransformerXL) -> Callable[[Tensor], Tensor]:
    return lambda x: F.dropout(x, model.dropout.p, model.training)


def layers(model: TransformerXL) -> list[Layer]:
    return [layer for layer in model.layers if isinstance(layer, Layer)]


CONTENDERS: dict[str, Step] = {"ours": ours, "plain": plain, "reference": reference, "full softmax": full_softmax}


class Bench:
    """One model and one segment of Zipf-distributed tokens, with a full memory."""

    def __init__(self, size: str, streams: int, steps: int, device: str, precision: str) -> None:
        self.device, self.precision = torch.device(device), precision
        torch.default_generator.manual_seed(0)
        self.model = TransformerXL(**SIZES[size], dropout=DROPOUT, dropatt=0.0).to(self.device)
        vocabulary = SIZES[size]["vocabulary"]
        frequency = 1.0 / (torch.arange(vocabulary) + 2.7)  # Zipf's law as Mandelbrot has it
        tokens = torch.multinomial(frequency, streams * (steps + 1), replacement=True).view(streams, steps + 1)
        tokens = tokens.to(self.device)
        self.x, self.y = tokens[:, :-1], tokens[:, 1:]
        self.reading = Reading(steps, steps)
        width = SIZES[size]["d_model"]
        self.memory = [torch.randn(streams, steps, width, device=self.device) for _ in self.model.layers]

    def loss(self, contender: str) -> Tensor:
        amp = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")
        with amp:
            return CONTENDERS[contender](self.model, self.x, self.y, self.memory, self.reading)[0]

    def step(self, contender: str) -> None:
        self.model.zero_grad(set_to_none=True)
        self.loss(contender).backward()
        if self.device.type != "cpu":
            torch.accelerator.synchronize()

    def agree(self) -> None:
        """Raise AssertionError if the contenders' losses and gradients differ."""
        self.model.eval()
        computed = {}
        for name in ("ours", "plain", "reference"):
            self.step(name)
            gradients = [p.grad.flatten()[:1000].clone() for p in self.model.parameters() if p.grad is not None]
            computed[name] = [self.loss(name).detach(), *gradients]
        rtol, atol = (1e-3, 1e-5) if self.precision == "fp32" else (0.1, 0.02)
        for name in ("plain", "reference"):
            torch.testing.assert_close(computed["ours"], computed[name], rtol=rtol, atol=atol, msg=f"{name} differs")
        self.model.train()

    def seconds(self, contender: str) -> float:
        clock = time.process_time if self.device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
        start = clock()
        self.step(contender)
        return clock() - start

    def peak(self, contender: str) -> int:
        """Bytes that a step holds at most, beyond parameters and memory."""
        self.model.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
            self.step(contender)
            return torch.cuda.max_memory_allocated(self.device) - before
        with torch.profiler.profile(profile_memory=True) as profile:
            self.step(contender)
        held = most = 0
        kineto: Any = profile.profiler.kineto_results if profile.profiler else None
        for event in sorted(kineto.events(), key=lambda e: e.start_ns()):
            held += event.nbytes() if event.name() == "[memory]" else 0
            most = max(most, held)
        return most


def measure(bench: Bench, rounds: int) -> list[dict[str, Any]]:
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for name in CONTENDERS:
        bench.step(name)
    for _ in range(rounds):
        for name in CONTENDERS:
            times[name].append(bench.seconds(name))
    return [
        {
            "contender": name,
            "milliseconds": 1e3 * statistics.median(taken),
            "tokens_per_second": bench.y.numel() / statistics.median(taken),
            "over_ours": statistics.median(a / b for a, b in zip(taken, times["ours"], strict=True)),
            "peak_megabytes": bench.peak(name) / 1e6,
        }
        for name, taken in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="paper")
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--steps", type=int, default=150, help="tokens in a segment, and in the memory")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--save", type=Path, help="also write the rows into this file, as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    bench = Bench(arguments.size, arguments.streams, arguments.steps, arguments.device, arguments.precision)
    bench.agree()
    rows = measure(bench, arguments.rounds)
    if arguments.save:
        arguments.save.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'contender':15}" + "".join(f"{key:>20}" for key in list(rows[0])[1:]))
    for row in rows:
        print(f"{row['contender']:15}" + "".join(f"{row[key]:20.4g}" for key in list(row)[1:]))


if __name__ == "__main__":
    main()
