"""Areas and F1 equal scikit-learn's, with ties, for any mixture; tags without a curve are named."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from optathlon.tasks.metrics.tagging import average_precision, f1_scores, roc_auc


def mixture(seed: int, clips: int, tags: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth with at least one clip with and one without each tag, and scores of so many levels, so that many tie."""
    random = np.random.default_rng(seed)
    truth = random.random((clips, tags)) < random.uniform(0.1, 0.9, tags)
    truth[0], truth[1] = True, False
    return truth, random.integers(0, levels, (clips, tags)) / levels


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    clips=st.integers(2, 60),
    tags=st.integers(1, 7),
    levels=st.sampled_from([1, 2, 5, 10_000]),
)
def test_the_areas_are_scikit_learns(seed, clips, tags, levels):
    truth, scores = mixture(seed, clips, tags, levels)
    assert roc_auc(truth, scores) == pytest.approx(metrics.roc_auc_score(truth, scores, average="macro"), abs=1e-12)
    expected = metrics.average_precision_score(truth, scores, average="macro")
    assert average_precision(truth, scores) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), clips=st.integers(1, 40), tags=st.integers(2, 6), density=st.floats(0, 1))
def test_each_f1_is_scikit_learns(seed, clips, tags, density):
    random = np.random.default_rng(seed)
    truth, predicted = (random.random((clips, tags)) < density for _ in range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {kind: metrics.f1_score(truth, predicted, average=kind) for kind in ("samples", "micro", "macro")}
    assert f1_scores(truth, predicted) == pytest.approx(expected, abs=1e-12)


def test_hand_made_cases():
    truth = np.array([[True], [True], [False], [False]])
    assert roc_auc(truth, np.array([[4.0], [3.0], [2.0], [1.0]])) == 1.0
    assert roc_auc(truth, np.array([[4.0], [1.0], [3.0], [2.0]])) == 0.5
    assert roc_auc(truth, np.ones((4, 1))) == 0.5
    assert average_precision(truth, np.ones((4, 1))) == 0.5
    assert average_precision(truth, np.array([[4.0], [2.0], [3.0], [1.0]])) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize(("column", "kind"), [(True, "without"), (False, "with")])
def test_a_tag_that_all_or_none_have_is_named(column, kind):
    truth = np.array([[True, column], [False, column]])
    for area in (roc_auc, average_precision):
        with pytest.raises(ValueError, match=f"tag 1: none of the 2 clips is {kind} it"):
            area(truth, np.zeros((2, 2)))


def test_scores_that_are_no_numbers_have_no_area():
    truth = np.array([[True], [False]])
    assert np.isnan(roc_auc(truth, np.array([[np.nan], [0.0]])))
    assert np.isnan(average_precision(truth, np.array([[np.inf], [0.0]])))
