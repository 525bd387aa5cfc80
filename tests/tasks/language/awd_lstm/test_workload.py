"""AWD-LSTM as the training loop sees it: windows, rates, memory, losses, evaluation, and that it learns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from optathlon.tasks.conformance.checks import prove
from optathlon.tasks.errors import DataError, TaskError
from optathlon.tasks.language import TASKS
from optathlon.tasks.language.awd_lstm.workload import AwdLstm
from optathlon.tasks.language.corpora import penn_treebank
from optathlon.tasks.language.settings import AwdLstmSettings
from optathlon.tasks.language.text.ngrams import unigram_perplexity
from optathlon.tasks.language.text.streams import parallel, segments, windows
from tests.miniatures import put_miniatures

TASK = TASKS[0]
PAPER, SMOKE = TASK.protocols["paper"], TASK.protocols["smoke"]
TRAIN, VALIDATION, TEST = 929_589, 73_760, 82_430


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    put_miniatures(root, "ptb")
    return root


def build(root: Path, changes: Mapping[str, Any] | None = None, **how: int) -> AwdLstm:
    return AwdLstm(SMOKE.override(changes or {}), root, **how)  # type: ignore[arg-type]


def lay(text: int, batch: int) -> torch.Tensor:
    return parallel(np.arange(text), batch)


# --- the description ---------------------------------------------------------------------------------------------


def test_paper_is_adarems_protocol_with_the_command_line_defaults() -> None:
    assert (PAPER.length, PAPER.unit, PAPER.batch, PAPER.micro_batch) == (100, "epochs", 80, None)
    assert [PAPER.schedule.factor(t, 100) for t in (0, 49.99, 50, 99.99)] == [1, 1, 0.1, 0.1]
    assert (PAPER.clip_norm, PAPER.holdout, PAPER.checkpoint, PAPER.watch) == (
        0.25,
        "published",
        "best",
        ("validation",),
    )
    assert PAPER.select is not None
    assert (PAPER.select.metric, PAPER.select.higher_is_better) == ("loss", False)
    assert TASK.metrics[0].name == "perplexity"
    assert not TASK.metrics[0].higher_is_better


def test_the_readme_configuration_is_a_matter_of_overrides() -> None:
    readme = PAPER.override(
        {"length": 500, "batch": 20, "schedule": {"kind": "constant"}, "settings": {"dropouti": 0.4, "dropouth": 0.25}}
    )
    settings = AwdLstmSettings.read(readme)
    assert (readme.batch, settings.dropouti, settings.dropouth, settings.dropout) == (20, 0.4, 0.25, 0.4)


@pytest.mark.parametrize("scale", TASK.protocols)
def test_every_scale_has_valid_settings(scale: str) -> None:
    assert msgspec.to_builtins(AwdLstmSettings.read(TASK.protocols[scale])) == TASK.protocols[scale].settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dropouti": 1.0}, r"protocol\.settings\.dropouti: Expected `float` < 1\.0"),
        ({"bptt_min": 1}, r"protocol\.settings\.bptt_min: Expected `int` >= 2"),
        ({"nlayers": 0}, r"protocol\.settings\.nlayers: Expected `int` >= 1"),
        ({"emsize": 40.5}, r"protocol\.settings\.emsize: 40\.5 must be of type int"),
        ({"wdrob": 0.1}, r"protocol\.settings\.wdrob: unknown \(did you mean wdrop\?\)"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        AwdLstmSettings.read(PAPER.override({"settings": settings}))


# --- streams and windows -----------------------------------------------------------------------------------------


def test_eighty_streams_of_penn_treebank_are_11_619_rows_and_about_170_updates_an_epoch() -> None:
    streams = lay(TRAIN, 80)
    assert streams.shape == (11_619, 80)
    assert streams[:3, :2].tolist() == [[0, 11_619], [1, 11_620], [2, 11_621]]
    updates = [len(windows(11_619, AwdLstmSettings(), seed=0, epoch=epoch)) for epoch in range(50)]
    mean_length = 0.95 * 69.5 + 0.05 * 34.5
    assert np.mean(updates) == pytest.approx(11_617 / mean_length + 0.5, abs=1)


@pytest.mark.parametrize(("tokens", "batch", "scored"), [(VALIDATION, 10, 73_750), (TEST, 1, 82_429)])
def test_evaluation_scores_every_token_but_the_first_of_each_stream(tokens: int, batch: int, scored: int) -> None:
    rows = len(lay(tokens, batch))
    found = segments(rows, 70)
    assert sum(segment.length for segment in found) * batch == scored
    assert found[0].length == 70
    assert found[-1].start + found[-1].length == rows - 1


def test_windows_tile_the_streams_and_leave_at_least_two_rows_each() -> None:
    for epoch in range(200):
        drawn = windows(500, AwdLstmSettings(bptt=35), seed=1, epoch=epoch)
        assert drawn[0].start == 0
        assert [w.start + w.drawn for w in drawn[:-1]] == [w.start for w in drawn[1:]]
        assert all(w.length == w.drawn for w in drawn[:-1])
        assert 2 <= drawn[-1].length <= drawn[-1].drawn
        assert drawn[-1].start + drawn[-1].length in (498, 499)


def test_window_lengths_are_normal_around_70_or_seldom_35_and_at_least_5() -> None:
    drawn = np.array([w.drawn for epoch in range(60) for w in windows(11_619, AwdLstmSettings(), 0, epoch)])
    assert (drawn < 52.5).mean() == pytest.approx(0.05, abs=0.01)
    long, short = drawn[drawn > 52.5], drawn[drawn < 52.5]
    assert long.mean() == pytest.approx(69.5, abs=0.3), "int() rounds down"
    assert short.mean() == pytest.approx(34.5, abs=0.8)
    assert long.std() == pytest.approx(5, abs=0.3)
    assert long.max() > 80, "there is no upper cap"
    tiny = [w.drawn for w in windows(2000, AwdLstmSettings(bptt=6), 0, 0)]
    assert min(tiny) == 5


def test_windows_are_a_function_of_seed_and_epoch() -> None:
    assert windows(999, AwdLstmSettings(), 1, 2) == windows(999, AwdLstmSettings(), 1, 2)
    assert (
        windows(999, AwdLstmSettings(), 1, 2)
        != windows(999, AwdLstmSettings(), 1, 3)
        != windows(999, AwdLstmSettings(), 2, 2)
    )


def test_each_update_has_its_own_factor_on_the_rate(root: Path) -> None:
    workload = build(root)
    batches = list(workload.batches(0))
    found = windows(len(workload.train), workload.settings, 0, 0)
    assert [b.lr_scale for b in batches] == [w.drawn / 35 for w in found]
    assert [b.size for b in batches] == [w.length * 10 for w in found]
    assert {b.of for b in batches} == {len(batches)}
    for batch in batches:
        tokens, targets = batch.data
        assert tokens[1:].equal(targets[:-1])


# --- loss and memory ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_workload_keeps_the_contract(root: Path) -> None:
    changes = {"settings": {"train_tokens": 4000, "evaluation_tokens": 1000}}
    prove(lambda **how: build(root, changes, **how))


@pytest.mark.slow
def test_the_workload_keeps_the_contract_with_its_streams_in_two_parts(root: Path) -> None:
    changes = {"micro_batch": 5, "settings": {"train_tokens": 4000, "evaluation_tokens": 1000}}
    prove(lambda **how: build(root, changes, **how))


def test_a_part_is_the_same_window_of_the_next_streams(root: Path) -> None:
    whole, halves = build(root), build(root, {"micro_batch": 5})
    for batch, first, second in zip(whole.batches(0), *[iter(halves.batches(0))] * 2, strict=True):
        for k in (0, 1):
            assert torch.cat([first.data[k], second.data[k]], dim=1).equal(batch.data[k])
        assert first.lr_scale == second.lr_scale == batch.lr_scale
        assert (first.index, second.index, first.of) == (2 * batch.index, 2 * batch.index + 1, 2 * batch.of)


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (2.0, 0.0), (0.0, 1.0), (2.0, 1.0)])
def test_loss_is_cross_entropy_plus_activation_and_temporal_activation_regularization(
    root: Path, alpha: float, beta: float
) -> None:
    workload = build(root, {"settings": {"alpha": alpha, "beta": beta}})
    workload.start_epoch(0, resuming=False)
    batch = next(workload.batches(0))
    torch.default_generator.manual_seed(1)
    loss = workload.loss(batch, "model")
    torch.default_generator.manual_seed(1)
    tokens, targets = batch.data
    output = workload.model(tokens, workload.model.no_memory(10))
    expected = F.cross_entropy(workload.model.decode(output.dropped).flatten(0, 1), targets.flatten())
    expected = expected + alpha * (output.dropped**2).mean()
    expected = expected + beta * ((output.raw[1:] - output.raw[:-1]) ** 2).mean()
    torch.testing.assert_close(loss, expected)


def test_memory_goes_on_from_window_to_window_and_ends_with_the_epoch(root: Path) -> None:
    no_dropout = dict.fromkeys(("dropout", "dropouth", "dropouti", "dropoute", "wdrop"), 0.0)
    workload = build(root, {"settings": no_dropout | {"alpha": 0.0, "beta": 0.0}})
    first, second = [batch for batch, _ in zip(workload.batches(0), range(2), strict=False)]
    workload.start_epoch(0, resuming=False)
    fresh = workload.loss(first, "model")
    with torch.no_grad():
        output = workload.model(second.data[0], workload.model(first.data[0], workload.model.no_memory(10)).memory)
        logits = workload.model.decode(output.dropped).flatten(0, 1)
        expected = F.cross_entropy(logits, second.data[1].flatten())
    carried = workload.loss(second, "model")
    torch.testing.assert_close(carried.detach(), expected)
    carried.backward()
    workload.start_epoch(0, resuming=True)
    assert workload.loss(second, "model").equal(carried)
    workload.start_epoch(1, resuming=False)
    assert workload.loss(first, "model").equal(fresh)


def test_the_tied_matrix_is_embedding_and_head(root: Path) -> None:
    tags = build(root).tags("model")
    assert tags["encoder.weight"] == {"embedding", "head"}
    assert tags["decoder_bias"] == {"bias", "head"}
    assert tags["layers.0.weight_hh"] == set()
    assert tags["layers.1.bias_ih"] == {"bias"}


# --- evaluation --------------------------------------------------------------------------------------------------


def test_evaluation_is_the_mean_over_scored_tokens_of_one_long_pass(root: Path) -> None:
    workload = build(root)
    streams = workload.held_out["test"]
    workload.model.eval()
    with torch.no_grad():
        output = workload.model(streams[:-1], workload.model.no_memory(10))
        expected = F.cross_entropy(workload.model.decode(output.dropped).flatten(0, 1), streams[1:].flatten()).item()
    workload.model.train()
    scores = workload.evaluate("test")
    assert scores["loss"] == pytest.approx(expected, rel=1e-5)
    assert scores["perplexity"] == pytest.approx(math.exp(scores["loss"]), rel=1e-9)


@pytest.mark.parametrize(("bias", "perplexity"), [(-1e4, math.inf), (math.nan, math.nan)])
def test_perplexity_overflows_quietly(root: Path, bias: float, perplexity: float) -> None:
    workload = build(root)
    with torch.no_grad():
        workload.model.decoder_bias[1:] = bias
    assert workload.evaluate("test")["perplexity"] == pytest.approx(perplexity, nan_ok=True)


# --- what it refuses ---------------------------------------------------------------------------------------------


def test_too_many_streams_for_the_text_are_refused(root: Path) -> None:
    with pytest.raises(TaskError, match=r"protocol\.batch: 1000 streams are too many for 2000 tokens; at most 666"):
        build(root, {"batch": 1000, "settings": {"train_tokens": 2000}})
    with pytest.raises(TaskError, match=r"settings\.validation_batch: 10 streams are too many for 9 tokens; at most 3"):
        build(root, {"settings": {"evaluation_tokens": 9}})


def test_a_validation_split_is_not_carved_where_one_is_published() -> None:
    with pytest.raises(TaskError, match=r"protocol\.holdout: the validation split is published"):
        AwdLstmSettings.read(SMOKE.override({"holdout": "carved"}))


def test_without_data_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ptb: no prepared data in .*; expected simple-examples\.tgz .*miniature ptb"):
        build(tmp_path)


# --- learning ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "lr"), [(torch.optim.AdamW, 2e-3), (torch.optim.SGD, 10.0)])
def test_smoke_learns_the_miniature_far_below_the_unigram_model(
    root: Path, optimizer: type[torch.optim.Optimizer], lr: float
) -> None:
    torch.default_generator.manual_seed(0)
    workload = build(root)
    steps = optimizer(workload.model.parameters(), lr=lr)  # type: ignore[call-arg]
    for epoch in range(SMOKE.length):
        workload.start_epoch(epoch, resuming=False)
        for batch in workload.batches(epoch):
            steps.param_groups[0]["lr"] = lr * SMOKE.schedule.factor(epoch, SMOKE.length) * batch.lr_scale
            steps.zero_grad()
            workload.loss(batch, "model").backward()
            torch.nn.utils.clip_grad_norm_(workload.model.parameters(), 0.25)
            steps.step()
    floor = unigram_perplexity(penn_treebank(workload.settings, root))
    assert workload.evaluate("test")["perplexity"] < 0.5 * floor
