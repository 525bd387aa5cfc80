"""Transformer-XL as the training loop sees it: streams, memory, loss, both evaluations, and that it learns."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from optathlon.tasks.conformance.checks import prove
from optathlon.tasks.data import dataset
from optathlon.tasks.errors import DataError, TaskError
from optathlon.tasks.language import TASKS
from optathlon.tasks.language.corpora import wikitext103
from optathlon.tasks.language.settings import TransformerXLSettings
from optathlon.tasks.language.text.ngrams import unigram_perplexity
from optathlon.tasks.language.text.streams import Streams, segments
from optathlon.tasks.language.transformer_xl.model import Reading
from optathlon.tasks.language.transformer_xl.workload import LONG, TransformerXLWorkload
from optathlon.tasks.language.wikitext103.dataset import WikiText103
from optathlon.tasks.workload import Batch
from tests.miniatures import put_miniatures

TASK = next(task for task in TASKS if task.name == "wikitext103-txl")
WEIGHTED = next(task for task in TASKS if task.name == "wikitext103-txl-wn")
PAPER, SMOKE = TASK.protocols["paper"], TASK.protocols["smoke"]
TINY = {"n_layer": 2, "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 24, "cutoffs": [200], "train_tokens": 4000}
FEW = {"settings": TINY | {"evaluation_tokens": 1000}}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    put_miniatures(root, "wikitext-103")
    return root


def build(root: Path, changes: Mapping[str, Any] = FEW, **how: int) -> TransformerXLWorkload:
    return TransformerXLWorkload(SMOKE.override(changes), root, **how)  # type: ignore[arg-type]


# --- the description ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [TASK, WEIGHTED], ids=lambda t: t.name)
def test_paper_is_the_base_configuration_of_the_reference(task: Any) -> None:
    paper, s = task.protocols["paper"], TransformerXLSettings.read(task.protocols["paper"])
    assert (paper.length, paper.unit, paper.batch, paper.clip_norm) == (200_000, "steps", 60, 0.25)
    assert (paper.evaluate_every, paper.watch, paper.checkpoint, paper.holdout) == (
        4000,
        ("validation",),
        "best",
        "published",
    )
    assert (paper.select.metric, paper.select.higher_is_better) == ("loss", False)
    assert (s.n_layer, s.d_model, s.n_head, s.d_head, s.d_inner) == (16, 410, 10, 41, 2100)
    assert (s.dropout, s.dropatt, s.tgt_len, s.mem_len, s.evaluation_batch) == (0.1, 0.0, 150, 150, 10)
    assert s.cutoffs == [20_000, 40_000, 200_000]
    assert s.weight_norm == task.name.endswith("-wn")
    assert Reading(tokens=64, memory=640, clamp=400, same_length=True) == LONG


def test_the_rate_is_a_cosine_to_zero_that_a_warm_up_joins_without_shifting_it() -> None:
    cosine = [(1 + math.cos(math.pi * k / 200_000)) / 2 for k in (0, 1, 50_000, 100_000, 200_000)]
    assert [PAPER.schedule.factor(k, 200_000) for k in (0, 1, 50_000, 100_000, 200_000)] == pytest.approx(cosine)
    warm = PAPER.override({"schedule": {"warmup": 1000}}).schedule
    assert [warm.factor(k, 200_000) for k in (0, 500, 50_000)] == pytest.approx([0, 0.5, cosine[2]])


@pytest.mark.parametrize("task", [TASK, WEIGHTED], ids=lambda t: t.name)
@pytest.mark.parametrize("scale", ["paper", "mini", "smoke"])
def test_every_scale_has_valid_settings(task: Any, scale: str) -> None:
    protocol = task.protocols[scale]
    assert msgspec.to_builtins(TransformerXLSettings.read(protocol)) == protocol.settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dropatt": 1.0}, r"protocol\.settings\.dropatt: Expected `float` < 1\.0"),
        ({"n_layer": 0}, r"protocol\.settings\.n_layer: Expected `int` >= 1"),
        ({"d_model": 41}, r"protocol\.settings\.d_model: 41 must be even"),
        ({"cutoffs": [40, 20]}, r"protocol\.settings\.cutoffs: \[40, 20\] must ascend"),
        ({"mem_length": 1}, r"protocol\.settings\.mem_length: unknown \(did you mean mem_len\?\)"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        TransformerXLSettings.read(PAPER.override({"settings": settings}))


# --- streams -----------------------------------------------------------------------------------------------------


def test_an_epoch_of_wikitext_103_is_11_470_segments_of_sixty_streams() -> None:
    assert len(segments(103_227_021 // 60, 150)) == 11_470


def test_streams_are_consecutive_parts_and_the_remainder_is_left_out() -> None:
    streams = Streams(np.arange(23, dtype=np.uint32), 4)
    in_order = segments(len(streams), 2)
    assert len(streams) == 5
    read = [streams.read(segment) for segment in in_order]
    assert [tokens.tolist() for tokens, _ in read] == [
        [[0, 1], [5, 6], [10, 11], [15, 16]],
        [[2, 3], [7, 8], [12, 13], [17, 18]],
    ]
    assert all(targets.equal(tokens + 1) for tokens, targets in read)
    tokens, targets = streams.read(in_order[1], slice(1, 3))
    assert (tokens.tolist(), targets.tolist()) == ([[7, 8], [12, 13]], [[8, 9], [13, 14]])
    assert tokens.dtype == torch.int64


def test_too_many_streams_for_the_text_are_refused(root: Path) -> None:
    with pytest.raises(TaskError, match="batch: 3000 streams are too many for 4000 tokens; at most 2000"):
        build(root, FEW | {"batch": 3000})
    with pytest.raises(TaskError, match=r"settings\.evaluation_batch: 10 streams are too many for 9 tokens; at most 4"):
        build(root, {"settings": TINY | {"evaluation_tokens": 9}})


def test_a_second_backward_pass_adds_the_same_gradient(root: Path) -> None:
    workload = build(root)
    loss = workload.loss(next(workload.batches(0)), "model")
    loss.backward(retain_graph=True)
    matrix = workload.model.embedding.weight
    assert matrix.grad is not None
    once = matrix.grad.clone()
    loss.backward()
    torch.testing.assert_close(matrix.grad, 2 * once)


def test_the_gradient_of_the_tied_matrix_is_dense_and_that_of_both_its_uses(root: Path) -> None:
    workload = build(root)
    batch = next(workload.batches(0))
    workload.loss(batch, "model").backward()
    gradient = workload.model.embedding.weight.grad
    assert gradient is not None
    assert gradient.layout == torch.strided
    model, matrix = workload.model, workload.model.embedding.weight
    hidden, _ = model.hidden(batch.data[0], model.no_memory(10), workload.reading)
    own = model.softmax.log_probabilities(hidden, matrix).gather(-1, batch.data[1][..., None])
    torch.testing.assert_close(gradient, torch.autograd.grad(-own.mean(), matrix)[0], rtol=1e-4, atol=1e-6)


# --- the contract ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"micro_batch": 5}, {"settings": {"dropout": 0.2, "weight_norm": True}}])
def test_the_workload_keeps_the_contract(root: Path, changes: dict[str, Any]) -> None:
    """All but that epochs differ: the reference reads the same streams from their beginning in each."""

    def fresh(**how: int) -> TransformerXLWorkload:
        return build(root, FEW | changes | {"settings": FEW["settings"] | changes.get("settings", {})}, **how)

    prove(fresh)


def same(one: Batch, other: Batch) -> bool:
    data = all(a.equal(b) for a, b in zip(one.data, other.data, strict=True))
    return data and (one.index, one.of, one.size) == (other.index, other.of, other.size)


def test_batches_go_on_from_any_start_and_are_dealt_to_processes(root: Path) -> None:
    workload = build(root, FEW | {"micro_batch": 5})
    whole = list(workload.batches(0))
    assert [b.index for b in whole] == list(range(len(whole)))
    assert {b.of for b in whole} == {len(whole)}
    assert [b.data[0].shape for b in whole[:2]] == [(5, 32), (5, 32)]
    for start in (2, len(whole) // 4 * 2, len(whole) - 2):
        assert all(map(same, workload.batches(1, start), whole[start:]))
    pair = [build(root, FEW | {"micro_batch": 5}, rank=r, world=2).batches(0) for r in range(2)]
    assert all(map(same, (b for both in zip(*pair, strict=True) for b in both), whole))


def test_parts_are_one_batch_also_with_their_memories(root: Path) -> None:
    """The mean of the parts' losses and gradients, one process's or two's, is that of the whole batch."""
    whole = build(root)
    torch.default_generator.manual_seed(0)
    parted = [build(root, FEW | {"micro_batch": 5}, **how) for how in ({}, {"world": 2}, {"rank": 1, "world": 2})]
    for workload in parted:
        workload.model.load_state_dict(whole.model.state_dict())
    (alone, *two) = parted
    for segment in range(3):
        batch = list(whole.batches(0))[segment]
        expected = whole.loss(batch, "model")
        parts = list(alone.batches(0))[2 * segment : 2 * segment + 2]
        mean = sum(alone.loss(part, "model") for part in parts) / 2
        shared = sum(w.loss(part, "model") for w, part in zip(two, parts, strict=True)) / 2
        torch.testing.assert_close(mean, expected)
        torch.testing.assert_close(shared, expected)
        named = dict(whole.model.named_parameters())
        theirs = torch.autograd.grad(expected, list(named.values()))
        torch.testing.assert_close(torch.autograd.grad(mean, list(alone.model.parameters())), theirs)  # type: ignore[arg-type]
    states = [w.state_dict()["memory"] for w in two]
    assert [list(state) for state in states] == [[0], [1]]
    alone.load_state_dict({"memory": states[0] | states[1]})
    for part, memory in alone.state_dict()["memory"].items():
        torch.testing.assert_close(memory, [m[5 * part : 5 * part + 5] for m in whole.state_dict()["memory"][0]])


def test_memory_goes_on_from_segment_to_segment_and_ends_with_the_epoch(root: Path) -> None:
    workload = build(root)
    first, second = [batch for batch, _ in zip(workload.batches(0), range(2), strict=False)]
    workload.start_epoch(0, resuming=False)
    fresh, carried = workload.loss(first, "model"), workload.loss(second, "model")
    with torch.no_grad():
        _, memory = workload.model.hidden(first.data[0], workload.model.no_memory(10), workload.reading)
        tokens, targets, *_ = second.data
        expected = workload.model(tokens, targets, memory, workload.reading)[0] / targets.numel()
    torch.testing.assert_close(carried.detach(), expected)
    workload.start_epoch(0, resuming=True)
    assert workload.loss(second, "model").equal(carried)
    workload.start_epoch(1, resuming=False)
    assert workload.loss(first, "model").equal(fresh)


def test_tags_tell_the_tied_matrix_gains_and_scale_invariant_directions(root: Path) -> None:
    plain = build(root).tags("model")
    assert plain["embedding.weight"] == {"embedding", "head"}
    assert plain["softmax.bias"] == plain["softmax.cluster_bias"] == {"bias", "head"}
    assert plain["softmax.cluster_vectors"] == {"head"}
    assert plain["position_bias"] == {"bias"}
    assert plain["layers.1.outer_norm.weight"] == {"norm"}
    assert not any({"scale_invariant", "gain"} & facts for facts in plain.values())
    weighted = build(root, {"settings": FEW["settings"] | {"weight_norm": True}}).tags("model")
    for layer in range(2):
        for linear in ("attention.qkv", "attention.positions", "attention.output", "inner", "outer"):
            place = f"layers.{layer}.{linear}.parametrizations.weight"
            assert weighted[f"{place}.original0"] == {"gain"}
            assert weighted[f"{place}.original1"] == {"scale_invariant"}
    assert sum("scale_invariant" in facts for facts in weighted.values()) == 10


# --- evaluation --------------------------------------------------------------------------------------------------


def test_evaluation_scores_every_token_but_the_first_of_each_stream_once(root: Path) -> None:
    workload = build(root)
    streams = workload.held_out["test"]
    total, count, memory = 0.0, 0, workload.model.no_memory(10)
    with torch.no_grad():
        for segment in segments(len(streams), 32):
            tokens, targets = streams.read(segment)
            hidden, memory = workload.model.hidden(tokens, memory, Reading(32, 32))
            found = workload.model.softmax.log_probabilities(hidden, workload.model.embedding.weight)
            total -= found.gather(-1, targets.unsqueeze(-1)).double().sum().item()
            count += targets.numel()
    assert count == 10 * (1000 // 10 - 1)
    scores = workload.evaluate("test")
    assert scores["loss"] == pytest.approx(total / count, rel=1e-6)
    assert scores["perplexity"] == pytest.approx(math.exp(scores["loss"]), rel=1e-9)


def test_the_long_evaluation_looks_back_at_640_tokens_with_distances_up_to_400(root: Path) -> None:
    """As every token looks back equally far, segments of 64 give what one pass gives."""
    torch.default_generator.manual_seed(0)
    workload = build(root, {"settings": FEW["settings"] | {"evaluation_tokens": 0, "evaluation_batch": 2}})
    with torch.no_grad():
        for name, parameter in workload.model.named_parameters():
            parameter.mul_(60 if "attention" in name and "norm" not in name else 1)
        tokens, targets = workload.held_out["test"].read(segments(len(workload.held_out["test"]), 10_000)[0])
        losses = {}
        for name, reading in {"640": LONG, "no clamp": LONG._replace(clamp=None), "all": Reading(9, 9, 400)}.items():
            loss = workload.model(tokens, targets, workload.model.no_memory(2), reading)[0]
            losses[name] = math.exp(loss.item() / targets.numel())
    assert tokens.shape[1] > 1200
    found = workload.evaluate("test")["perplexity_640"]
    assert found == pytest.approx(losses["640"], rel=1e-6)
    assert found != pytest.approx(losses["no clamp"], rel=1e-5)
    assert found != pytest.approx(losses["all"], rel=1e-5)
    assert set(workload.evaluate("validation")) == {"perplexity", "loss"}


def test_perplexity_overflows_quietly(root: Path) -> None:
    workload = build(root)
    with torch.no_grad():
        workload.model.softmax.bias[1:] = -1e4
    assert workload.evaluate("test")["perplexity"] == math.inf


# --- what it refuses ---------------------------------------------------------------------------------------------


def test_without_data_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"wikitext-103: no prepared data in .*; expected wikitext-103-v1\.zip .*miniature"
    ):
        build(tmp_path)


# --- learning ----------------------------------------------------------------------------------------------------


def learn(workload: TransformerXLWorkload, kind: Any, lr: float, updates: int) -> dict[str, float]:
    steps = kind(workload.model.parameters(), lr=lr, weight_decay=0.0)
    done = 0
    for epoch in range(updates):
        workload.start_epoch(epoch, resuming=False)
        for batch in workload.batches(epoch):
            steps.param_groups[0]["lr"] = lr * workload.protocol.schedule.factor(done, updates)
            steps.zero_grad()
            workload.loss(batch, "model").backward()
            torch.nn.utils.clip_grad_norm_(workload.model.parameters(), 0.25)
            steps.step()
            done += 1
            if done == updates:
                return workload.evaluate("test")
    raise AssertionError("epochs are empty")


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "weight_norm"), [("adamw", False), ("adamp", True)])
def test_smoke_learns_the_miniature_far_below_the_unigram_model(root: Path, optimizer: str, weight_norm: bool) -> None:
    kind = torch.optim.AdamW if optimizer == "adamw" else pytest.importorskip("adamp").AdamP
    torch.default_generator.manual_seed(0)
    workload = build(root, {"settings": {"weight_norm": weight_norm}})
    scores = learn(workload, kind, 2e-3, updates=100)
    floor = unigram_perplexity(wikitext103(workload.settings, root))
    assert scores["perplexity"] < 0.25 * floor
    assert scores["perplexity_640"] < 0.25 * floor


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("gensim") is None, reason="needs the package gensim")
@pytest.mark.parametrize(("optimizer", "weight_norm"), [("adamw", True), ("adamp", False)])
def test_smoke_learns_the_standin_below_the_unigram_model(tmp_path: Path, optimizer: str, weight_norm: bool) -> None:
    dataset.build(WikiText103(), tmp_path, "standin")
    kind = torch.optim.AdamW if optimizer == "adamw" else pytest.importorskip("adamp").AdamP
    torch.default_generator.manual_seed(0)
    workload = build(tmp_path, {"settings": {"weight_norm": weight_norm}})
    scores = learn(workload, kind, 1e-3, updates=SMOKE.length)
    assert scores["perplexity"] < 0.75 * unigram_perplexity(wikitext103(workload.settings, tmp_path))
