"""Trivial models score what the protocol page says, and the boards' references are those of each task's metrics."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from optathlon.tasks.audio import recordings, references
from optathlon.tasks.audio.dcase2017.layout import EVENTS
from optathlon.tasks.metrics.tagging import f1_scores
from optathlon.tasks.registry import resolve, task

EVALUATION_SET = {
    "0": 15, "0 1": 2, "0 1 16": 1, "0 13 16": 1, "0 16": 41, "1": 41, "1 2 11": 1, "1 2 15": 1, "1 4 5 6": 4, "1 7": 3,
    "1 11 14": 1, "1 13": 1, "1 13 16": 1, "1 14": 1, "1 16": 1, "2": 42, "2 4 6": 2, "2 5": 3, "2 11": 9, "2 14": 1,
    "3": 21, "3 11": 5, "3 13": 2, "3 14": 31, "4": 17, "4 5": 14, "4 5 6": 11, "4 5 6 14": 1, "4 5 11": 1, "4 6": 8,
    "4 7": 1, "4 13": 1, "5": 7, "5 6": 12, "5 6 7": 3, "5 6 14": 1, "5 7": 1, "5 11": 2, "5 13": 1, "5 15": 1, "6": 14,
    "6 12": 1, "6 14": 2, "7": 51, "8": 59, "9": 56, "9 10": 1, "9 13": 1, "9 15": 1, "10": 58, "11": 215, "11 12": 21,
    "11 13": 5, "11 13 14": 1, "11 14": 3, "11 15": 1, "12": 37, "12 14": 1, "13": 40, "13 14": 3, "13 16": 1, "14": 54,
    "15": 56, "16": 108,
}  # fmt: skip
"""How many of the 1,103 evaluation clips have each combination of events, counted in the official table."""


@pytest.fixture(scope="module")
def evaluation_set() -> np.ndarray:
    truth = np.zeros((sum(EVALUATION_SET.values()), len(EVENTS)), dtype=bool)
    rows = [np.array(events.split(), dtype=int) for events, count in EVALUATION_SET.items() for _ in range(count)]
    for row, events in zip(truth, rows, strict=True):
        row[events] = True
    return truth


def test_the_evaluation_set_has_the_published_counts(evaluation_set):
    assert evaluation_set.shape == (1103, 17)
    assert evaluation_set.sum(0).tolist() == [60, 58, 59, 59, 60, 62, 59, 59, 59, 59, 59, 265, 60, 58, 100, 60, 154]
    assert round(float(evaluation_set.sum(1).mean()), 2) == 1.22


def test_always_car_and_every_event_score_what_the_page_says(evaluation_set):
    always_car = np.broadcast_to(np.arange(17) == EVENTS.index("Car"), evaluation_set.shape)
    found = {kind: round(value, 4) for kind, value in f1_scores(evaluation_set, always_car).items()}
    assert found == {"samples": 0.2245, "micro": 0.2161, "macro": 0.0228}
    found = {kind: round(value, 4) for kind, value in f1_scores(evaluation_set, np.ones((1103, 17), bool)).items()}
    assert found == {"samples": 0.1330, "micro": 0.1343, "macro": 0.1311}


@pytest.mark.slow
def test_music_has_the_prior_and_it_orders_nothing(tagging_data):
    protocol = task("mtat").protocol("smoke")
    found = resolve(task("mtat").references)(protocol, tagging_data)
    assert list(found) == ["prior"]
    scores, clips = found["prior"], recordings.read(tagging_data / "mtat").splits
    test, training = (recordings.truth(clips[name], 6) for name in ("test", "training"))
    assert scores["test/roc_auc"] == pytest.approx(50.0)
    assert scores["test/pr_auc"] == pytest.approx(100 * test.mean())
    shares = np.broadcast_to(training.mean(0), test.shape)
    expected = np.mean([metrics.log_loss(test[:, tag], shares[:, tag], labels=[0, 1]) for tag in range(6)])
    assert scores["test/loss"] == pytest.approx(expected)


@pytest.mark.slow
def test_events_have_the_most_frequent_all_and_the_prior(tagging_data):
    scores = resolve(task("dcase2017").references)(task("dcase2017").protocol("smoke"), tagging_data)
    names = list(scores)
    assert names[0].startswith("always ")
    assert names[1:] == ["every event", "prior"]
    assert 10 < scores["every event"]["test/f1"] < 20
    assert scores["prior"]["test/loss"] < 0.5


@pytest.mark.slow
def test_keywords_have_the_majority(keyword_data):
    found = references.keyword_spotting(task("speech-commands").protocol("smoke"), keyword_data)
    assert found["majority"]["test/accuracy"] == pytest.approx(10.0)
    assert found["majority"]["test/loss"] == pytest.approx(np.log(10))
