"""Keyword spotting keeps the Workload's contract, follows the protocol page and learns."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from optathlon.tasks.audio import recordings
from optathlon.tasks.audio.keyword_spotting import KeywordSpotting
from optathlon.tasks.audio.settings import WORDS, KeywordSpottingSettings
from optathlon.tasks.audio.speech_commands import layout
from optathlon.tasks.conformance.checks import prove
from optathlon.tasks.errors import DataError, TaskError
from optathlon.tasks.registry import resolve, task
from optathlon.tasks.task import Protocol


@pytest.fixture
def data(keyword_data) -> Path:
    return keyword_data


def smoke(**changes) -> Protocol:
    settings = changes.pop("settings", {})
    return task("speech-commands").protocol("smoke").override({**changes, "settings": settings})


def make(data: Path, protocol: Protocol | None = None, **how) -> KeywordSpotting:
    torch.default_generator.manual_seed(1)
    return KeywordSpotting(protocol or smoke(), data, **how)


def test_descriptions_need_no_torch():
    import subprocess

    code = "import sys, optathlon.tasks.audio; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 0


def test_the_paper_scale_is_the_published_protocol():
    spotting = task("speech-commands")
    paper = spotting.protocol("paper")
    assert (paper.length, paper.unit, paper.batch, paper.micro_batches) == (30, "epochs", 16, 1)
    assert (paper.checkpoint, paper.holdout, paper.watch) == ("best", "published", ("validation",))
    assert paper.select is not None
    assert (paper.select.metric, paper.select.higher_is_better, paper.select.start) == ("loss", False, 0)
    rates = [paper.schedule.factor(t, paper.length) for t in (0, 0.9, 15, 29.9, 30)]
    assert rates == pytest.approx([1, 1, 0.5, 0.5 * (1 + np.cos(np.pi * 29 / 30)), 0])
    assert resolve(spotting.workload) is KeywordSpotting
    assert all(set(spotting.protocol(s).settings) == set(paper.settings) for s in ("mini", "smoke"))


@pytest.mark.slow
def test_the_contract_of_a_workload_holds(data):
    prove(lambda **how: make(data, **how))


@pytest.mark.slow
def test_the_contract_holds_for_updates_of_several_parts(data):
    protocol = smoke(micro_batch=4, settings={"channels": 4, "words": 5, "dropout": 0.5})
    prove(lambda **how: make(data, protocol, **how), splits=("validation",))


def test_metrics_are_those_the_task_names(data):
    scores = make(data).evaluate("test")
    assert list(scores) == [m.name for m in task("speech-commands").metrics]


def test_evaluation_does_not_depend_on_its_batch_and_drops_nothing(data):
    whole = make(data).evaluate("validation")
    for size in (1, 7):
        parts = make(data, smoke(settings={"evaluation_batch": size})).evaluate("validation")
        assert parts == pytest.approx(whole, rel=1e-5)
    workload = make(data)
    net, clips = workload.players["model"].eval(), workload._splits["validation"]
    waves, words = clips.evenly((np.arange(len(clips)), 1))
    right = (net(waves).argmax(1) == words).float().mean().item()
    assert whole["accuracy"] == pytest.approx(100 * right)


def test_an_epoch_takes_each_clip_at_most_once_and_drops_the_last_batch(data):
    workload = make(data, smoke(batch=16))
    batches = list(workload.batches(0))
    assert [len(b.data[1]) for b in batches] == [16] * 7  # 120 clips
    assert {b.of for b in batches} == {7}
    assert [b.size for b in batches] == [16] * 7


def test_recordings_lie_at_random_in_training_and_in_the_middle_in_evaluation(data):
    workload = make(data)
    windows, folder = workload._splits["training"], data / "speech-commands"
    clip = windows.clips[5]
    samples, _ = soundfile.read(folder / clip.path, dtype="float32")
    room = 16_384 - len(samples)
    for share, start in ((0.0, 0), (0.5, room // 2), (0.999999, room - 1)):
        padded, words = windows.at_random((np.array([5]), np.array([share])))
        assert padded.shape == (1, 16_384)
        assert padded.dtype == torch.float32
        assert words.tolist() == [0]
        assert padded[0, start : start + len(samples)].tolist() == samples.tolist()
        assert padded.count_nonzero() == np.count_nonzero(samples)
    assert torch.equal(windows.evenly((np.array([5]), 1))[0], windows.at_random((np.array([5]), np.array([0.5])))[0])

    def starts(workload: KeywordSpotting, epoch: int) -> list[int]:
        return [start for b in workload.batches(epoch) for start in (b.data[0] != 0).int().argmax(dim=1).tolist()]

    assert starts(workload, 0) == starts(make(data), 0)
    assert starts(workload, 0) != starts(make(data, seed=1), 0)
    assert sorted(starts(workload, 0)) != sorted(starts(workload, 1))
    assert np.std(starts(workload, 0)) > 500


def test_samples_reach_the_network_as_numbers_below_one(data):
    workload = make(data)
    inputs = []
    workload.players["model"].register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    batch = next(workload.batches(0))
    workload.loss(batch, "model")
    assert torch.equal(inputs[0] * 32768, (batch.data[0] * 32768).round())
    assert 0.1 < inputs[0].abs().max() <= 1


def test_the_first_clips_of_each_of_the_first_words_are_chosen(data):
    clips = recordings.read(data / "speech-commands").splits["training"]
    chosen = recordings.first_of_each_tag(clips, 3, 4)
    assert [c.tags for c in chosen] == [(0,)] * 4 + [(1,)] * 4 + [(2,)] * 4
    assert [c.path for c in chosen] == sorted(c.path for c in chosen)
    assert recordings.first_of_each_tag(clips, 35, 0) == clips


def test_a_clip_longer_than_the_input_is_named(data):
    with pytest.raises(DataError, match=r"_nohash_0\.wav has .* samples; expected at most protocol.settings.input_len"):
        make(data, smoke(settings={"input_length": 8_200, "n_fft": 256}))


def test_missing_data_names_the_command(tmp_path):
    with pytest.raises(DataError, match=r"no prepared data in .*optathlon data prepare speech-commands"):
        make(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input_length": 16_000}, "protocol.settings.input_length: 16000 samples give 63 frames"),
        ({"words": 36}, r"protocol\.settings\.words: Expected `int` <= 35, not 36"),
        ({"words": 1}, r"protocol\.settings\.words: Expected `int` >= 2, not 1"),
        (
            {"words": 2, "training_clips": 3},
            r"protocol\.batch: 8 is more than the 6 training clips; .* more words or training_clips",
        ),
    ],
)
def test_settings_that_cannot_run_are_refused(settings, message):
    with pytest.raises(TaskError, match=message):
        KeywordSpottingSettings.read(smoke(settings=settings))


def test_a_batch_larger_than_the_data_is_refused(data):
    with pytest.raises(TaskError, match=r"protocol\.batch: 4096 is more than the \d+ training clips"):
        make(data, smoke(batch=4096, settings={"training_clips": 0}))


def test_as_many_words_may_be_chosen_as_the_data_has():
    assert len(layout.WORDS) == WORDS


def test_an_unknown_split_is_refused(data):
    with pytest.raises(TaskError, match=r"this run has no 'tests' \(did you mean test\?\)"):
        make(data).evaluate("tests")


def test_tags_at_paper_size(data):
    workload = make(data, task("speech-commands").protocol("paper"))
    net = workload.players["model"]
    tags, sizes = workload.tags("model"), {n: p.numel() for n, p in net.named_parameters()}
    assert sum(sizes.values()) == 3_627_696
    assert sum(sizes[n] for n, t in tags.items() if "scale_invariant" in t) == 3_611_392
    assert {n for n, t in tags.items() if "head" in t} == {"output.weight", "output.bias"}
    assert tags["filters.Q"] == set()
    assert tags["hidden_norm.bias"] == {"norm", "bias"}


def test_scaling_a_row_of_a_scale_invariant_weight_leaves_the_loss(data):
    workload = make(data, smoke(settings={"channels": 4}))
    net, batch = workload.players["model"], next(workload.batches(0))
    for module in net.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eps = 1e-10
    before = workload.loss(batch, "model").item()
    others = 0
    for name, parameter in net.named_parameters():
        value = parameter.detach().clone()
        with torch.no_grad():
            parameter[0] *= 3
        after = workload.loss(batch, "model").item()
        with torch.no_grad():
            parameter.copy_(value)
        if "scale_invariant" in workload.tags("model")[name]:
            assert after == pytest.approx(before, rel=1e-4), name
        others += name == "output.weight" and abs(after - before) > 1e-3
    assert others == 1
