"""Coloring: counts, not coin flips; black becomes the color, ink becomes white."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import transforms

from optathlon.tasks.rebias.coloring import COLORS, assign_colors, paint, stratified_order
from optathlon.tasks.rebias.painted import Painted, normalize


@pytest.mark.parametrize("rho", [0.999, 0.997, 0.995, 0.990, 0.1, 1.0, 0.0])
@pytest.mark.parametrize("of_class", [5421, 6000, 6742])
def test_exactly_int_of_rho_n_of_a_class_get_its_color(rho: float, of_class: int) -> None:
    labels = np.repeat(np.arange(10), of_class)
    colors = assign_colors(labels, rho, "train")
    for label in range(10):
        assert (colors[labels == label] == label).sum() == int(of_class * rho)


@pytest.mark.parametrize("of_class", [5421, 6000, 6742])
def test_at_0_999_only_six_or_seven_odd_images_and_colors_are_left_to_a_class(of_class: int) -> None:
    labels = np.repeat(np.arange(10), of_class)
    colors = assign_colors(labels, 0.999, "train")
    for label in range(10):
        odd = colors[(labels == label) & (colors != label)]
        assert len(odd) in (6, 7)
        assert len(set(odd)) == len(odd)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 300), st.floats(0, 1), st.integers(0, 9))
def test_the_rest_of_a_class_is_cut_into_chunks_of_a_ninth_rounded_up(n: int, rho: float, label: int) -> None:
    colors = assign_colors(np.full(n, label), rho, "train")
    rest = n - int(n * rho)
    chunk = math.ceil(rest / 9)
    chunks = sorted((c for c in np.bincount(np.delete(colors, colors == label), minlength=10) if c), reverse=True)
    whole, left = divmod(rest, chunk) if chunk else (0, 0)
    assert chunks == [chunk] * whole + [left] * (left > 0)


def test_an_unbiased_set_has_each_color_equally_often_in_each_class() -> None:
    labels = np.repeat(np.arange(10), 1000)
    colors = assign_colors(labels, 0.1, "test")
    table = np.zeros((10, 10), int)
    np.add.at(table, (labels, colors), 1)
    assert (table == 100).all()


def test_coloring_is_a_function_of_labels_rho_and_split() -> None:
    labels = np.arange(3000) % 10
    first = assign_colors(labels, 0.9, "train")
    np.random.seed(0)
    np.testing.assert_array_equal(first, assign_colors(labels, 0.9, "train"))
    assert (first != assign_colors(labels, 0.9, "test")).any()
    odd = [set(np.flatnonzero(assign_colors(labels, rho, "train") != labels)) for rho in (0.9, 0.95)]
    assert not odd[1] <= odd[0], "each rho has its own draw"


def test_black_becomes_the_color_and_all_ink_white() -> None:
    images = np.array([[[0, 1], [255, 0]]] * 10, np.uint8)
    painted = paint(images, np.arange(10))
    assert painted.shape == (10, 3, 2, 2)
    assert painted.dtype == np.uint8
    published = """255 0 0, 0 255 0, 0 0 255, 225 225 0, 225 0 225,
        0 255 255, 255 128 0, 255 0 128, 128 0 255, 128 128 128"""
    for label, color in enumerate(published.split(",")):
        assert painted[label, :, 0, 0].tolist() == painted[label, :, 1, 1].tolist() == [int(c) for c in color.split()]
        assert (painted[label, :, 0, 1] == 255).all()
        assert (painted[label, :, 1, 0] == 255).all()


def test_bytes_become_the_floats_that_torchvision_makes_of_them() -> None:
    image = np.arange(256 * 3, dtype=np.int64).reshape(16, 16, 3).astype(np.uint8)
    theirs = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)])(image)
    assert torch.equal(normalize(torch.from_numpy(image).permute(2, 0, 1)), theirs)


def test_images_are_colored_when_they_are_taken() -> None:
    images = np.random.default_rng(0).integers(0, 2, (30, 4, 4), dtype=np.uint8)
    labels = np.arange(30) % 10
    painted = Painted(images, labels, labels)
    taken, of = painted.take(np.array([7, 3]))
    assert of.tolist() == [7, 3]
    np.testing.assert_array_equal(taken.numpy(), paint(images, labels)[[7, 3]])
    assert COLORS.dtype == np.uint8


def test_every_beginning_of_the_stratified_order_has_the_classes_in_their_shares() -> None:
    labels = np.repeat(np.arange(10), np.arange(100, 200, 10))
    order = stratified_order(labels, "train")
    assert sorted(order) == list(range(len(labels)))
    shares = np.bincount(labels) / len(labels)
    for most in (50, 145, 700):
        assert np.abs(np.bincount(labels[order[:most]], minlength=10) - most * shares).max() <= 1
