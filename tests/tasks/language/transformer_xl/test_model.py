"""Transformer-XL against a slow, literal version of its published equations, and against its published counts."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from optathlon.tasks.language import TASKS
from optathlon.tasks.language.settings import TransformerXLSettings
from optathlon.tasks.language.transformer_xl.adaptive_softmax import AdaptiveSoftmax, TiedVectors
from optathlon.tasks.language.transformer_xl.model import Layer, Memory, Reading, TransformerXL
from optathlon.tasks.language.transformer_xl.relative_attention import attention_mask, by_distance, sinusoids

BASE = {"layers": 16, "d_model": 410, "heads": 10, "d_head": 41, "d_inner": 2100, "dropout": 0.1, "dropatt": 0.0}
SMALL = {"layers": 2, "d_model": 6, "heads": 2, "d_head": 4, "d_inner": 10, "dropout": 0.0, "dropatt": 0.0}
CUTOFFS = (8, 14)
WORDS = 20


def small(**changes: Any) -> TransformerXL:
    torch.default_generator.manual_seed(0)
    model = TransformerXL(WORDS, **(SMALL | {"cutoffs": CUTOFFS} | changes)).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def words(streams: int = 2, steps: int = 12, seed: int = 1) -> Tensor:
    return torch.randint(WORDS, (streams, steps), generator=torch.Generator().manual_seed(seed))


# --- the equations, literally ------------------------------------------------------------------------------------


def literal_position(distance: int, width: int, clamp: int | None) -> Tensor:
    distance = distance if clamp is None else min(distance, clamp)
    rates = [1 / 10000 ** (2 * i / width) for i in range(width // 2)]
    waves = [math.sin(distance * r) for r in rates] + [math.cos(distance * r) for r in rates]
    return torch.tensor(waves, dtype=torch.float64)


def literal_attention(layer: Layer, model: TransformerXL, x: Tensor, past: Tensor, reading: Reading) -> Tensor:
    """One stream: x is steps × d_model, past is m × d_model. Every query, key and head by itself."""
    heads, width = model.content_bias.shape
    to_q, to_k, to_v = layer.attention.qkv.weight.chunk(3)
    sources = torch.cat([past, x])
    attended = []
    for i in range(len(x)):
        values = []
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            q, scores, visible = to_q[part] @ x[i], [], []
            for j in range(len(past) + i + 1):
                distance = len(past) + i - j
                if reading.same_length and distance >= reading.memory:
                    continue
                r = layer.attention.positions.weight[part] @ literal_position(distance, model.d_model, reading.clamp)
                content = (q + model.content_bias[head]) @ (to_k[part] @ sources[j])
                scores.append((content + (q + model.position_bias[head]) @ r) / math.sqrt(width))
                visible.append(to_v[part] @ sources[j])
            weights = torch.stack(scores).softmax(0)
            values.append(sum(w * v for w, v in zip(weights, visible, strict=True)))
        attended.append(layer.attention.output(torch.cat(values)))  # type: ignore[arg-type]
    return torch.stack(attended)


def literal_layer_norm(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    centered = x - x.mean(-1, keepdim=True)
    return centered / (centered.square().mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


def literal(model: TransformerXL, tokens: Tensor, memory: Memory, reading: Reading) -> Tensor:
    streams = []
    for stream in range(len(tokens)):
        x = torch.stack([model.embedding.weight[t] * math.sqrt(model.d_model) for t in tokens[stream]])
        for layer, past in zip(model.layers, memory, strict=True):
            assert isinstance(layer, Layer)
            x = literal_layer_norm(x + literal_attention(layer, model, x, past[stream], reading), layer.attention_norm)
            x = literal_layer_norm(x + layer.outer(layer.inner(x).clamp(min=0)), layer.outer_norm)
        streams.append(x)
    return torch.stack(streams)


def literal_log_probability(model: TransformerXL, hidden: Tensor, word: int) -> Tensor:
    """log p(word | hidden): in the head, or its cluster's entry in the head and itself in the cluster."""
    softmax, vectors = model.softmax, model.embedding.weight
    edges = [0, *CUTOFFS, WORDS]
    scores = [hidden @ vectors[w] + softmax.bias[w] for w in range(WORDS)]
    entries = [hidden @ softmax.cluster_vectors[c] + softmax.cluster_bias[c] for c in range(2)]
    head = torch.stack([*scores[: CUTOFFS[0]], *entries]).log_softmax(0)
    if word < CUTOFFS[0]:
        return head[word]
    cluster = 1 if word >= CUTOFFS[1] else 0
    first, end = edges[cluster + 1 : cluster + 3]
    return head[CUTOFFS[0] + cluster] + torch.stack(scores[first:end]).log_softmax(0)[word - first]


READINGS = [
    Reading(4, 0),
    Reading(4, 5),
    Reading(4, 5, clamp=3),
    Reading(4, 5, same_length=True),
    Reading(4, 3, 2, True),
]


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_hidden_states_are_those_of_the_equations(reading: Reading) -> None:
    model = small()
    memory = model.no_memory(2)
    for segment in words().split(4, dim=1):
        expected = literal(model, segment, memory, reading)
        with torch.no_grad():  # another kernel
            torch.testing.assert_close(model.hidden(segment, memory, reading)[0], expected, rtol=1e-10, atol=1e-12)
        hidden, memory = model.hidden(segment, memory, reading)
        torch.testing.assert_close(hidden, expected, rtol=1e-10, atol=1e-12)


def test_loss_and_every_gradient_are_those_of_the_equations() -> None:
    model, reading = small(weight_normalized=True), Reading(4, 5)
    first, second, targets = words()[:, :4], words()[:, 4:8], words(seed=2, steps=4)
    memory = model.hidden(first, model.no_memory(2), reading)[1]
    loss, _ = model(second, targets, memory, reading)
    hidden = literal(model, second, memory, reading)
    expected = -sum(
        literal_log_probability(model, hidden[b, t], int(targets[b, t])) for b in range(2) for t in range(4)
    )
    torch.testing.assert_close(loss, expected)
    parameters = list(model.parameters())
    ours, theirs = (torch.autograd.grad(value, parameters) for value in (loss, expected))  # type: ignore[arg-type]
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)
    assert all(gradient.any() for gradient in ours)


# --- relative attention ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "keys"), [(1, 1), (1, 5), (3, 3), (3, 7), (4, 5)])
def test_the_relative_shift_gives_each_pair_the_vector_of_its_distance(steps: int, keys: int) -> None:
    queries, positions = torch.randn(2, 3, steps, 4), torch.randn(2, keys, 4)
    products = by_distance(queries, positions)
    for i in range(steps):
        for j in range(keys - steps + i + 1):
            distance = keys - steps + i - j
            expected = torch.einsum("hbd,hd->hb", queries[:, :, i], positions[:, keys - 1 - distance])
            torch.testing.assert_close(products[:, :, i, j], expected)
    assert products.isfinite().all()


def test_a_query_sees_the_memory_itself_and_what_is_before_it() -> None:
    minus = float("-inf")
    assert attention_mask(2, 4, None, torch.device("cpu")).tolist() == [[0, 0, 0, minus], [0, 0, 0, 0]]
    assert attention_mask(2, 4, 2, torch.device("cpu")).tolist() == [[minus, 0, 0, minus], [minus, minus, 0, 0]]


def test_positions_are_sines_then_cosines() -> None:
    found = sinusoids(torch.tensor([0.0, 3.0]), 4)
    expected = [[0, 0, 1, 1], [math.sin(3), math.sin(0.03), math.cos(3), math.cos(0.03)]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_the_future_and_other_streams_change_nothing() -> None:
    model, reading = small(), Reading(8, 8)
    tokens = words(3, 8)
    changed = tokens.clone()
    changed[0, 5:] = (changed[0, 5:] + 1) % WORDS
    before, after = (model.hidden(t, model.no_memory(3), reading)[0] for t in (tokens, changed))
    assert after[0, :5].equal(before[0, :5])
    assert after[1:].equal(before[1:])
    assert not after[0, 5:].isclose(before[0, 5:]).any(-1).all()


# --- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [(12,), (6, 6), (1, 5, 6), (4, 4, 4), (11, 1), (1,) * 12])
def test_segments_with_a_memory_of_all_are_one_long_pass(lengths: tuple[int, ...]) -> None:
    model, tokens = small(), words()
    whole = model.hidden(tokens, model.no_memory(2), Reading(12, 12))
    memory, parts = model.no_memory(2), []
    for segment in tokens.split(lengths, dim=1):
        hidden, memory = model.hidden(segment, memory, Reading(12, 12))
        parts.append(hidden)
    torch.testing.assert_close(torch.cat(parts, 1), whole[0], rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(memory, whole[1], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("clamp", [None, 3])
@pytest.mark.parametrize("lengths", [(6, 6), (1, 5, 6), (4, 4, 4), (1,) * 12])
def test_looking_back_equally_far_does_not_depend_on_segments(lengths: tuple[int, ...], clamp: int | None) -> None:
    model, tokens, reading = small(), words(), Reading(12, 5, clamp, same_length=True)
    whole = model.hidden(tokens, model.no_memory(2), reading)[0]
    memory, parts = model.no_memory(2), []
    for segment in tokens.split(lengths, dim=1):
        hidden, memory = model.hidden(segment, memory, reading)
        parts.append(hidden)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-12, atol=1e-13)


def test_memory_grows_from_nothing_to_its_length_and_holds_the_inputs_of_the_layers() -> None:
    model, tokens = small(), words()
    memory, lengths = model.no_memory(2), []
    for segment in tokens.split((3, 3, 3, 3), dim=1):
        _, memory = model.hidden(segment, memory, Reading(3, 7))
        lengths.append([layer.shape[1] for layer in memory])
    assert lengths == [[3, 3], [6, 6], [7, 7], [7, 7]]
    embedded = model.embedding(tokens[:, -7:]) * math.sqrt(6)
    torch.testing.assert_close(memory[0], embedded)
    assert not any(layer.requires_grad for layer in memory)
    shorter = model.hidden(tokens, model.no_memory(2), Reading(12, 4))[1]
    assert [layer.shape[1] for layer in shorter] == [4, 4]
    assert [layer.shape[1] for layer in model.hidden(tokens, shorter, Reading(12, 0))[1]] == [0, 0]


# --- softmax -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cutoffs", [(20_000, 40_000, 200_000), (267_735,), ()])
def test_probabilities_of_all_267_735_words_sum_to_one(cutoffs: tuple[int, ...]) -> None:
    torch.default_generator.manual_seed(0)
    softmax = AdaptiveSoftmax(267_735, 8, cutoffs).double()
    for parameter in softmax.parameters():
        nn.init.normal_(parameter)
    vectors, hidden = torch.randn(267_735, 8).double(), torch.randn(2, 8).double()
    found = softmax.log_probabilities(hidden, vectors)
    assert found.shape == (2, 267_735)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(2).double(), rtol=1e-9, atol=0)


def test_clusters_are_20_000_20_000_160_000_and_67_735_words() -> None:
    softmax = AdaptiveSoftmax(267_735, 2, (20_000, 40_000, 200_000))
    assert softmax.sizes == [20_000, 20_000, 160_000, 67_735]
    assert {name: tuple(p.shape) for name, p in softmax.named_parameters()} == {
        "bias": (267_735,),
        "cluster_vectors": (3, 2),
        "cluster_bias": (3,),
    }


def softmax_loss(model: TransformerXL, hidden: Tensor, targets: Tensor) -> Tensor:
    return model.softmax(hidden, targets, TiedVectors(model.embedding.weight, targets, model.softmax.sizes))


def test_cutoffs_beyond_the_vocabulary_are_left_out() -> None:
    assert AdaptiveSoftmax(20, 2, (8, 20, 30)).sizes == [8, 12]
    model = small(cutoffs=(20, 40))
    hidden, targets = torch.randn(2, 3, 6).double(), words(steps=3)
    logits = F.linear(hidden, model.embedding.weight, model.softmax.bias)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    torch.testing.assert_close(softmax_loss(model, hidden, targets), expected)
    assert all(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("target", [0, 7, 8, 13, 14, 19])
def test_the_loss_is_the_negative_log_probability(target: int) -> None:
    model, hidden = small(), torch.randn(1, 1, 6).double()
    loss = softmax_loss(model, hidden, torch.tensor([[target]]))
    torch.testing.assert_close(loss, -literal_log_probability(model, hidden[0, 0], target))
    found = model.softmax.log_probabilities(hidden, model.embedding.weight)
    torch.testing.assert_close(loss, -found[0, 0, target])


def test_a_clusters_products_all_count_in_its_gradient() -> None:
    matrix, bias = torch.randn(WORDS, 6, requires_grad=True), torch.randn(6)
    vectors, xs = TiedVectors(matrix, words(), [8, 6, 6]), torch.randn(3, 4, 6)
    ours = torch.autograd.grad(sum(vectors.linear(x, 1, bias).square().sum() for x in xs), matrix)  # type: ignore[arg-type]
    theirs = torch.autograd.grad(sum(F.linear(x, matrix[8:14], bias).square().sum() for x in xs), matrix)  # type: ignore[arg-type]
    torch.testing.assert_close(ours, theirs)


def test_a_gradient_that_somebody_keeps_is_not_written_again() -> None:
    model, targets, reading = small(), words(seed=2), Reading(12, 12)
    loss, _ = model(words(), targets, model.no_memory(2), reading)
    gradients = [torch.autograd.grad(loss, model.embedding.weight, retain_graph=True)[0] for _ in range(2)]
    before = [gradient.clone() for gradient in gradients]
    model(words(seed=3), targets, model.no_memory(2), reading)[0].backward()
    assert gradients[0].equal(gradients[1])
    assert all(gradient.equal(old) for gradient, old in zip(gradients, before, strict=True))
    assert len({gradient.data_ptr() for gradient in (*gradients, model.embedding.weight.grad)}) == 3  # type: ignore[union-attr]


# --- counts and beginnings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("task", "count"), [("wikitext103-txl", 151_107_538), ("wikitext103-txl-wn", 151_180_498)])
def test_the_paper_has_so_many_parameters(task: str, count: int) -> None:
    settings = TransformerXLSettings.read(next(t for t in TASKS if t.name == task).protocols["paper"])
    with torch.device("meta"):
        model = TransformerXL(267_735, **BASE, cutoffs=settings.cutoffs, weight_normalized=settings.weight_norm)  # type: ignore[arg-type]
    assert sum(p.numel() for p in model.parameters()) == count
    if not settings.weight_norm:
        assert sum(p.numel() for p in model.layers.parameters()) == 41_066_400


def test_weights_start_as_in_the_reference() -> None:
    torch.default_generator.manual_seed(0)
    model = TransformerXL(400, **(SMALL | {"d_model": 80, "d_inner": 90, "cutoffs": (100, 200)}))  # type: ignore[arg-type]
    for name, parameter in model.named_parameters():
        if name in ("content_bias", "position_bias"):
            assert 0.005 < parameter.std() < 0.04, name
        elif name.endswith("bias"):
            assert not parameter.any(), name
        else:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.3), name
            assert parameter.mean().item() == pytest.approx(1.0 if "norm" in name else 0.0, abs=0.01), name


def test_weight_normalization_leaves_the_function_at_the_start_and_adds_a_gain_a_row() -> None:
    plain, weighted = (
        (torch.default_generator.manual_seed(3), TransformerXL(WORDS, **SMALL, cutoffs=CUTOFFS, weight_normalized=w))[1]  # type: ignore[arg-type]
        for w in (False, True)
    )
    tokens, reading = words(), Reading(12, 12)
    torch.testing.assert_close(
        weighted.hidden(tokens, weighted.no_memory(2), reading)[0], plain.hidden(tokens, plain.no_memory(2), reading)[0]
    )
    gains = {n: p for n, p in weighted.named_parameters() if n.endswith("parametrizations.weight.original0")}
    assert len(gains) == 5 * 2
    assert all(gain.shape[1:] == (1,) for gain in gains.values())
    rows = 3 * 8 + 8 + 6 + 10 + 6
    assert sum(gain.numel() for gain in gains.values()) == 2 * rows
    extra = sum(p.numel() for p in weighted.parameters()) - sum(p.numel() for p in plain.parameters())
    assert extra == 2 * rows


def test_the_length_of_a_direction_changes_nothing() -> None:
    model, tokens, reading = small(weight_normalized=True), words(), Reading(12, 12)
    before = model.hidden(tokens, model.no_memory(2), reading)[0]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("original1"):
                parameter.mul_(1 + torch.rand(len(parameter), 1))
    torch.testing.assert_close(model.hidden(tokens, model.no_memory(2), reading)[0], before)


# --- dropout and precision ---------------------------------------------------------------------------------------


def test_dropout_lies_where_the_reference_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the positions, once for all layers and streams; on the embedding; in each layer on the attention's output, and
    between and after both linear layers; on the last hidden state."""
    shapes: list[tuple[int, ...]] = []

    def record(x: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
        assert (p, training, inplace) == (0.25, True, False)
        shapes.append(tuple(x.shape))
        return x

    monkeypatch.setattr(F, "dropout", record)
    model = small(dropout=0.25)
    memory = [torch.randn(2, 5, 6).double() for _ in model.layers]
    model.hidden(words(steps=4), memory, Reading(4, 5))
    layer = [(2, 4, 6), (2, 4, 10), (2, 4, 6)]
    assert shapes == [(9, 6), (2, 4, 6), *layer, *layer, (2, 4, 6)]


def test_attention_dropout_is_on_its_weights_and_only_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    actual = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **k: (asked.append(a[4]), actual(*a, **k))[1])
    model = small(dropatt=0.5)
    model.hidden(words(), model.no_memory(2), Reading(12, 12))
    model.eval().hidden(words(), model.no_memory(2), Reading(12, 12))
    assert asked == [0.5, 0.5, 0.0, 0.0]


def test_in_bfloat16_the_loss_is_nearly_the_same_and_memory_stays_float32() -> None:
    torch.default_generator.manual_seed(0)
    model = TransformerXL(WORDS, **SMALL, cutoffs=CUTOFFS)  # type: ignore[arg-type]
    memory = model.hidden(words(), model.no_memory(2), Reading(12, 12))[1]
    exact, _ = model(words(), words(seed=2), memory, Reading(12, 12))
    with torch.autocast("cpu", torch.bfloat16):
        rounded, memory = model(words(), words(seed=2), memory, Reading(12, 12))
    rounded.backward()
    assert rounded.item() == pytest.approx(exact.item(), rel=0.02)
    assert {layer.dtype for layer in memory} == {torch.float32}
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
