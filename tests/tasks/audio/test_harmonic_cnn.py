"""The Harmonic CNN is the published one: its numbers are those of shared/protocols, sections 1.2, 1.3 and 4.7."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from optathlon.tasks.audio.harmonic_cnn import HarmonicCNN, HarmonicFilters, harmonic_centers
from optathlon.tasks.audio.pooling import KEYWORDS, MUSIC_TAGS, SOUND_EVENTS, check_length, frames
from optathlon.tasks.errors import TaskError


@pytest.mark.parametrize(
    ("outputs", "pools", "count"),
    [(35, KEYWORDS, 3_627_696), (50, MUSIC_TAGS, 3_631_551), (17, SOUND_EVENTS, 3_623_070)],
)
def test_the_three_benchmarks_have_the_published_parameter_counts(outputs, pools, count):
    net = HarmonicCNN(outputs, pools)
    assert sum(p.numel() for p in net.parameters()) == count
    convolutions = sum(m.weight.numel() for m in net.modules() if isinstance(m, nn.Conv2d))
    assert convolutions + net.hidden.weight.numel() == 3_611_392


@pytest.mark.parametrize(
    ("outputs", "pools", "samples"), [(35, KEYWORDS, 16_384), (50, MUSIC_TAGS, 80_000), (17, SOUND_EVENTS, 80_000)]
)
def test_the_published_input_lengths_run(outputs, pools, samples):
    check_length(samples, 512, pools)
    net = HarmonicCNN(outputs, pools, channels=2).eval()
    assert net(torch.randn(2, samples)).shape == (2, outputs)


def test_keywords_refuse_one_second_exactly():
    with pytest.raises(
        TaskError, match=r"input_length: 16000 samples give 63 frames .* at least 64: take 16128 samples"
    ):
        check_length(16_000, 512, KEYWORDS)
    with pytest.raises(TaskError, match="take 16129 samples"):
        check_length(16_128, 513, KEYWORDS)
    check_length(16_128, 512, KEYWORDS)
    with pytest.raises(RuntimeError):
        HarmonicCNN(35, KEYWORDS, channels=2).eval()(torch.randn(1, 16_000))


@pytest.mark.parametrize("n_fft", [512, 513])
def test_filters_give_six_harmonics_of_128_bands(n_fft):
    filters = HarmonicFilters(n_fft)
    assert filters.bank().shape == (257, 6 * 128)
    for samples, count in ((16_000, 63), (16_384, 65), (48_000, 188), (80_000, 313)):
        assert frames(samples, n_fft) == count - (n_fft == 513 and samples % 256 == 0)
        assert filters(torch.randn(1, samples)).shape == (1, 6, 128, frames(samples, n_fft))


def test_the_smallest_spectrogram_is_one_that_each_harmonic_sees():
    for n_fft, seen in ((12, True), (11, False)):
        bank = HarmonicFilters(n_fft).bank().sum(0).unflatten(0, (6, 128))
        assert bool((bank > 0).any(1).all()) is seen


def test_centers_are_half_a_semitone_apart_from_c1_and_multiples():
    centers = harmonic_centers()
    assert centers.shape == (6, 128)
    assert centers[0, 0].item() == pytest.approx(32.703, abs=1e-3)
    assert centers[0, -1].item() == pytest.approx(1280.97, abs=0.01)
    assert centers.max().item() == pytest.approx(7685.8, abs=0.1)
    torch.testing.assert_close(centers[0, 1:] / centers[0, :-1], torch.full((127,), 2 ** (1 / 24), dtype=torch.float64))
    torch.testing.assert_close(centers, centers[:1] * torch.arange(1.0, 7.0, dtype=torch.float64)[:, None])


@pytest.mark.parametrize(("quality", "dead"), [(1.0, [1, 0, 0, 0, 0, 0]), (2.0, [29, 17, 10, 6, 6, 2])])
def test_some_filters_cover_no_bin_and_are_silent(quality, dead):
    filters = HarmonicFilters()
    filters.Q.data.fill_(quality)
    silent = filters.bank().amax(dim=0).view(6, 128) == 0
    assert silent.sum(dim=1).tolist() == dead
    heard = filters(torch.randn(1, 16_384))[0]
    assert torch.equal(heard[silent], torch.full_like(heard[silent], -100.0))


def literal_front_end(wave: np.ndarray, quality: float) -> tuple[np.ndarray, np.ndarray]:
    """Filter by filter, frame by frame, as the formulas read: triangles (6, 128, bins), decibels (6, 128, frames)."""
    padded = np.pad(wave.astype(np.float64), 256, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    power = [
        np.abs(np.fft.rfft(padded[start : start + 512] * window)) ** 2 for start in range(0, len(padded) - 511, 256)
    ]
    triangles, decibels = np.zeros((6, 128, 257)), np.zeros((6, 128, len(power)))
    for harmonic in range(6):
        for band in range(128):
            center = (harmonic + 1) * 440.0 * 2 ** ((24 + band / 2 - 69) / 12)
            width = (0.1079 * center + 24.7) / quality
            for position in range(257):
                triangles[harmonic, band, position] = max(0, 1 - 2 * abs(position * 31.25 - center) / width)
            for time, spectrum in enumerate(power):
                passed = float(triangles[harmonic, band] @ spectrum)
                decibels[harmonic, band, time] = 10 * math.log10(max(passed, 1e-10))
    return triangles, decibels


@pytest.mark.parametrize("quality", [1.0, 0.7, 2.0])
def test_the_front_end_is_the_literal_one(quality):
    wave = 0.1 * np.random.Generator(np.random.PCG64(1)).standard_normal(2560).astype(np.float32)
    filters = HarmonicFilters()
    filters.Q.data.fill_(quality)
    triangles, decibels = literal_front_end(wave, quality)
    bank = filters.bank().detach().numpy().T.reshape(6, 128, 257)
    np.testing.assert_allclose(bank, triangles, atol=3e-6)
    heard = filters(torch.from_numpy(wave)[None])[0].detach().numpy()
    solid = triangles.sum(axis=2) > 0.01
    np.testing.assert_allclose(heard[solid], decibels[solid], atol=0.02)


def test_q_is_the_only_parameter_of_the_filters_and_learns():
    filters = HarmonicFilters()
    assert [(n, p.tolist()) for n, p in filters.named_parameters()] == [("Q", [1.0])]
    filters(torch.randn(2, 4096)).mean().backward()
    assert filters.Q.grad is not None
    step = 1e-3
    wave = torch.randn(1, 4096)
    filters.zero_grad()
    linear = (filters.spectrogram(wave).transpose(1, 2) @ filters.bank()).sum()
    linear.backward()
    values = []
    for sign in (1, -1):
        filters.Q.data.fill_(1.0 + sign * step)
        values.append((filters.spectrogram(wave).transpose(1, 2) @ filters.bank()).sum().item())
    assert filters.Q.grad.item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=0.02)


def test_mixed_precision_leaves_the_front_end_in_single():
    filters, wave = HarmonicFilters(), torch.randn(1, 2048)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = filters(wave)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, filters(wave))


def test_the_pooling_of_the_last_stages_is_what_tells_the_networks_apart():
    shapes = {}
    for name, pools, samples in (
        ("keywords", KEYWORDS, 80_000),
        ("music", MUSIC_TAGS, 80_000),
        ("events", SOUND_EVENTS, 80_000),
    ):
        net = HarmonicCNN(5, pools, channels=2).eval()
        shapes[name] = tuple(net.stages(net.input_norm(net.filters(torch.randn(1, samples)))).shape[2:])
    assert shapes == {"keywords": (1, 4), "music": (1, 1), "events": (1, 2)}


def test_only_the_size_of_q_counts():
    """The published bank is the lower of a rising and a falling slope, which is the same for Q and -Q."""
    filters = HarmonicFilters()
    with torch.no_grad():
        positive = filters.bank().clone()
        filters.Q.neg_()
        assert torch.equal(filters.bank(), positive)
        assert filters.bank().max() <= 1.0
