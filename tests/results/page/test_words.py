"""What is said of a cell: only what is proven, and never more."""

from __future__ import annotations

import msgspec
import pytest

from optathlon.results.analysis.seeds_needed import Need
from optathlon.results.board.build import leaderboard
from optathlon.results.page.words import figure, listed, probability, to_decide, verdict
from tests.results.make import DIVERGED, Sweep, setting

FAR, NEAR, BASE = [80.0, 80.1, 79.9], [60.05, 60.2, 59.9], [60.0, 60.1, 59.9]


def verdict_on(adam, sgd=BASE, higher=True, report=(1, 2, 3), baseline="sgd"):
    """The verdict on adam against sgd; None stands for a seed that has no record."""
    sweep = Sweep(
        {"sgd": [setting("sgd")], "adam": [setting("adam")]}, report=report, baseline=baseline, higher_is_better=higher
    )
    values = {"sgd": dict(zip(report, sgd, strict=False)), "adam": dict(zip(report, adam, strict=False))}
    records = sweep.records(lambda run: values[run.row].get(run.seed))
    if not higher:
        turned = [[msgspec.structs.replace(s, higher_is_better=False) for s in r.scores] for r in records]
        records = [msgspec.structs.replace(r, scores=s) for r, s in zip(records, turned, strict=True)]
    board = leaderboard(sweep.plan, records)
    return verdict(board, board.columns[0], "adam", board.rows[1].cells[0])


def test_a_proven_difference_is_better_or_worse_by_the_metrics_direction():
    assert verdict_on(FAR).kind == "better"
    assert verdict_on(BASE, sgd=FAR).kind == "worse"
    assert verdict_on(FAR, higher=False).kind == "worse"


def test_a_difference_within_noise_is_not_separable():
    assert verdict_on(NEAR).kind == "tied"
    assert verdict_on(NEAR).words == "not separable"


@pytest.mark.parametrize(
    ("adam", "kind", "words"),
    [
        ([None, None, None], "open", "not run yet"),
        ([80.0, None, None], "open", "1 of 3 seeds done: not tested"),
        ([80.0, DIVERGED, None], "open", "2 of 3 seeds done, 1 diverged: not tested"),
        ([80.0, 80.1, DIVERGED], "open", "1 of 3 seeds diverged: not compared"),
        ([DIVERGED] * 3, "open", "all 3 seeds diverged"),
        ([80.0] * 3, "untested", "not tested: no spread over seeds"),
    ],
)
def test_every_other_cell_says_why_it_is_not_compared(adam, kind, words):
    found = verdict_on(adam)
    assert (found.kind, found.words) == (kind, words)


def test_nothing_is_tested_without_a_second_seed_or_any_spread():
    assert verdict_on([80.0], report=(1,)).words == "not tested: one seed"
    assert verdict_on([80.0] * 3, sgd=[60.0] * 3).words == "not tested: no spread over seeds"


def test_an_incomplete_baseline_tests_nothing():
    assert verdict_on(FAR, sgd=[60.0, None, None]).words == "not tested: sgd is not complete here"
    assert verdict_on(FAR, sgd=[DIVERGED] * 3).words == "not compared: sgd is not complete here"


def test_without_a_baseline_nothing_is_said():
    assert verdict_on(FAR, baseline=None).words == ""


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (None, ""),
        (0.0, "p < 0.001"),
        (0.00099, "p < 0.001"),
        (0.0123, "p = 0.012"),
        (0.0996, "p = 0.10"),
        (1.0, "p = 1.00"),
    ],
)
def test_probabilities(p, words):
    assert probability(p) == words.replace(" ", "\u00a0")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (70.4949, "70.49"),
        (-0.001, "0.00"),
        (-1.5, "−1.50"),
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "–"),
        (1e9, "1e+09"),
    ],
)
def test_numbers(value, words):
    assert figure(value, 2) == words


def test_the_planners_sentence():
    need = Need(
        task="t", row="r", baseline="b", delta=1.0, better=True, deviation=1.0, n=3, p_holm=0.2, decided=False, more=1
    )
    assert to_decide(need) == "about 1 more seed each to decide"
    assert to_decide(msgspec.structs.replace(need, more=14)) == "about 14 more seeds each to decide"
    assert to_decide(msgspec.structs.replace(need, more=None)) == "1000 more seeds each would not decide"
    assert to_decide(msgspec.structs.replace(need, more=None, deviation=None)) == ""
    assert to_decide(msgspec.structs.replace(need, decided=True, more=0)) == ""
    assert to_decide(None) == ""


def test_lists():
    assert [listed(["a", "b", "c"][:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
