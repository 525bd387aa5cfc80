"""Music tagging and sound events keep the Workload's contract, and follow the protocol page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import nn

from optathlon.tasks.audio import recordings
from optathlon.tasks.audio.recordings import Clip
from optathlon.tasks.audio.settings import MusicTaggingSettings, SoundEventSettings
from optathlon.tasks.audio.tagging import MusicTagging, SoundEvents, Tagging
from optathlon.tasks.audio.windows import Windows
from optathlon.tasks.conformance.checks import prove
from optathlon.tasks.data.dataset import prepare
from optathlon.tasks.errors import DataError, TaskError
from optathlon.tasks.registry import require, resolve, task
from optathlon.tasks.task import Protocol

KINDS: dict[str, type[Tagging]] = {"mtat": MusicTagging, "dcase2017": SoundEvents}
SETTINGS = {"mtat": MusicTaggingSettings, "dcase2017": SoundEventSettings}
TINY: dict[str, Any] = {"channels": 2, "n_fft": 128, "windows": 2, "training_clips": 24, "evaluation_clips": 0}
LENGTHS = {"mtat": 18_368, "dcase2017": 8_128}  # the least that the pooling leaves at n_fft 128


def smoke(name: str, **changes: Any) -> Protocol:
    settings = changes.pop("settings", {})
    return task(name).protocol("smoke").override({**changes, "settings": settings})


def tiny(name: str, **changes: Any) -> Protocol:
    settings = TINY | {"input_length": LENGTHS[name]} | changes.pop("settings", {})
    return smoke(name, settings=settings, **changes)


def make(data: Path, name: str, protocol: Protocol | None = None, **process: Any) -> Tagging:
    torch.default_generator.manual_seed(1)
    return KINDS[name](protocol or tiny(name), data, **process)


# The protocol


def test_the_paper_scales_are_the_published_protocols():
    lengths = {"mtat": 100, "dcase2017": 30}
    for name, length in lengths.items():
        described = task(name)
        paper = described.protocol("paper")
        assert (paper.length, paper.unit, paper.batch, paper.micro_batches) == (length, "epochs", 16, 1)
        assert (paper.checkpoint, paper.holdout, paper.watch) == ("best", "published", ("validation",))
        rates = [paper.schedule.factor(t, length) for t in (0, 0.9, length / 2, length)]
        assert rates == pytest.approx([1, 1, 0.5, 0])
        settings = SETTINGS[name].read(paper)
        assert (settings.channels, settings.input_length, settings.n_fft, settings.dropout) == (128, 80_000, 512, 0.5)
        assert settings.windows == 16
        assert resolve(described.workload) is KINDS[name]
    assert SoundEventSettings.read(task("dcase2017").protocol("paper")).threshold == 0.1


def test_music_is_selected_by_the_lowest_loss_and_events_by_the_highest_f1_from_the_twelfth_epoch():
    assert task("mtat").protocol("paper").select == msgspec.convert(
        {"metric": "loss", "higher_is_better": False}, type(task("mtat").protocol("paper").select)
    )
    select = task("dcase2017").protocol("paper").select
    assert select is not None
    assert (select.metric, select.higher_is_better, select.start) == ("f1", True, 12)


@pytest.mark.parametrize("name", KINDS)
def test_every_scale_can_be_read_and_the_headline_is_the_papers(name):
    for protocol in task(name).protocols.values():
        SETTINGS[name].read(protocol)
    assert task(name).metrics[0].name == {"mtat": "roc_auc", "dcase2017": "f1"}[name]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("mtat", {"input_length": 73_000, "n_fft": 512}, "input_length: 73000 samples give 286 frames .* at least 288"),
        ("dcase2017", {"input_length": 16_000}, "input_length: 16000 samples give 126 frames at n_fft 256"),
        ("mtat", {"n_fft": 11}, r"protocol\.settings\.n_fft: .*>= 12"),
        ("mtat", {"channels": 2**70}, r"protocol\.settings\.channels: .*<= 2147483647"),
        ("mtat", {"tags": 51}, r"protocol\.settings\.tags: .* 51"),
        ("dcase2017", {"tags": 18}, r"protocol\.settings\.tags: .* 18"),
        ("dcase2017", {"threshold": 1.5}, r"protocol\.settings\.threshold: .* 1\.5"),
        ("mtat", {"dropout": 1.0}, r"protocol\.settings\.dropout: .* 1\.0"),
        ("mtat", {"windows": 0}, r"protocol\.settings\.windows: .* 0"),
        ("mtat", {"training_clips": 7}, "protocol.batch: 8 is more than the 7 training clips"),
    ],
)
def test_settings_that_cannot_run_are_refused_without_data(name, changes, message):
    with pytest.raises(TaskError, match=message):
        resolve(task(name).check)(smoke(name, settings=changes))


@pytest.mark.parametrize("name", KINDS)
def test_a_batch_of_one_and_a_carved_split_are_refused_without_data(name):
    with pytest.raises(TaskError, match=r"protocol\.micro_batch: 1 is too small, batch normalization needs 2 clips"):
        resolve(task(name).check)(smoke(name, micro_batch=1))
    with pytest.raises(TaskError, match=r"protocol\.holdout: the validation split is published"):
        resolve(task(name).check)(smoke(name, holdout="carved"))


# Windows


def windows(lengths: list[int], length: int) -> Windows:
    """Clips whose samples are 1, 2, 3, … with so many tags as their number says."""
    starts = np.cumsum([0, *lengths[:-1]])
    samples = np.concatenate([np.arange(1, n + 1, dtype=np.float32) for n in lengths])
    clips = [Clip(f"{i}.mp3", (i,), int(s), n) for i, (s, n) in enumerate(zip(starts, lengths, strict=True))]
    return Windows(samples, clips, recordings.truth(clips, len(lengths)), length)


def test_a_random_window_begins_at_the_floor_of_its_share_of_what_is_left():
    three = windows([10, 4, 3], 4)
    for place, begin in ((0.0, 0), (0.5, 3), (0.99, 5)):
        waves, tags = three.at_random((np.array([0]), np.array([place])))
        assert waves.tolist() == [[begin + 1.0, begin + 2.0, begin + 3.0, begin + 4.0]]
        assert tags.tolist() == [[True, False, False]]
    assert three.at_random((np.array([1]), np.array([0.9])))[0].tolist() == [[1, 2, 3, 4]]


def test_a_short_clip_lies_at_random_in_training_and_in_the_middle_in_evaluation():
    found = windows([10, 3], 8)
    assert found.at_random((np.array([1]), np.array([0.0])))[0].tolist() == [[1, 2, 3, 0, 0, 0, 0, 0]]
    assert found.at_random((np.array([1]), np.array([0.9])))[0].tolist() == [[0, 0, 0, 0, 1, 2, 3, 0]]
    waves, _ = found.evenly((np.array([1]), 2))
    assert waves.tolist() == [[0, 0, 1, 2, 3, 0, 0, 0]] * 2


def test_sixteen_windows_are_a_hop_apart_and_the_last_hop_is_in_none():
    """Hop = (clip - window) // 16; the last window begins at 15 hops (protocol page, 1.4)."""
    found = windows([470_000 // 100, 90], 800)
    waves, _ = found.evenly((np.array([0]), 16))
    hop = (4700 - 800) // 16
    assert waves[:, 0].tolist() == [1 + i * hop for i in range(16)]
    assert waves.max().item() == 15 * hop + 800 < 4700
    assert (waves[:, -1] - waves[:, 0] == 799).all()


def test_windows_of_a_clip_that_is_just_as_long_are_all_the_same():
    waves, _ = windows([8, 3], 8).evenly((np.array([0]), 3))
    assert waves.tolist() == [list(range(1, 9))] * 3


# The workload


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_the_contract_of_a_workload_holds(tagging_data, name):
    prove(lambda **how: make(tagging_data, name, **how))


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_the_contract_holds_for_updates_of_several_parts(tagging_data, name):
    prove(lambda **how: make(tagging_data, name, tiny(name, micro_batch=4), **how), splits=("validation",))


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_evaluation_is_the_literal_one(tagging_data, name):
    """Clip after clip, window after window: sigmoid, then the mean over windows, then scikit-learn."""
    workload = make(tagging_data, name, tiny(name, settings={"windows": 3}))
    net, scores = workload.players["model"], recordings.read(tagging_data / name)
    samples, length, tags = recordings.samples(tagging_data / name), LENGTHS[name], net.get_submodule("output")
    net.eval()
    estimates, losses, truths = [], [], []
    for clip in scores.splits["test"]:
        sound = torch.from_numpy(samples[clip.start : clip.start + clip.length].copy())
        hop = (clip.length - length) // 3
        truth = torch.zeros(tags.out_features)  # type: ignore[arg-type]
        truth[list(clip.tags)] = 1.0
        with torch.no_grad():
            outputs = torch.stack([net(sound[None, i * hop : i * hop + length])[0].sigmoid() for i in range(3)])
        losses.append(nn.BCELoss()(outputs, truth.expand_as(outputs)).item())
        estimates.append(outputs.mean(0).numpy())
        truths.append(truth.numpy())
    scores, truth, estimate = workload.evaluate("test"), np.array(truths), np.array(estimates)
    assert scores["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    if name == "mtat":
        assert scores["roc_auc"] == pytest.approx(100 * metrics.roc_auc_score(truth, estimate, average="macro"))
        expected = metrics.average_precision_score(truth, estimate, average="macro")
        assert scores["pr_auc"] == pytest.approx(100 * expected)
    else:
        for metric, average in (("f1", "samples"), ("f1_micro", "micro"), ("f1_macro", "macro")):
            expected = metrics.f1_score(truth, estimate > 0.1, average=average, zero_division=0)
            assert scores[metric] == pytest.approx(100 * expected)
    assert list(scores) == [m.name for m in task(name).metrics]


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_the_loss_is_the_published_binary_cross_entropy_of_probabilities(tagging_data, name):
    workload = make(tagging_data, name)
    batch = next(workload.batches(0))
    waves, tags = batch.data
    expected = nn.BCELoss()(workload.players["model"](waves).sigmoid(), tags.float())
    assert workload.loss(batch, "model").item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_an_epoch_takes_a_window_of_each_clip_and_drops_the_last_batch(tagging_data, name):
    workload = make(tagging_data, name, tiny(name, batch=10))
    batches = list(workload.batches(0))
    assert [tuple(b.data[0].shape) for b in batches] == [(10, LENGTHS[name])] * 2
    assert [(b.index, b.of, b.size) for b in batches] == [(0, 2, 10), (1, 2, 10)]
    assert batches[0].data[0].dtype == torch.float32
    assert not torch.equal(batches[0].data[0], next(workload.batches(1)).data[0])
    assert not torch.equal(batches[0].data[0], next(make(tagging_data, name, seed=1).batches(0)).data[0][:10])


@pytest.mark.slow
def test_a_smaller_scale_has_the_same_clips_for_every_seed_and_fewer_tags_than_there_are(tagging_data):
    first, second = (make(tagging_data, "mtat", tiny("mtat", settings={"tags": 3}), seed=s) for s in (0, 1))
    assert first._splits["training"].clips == second._splits["training"].clips
    assert len(first._splits["training"]) == 24
    assert first.players["model"].get_parameter("output.weight").shape == (3, 4)
    assert first._splits["test"].labels.shape == (12, 3)


@pytest.mark.slow
def test_a_tag_without_a_curve_is_refused_before_training(tagging_data):
    with pytest.raises(TaskError, match=r"protocol\.settings\.evaluation_clips: 1 clip gives no ROC curve"):
        make(tagging_data, "mtat", tiny("mtat", settings={"evaluation_clips": 1}))
    with pytest.raises(DataError, match=r"(all|none) of the 2 validation clips have tag number \d.*no ROC curve"):
        make(tagging_data, "mtat", tiny("mtat", settings={"evaluation_clips": 2}))


@pytest.mark.slow
def test_an_unknown_split_and_a_batch_beyond_the_data_are_refused(tagging_data):
    with pytest.raises(TaskError, match=r"this run has no 'tests' \(did you mean test\?\)"):
        make(tagging_data, "mtat").evaluate("tests")
    with pytest.raises(TaskError, match=r"protocol\.batch: 64 is more than the 48 training clips"):
        make(tagging_data, "mtat", tiny("mtat", batch=64, settings={"training_clips": 0}))


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_tags_at_paper_size(tagging_data, name):
    """3,611,392 scale-invariant weights in each of the three networks (protocol page, 1.3)."""
    protocol = task(name).protocol("paper").override({"batch": 8})
    workload = make(tagging_data, name, protocol)
    net = workload.players["model"]
    tags, sizes = workload.tags("model"), {n: p.numel() for n, p in net.named_parameters()}
    assert sum(sizes[n] for n, t in tags.items() if "scale_invariant" in t) == 3_611_392
    assert {n for n, t in tags.items() if "head" in t} == {"output.weight", "output.bias"}
    if name == "dcase2017":
        assert sum(sizes.values()) == 3_623_070


@pytest.mark.slow
def test_custom_splits_are_refused_until_their_edition_is_accepted(copied):
    folder = copied("dcase2017")
    dataset = task("dcase2017").datasets[0]
    from optathlon.tasks.registry import dataset as data_set

    edition = prepare(data_set(dataset), folder.parent).edition
    assert edition.startswith("custom-")
    refused = pytest.raises(DataError, match=rf"holds edition {edition}, not the published data .*fingerprints.*echo")
    with refused:
        require(task("dcase2017"), tiny("dcase2017"), folder.parent)
    with refused:
        make(folder.parent, "dcase2017")
    (folder / "accepted.txt").write_text("custom-00000000\n")
    with refused:
        make(folder.parent, "dcase2017")
    with (folder / "accepted.txt").open("a") as file:
        file.write(f"{edition}\n")
    require(task("dcase2017"), tiny("dcase2017"), folder.parent)
    make(folder.parent, "dcase2017")
    assert prepare(data_set(dataset), folder.parent).edition == edition, "what accepts it is no part of the data"
