"""The eight colors of rows are told apart by readers who see colors as most do, and by those who do not."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from optathlon.results.page.document import FOLDER
from optathlon.results.plots.style import MOST_COLORED

# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
SIGHT = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def palette(dark):
    css = (FOLDER / "page.css").read_text(encoding="utf-8")
    pairs = dict(re.findall(r"--(ink|c\d): light-dark\((#\w{6}, #\w{6})\)", css))
    found = [pairs["ink"], *(pairs[f"c{i}"] for i in range(1, MOST_COLORED))]
    return [colors.split(", ")[dark] for colors in found]


def linear(color):
    parts = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIELAB of linear RGB."""
    share = TO_XYZ @ np.clip(rgb, 0, 1) / WHITE
    x, y, z = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("dark", [0, 1])
@pytest.mark.parametrize("sight", SIGHT)
def test_any_two_colors_are_told_apart(sight, dark):
    seen = [lab(np.array(SIGHT[sight]) @ linear(color)) for color in palette(dark)]
    assert len(seen) == MOST_COLORED
    for (i, one), (j, other) in itertools.combinations(enumerate(seen), 2):
        assert np.linalg.norm(one - other) > 12, (i, j)
