"""Charts: round ticks, names that do not overlap, and lines that are cut off where they leave the plot."""

from __future__ import annotations

import math
import re

import pytest

from optathlon.results.analysis.learning_curves import Band
from optathlon.results.page.names import text_width
from optathlon.results.page.svg import NAME_SIZE, TICK_SIZE, WIDTH, Series, chart, tick_words, ticks
from tests.results.page.reading import Page


def line(values, name="sgd", number=1, color=0, whole=True, area=True):
    times = [float(t) for t in range(len(values))]
    low, high = [v - 1 for v in values], [v + 1 for v in values]
    curve = Band(times=times, middle=list(values), low=low, high=high, seeds=3, whole=whole)
    return Series(name=name, number=number, color=color, band=curve, area=area)


def drawn(*series, x=(0.0, 9.0), y=(0.0, 10.0), **more):
    return Page(chart(series, x, y, "epochs", "what it shows", **more))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (69.3, 71.9, ["69.5", "70.0", "70.5", "71.0", "71.5"]),
        (-0.3, 0.3, ["−0.3", "−0.2", "−0.1", "0.0", "0.1", "0.2", "0.3"]),
        (116.0, 119.0, ["116.0", "116.5", "117.0", "117.5", "118.0", "118.5", "119.0"]),
    ],
)
def test_ticks_are_round_and_have_the_decimals_that_they_need(low, high, expected):
    assert tick_words(ticks(low, high)) == expected


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (1.0, 1.0 + 1e-15), (-1e99, 1e99), (1e-12, 3e-12), (0.0, 1e7)])
def test_extreme_ranges_have_few_ticks(low, high):
    found = ticks(low, high)
    assert 1 <= len(found) <= 7
    assert all(math.isfinite(value) for value in found)
    assert all(len(word) < 12 for word in tick_words(found))


def test_whole_ticks():
    assert ticks(1.0, 3.0, whole=True) == [1.0, 2.0, 3.0]


def test_a_chart_says_what_it_shows_and_names_its_curves():
    page = drawn(line([1, 2, 3]), line([4, 5, 6], name="adam", number=2, color=1))
    assert page.count("svg", role="img") == 1
    assert page.values("aria-label") == ["what it shows"]
    assert "sgd" in page.words
    assert "adam" in page.words
    assert page.count("path", class_="line") == page.count("path", class_="area") == 2
    assert not page.wrong
    assert not page.open


def test_gray_curves_have_no_band():
    page = drawn(line([1, 2, 3], color=None))
    assert page.count("path", class_="area") == 0
    assert page.count("g", class_="cx") == 2


def test_what_is_cut_off_or_diverged_has_a_mark_at_its_name():
    words = " ".join(drawn(line([1, 50], "up"), line([1, -50], "down"), line([1, 5], "lost", whole=False)).words)
    assert re.search("up ?  ?↑", words)
    assert re.search("down ?  ?↓", words)
    assert re.search("lost ?  ?✕", words)


def test_what_lies_outside_the_plot_costs_nothing():
    inside = drawn(line([5.0] * 30))
    outside = drawn(line([1e50] * 30))
    shortest, longest = (max(len(d) for d in page.values("d") if "l" in d) for page in (outside, inside))
    assert shortest < longest
    assert all(abs(int(n)) < 10_000 for d in outside.values("d") for n in re.findall(r"\d+", d))


def test_one_point_is_a_dot():
    assert drawn(line([5.0])).count("path", class_="dot") == 1


def test_a_step_function_is_drawn_through_every_point():
    steps = [float(i // 2 % 2) for i in range(200)]
    page = drawn(line(steps, area=False), x=(0.0, 199.0), y=(0.0, 1.0))
    (path,) = [a["d"] for t, a in page.elements if t == "path" and a.get("class") == "line"]
    assert len(re.findall(r"-?\d+", path or "")) == 400


def test_there_is_room_for_the_longest_name_and_for_every_tick():
    page = drawn(line([1e99, 3e99], "m" * 40), line([2e99, 2e99], "sgd"), y=(1e99, 3e99))
    shifts = [float(t) for t in re.findall(r"translate\(([\d.]+)", " ".join(page.values("transform")))]
    left, names = shifts
    assert left >= max(text_width(word, TICK_SIZE) for word in tick_words(ticks(1e99, 3e99)))
    (word,) = [word for word in page.words if word.startswith("mm") and "…" in word]
    assert left + names + text_width(word, NAME_SIZE) <= WIDTH
