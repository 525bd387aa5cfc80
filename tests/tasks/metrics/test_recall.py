"""Recall@K against a brute-force version: ties, duplicates, singletons, galleries, any block size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from optathlon.tasks.metrics.recall import BUDGET, recall_at
from optathlon.tasks.retrieval.losses import unit

KS = (1, 2, 5, 20, 1000)


def brute_force(queries: Tensor, labels: Tensor, gallery: tuple[Tensor, Tensor] | None) -> dict[int, float]:
    """Sort every query's gallery by similarity, the earlier first where equal, and look at the first K."""
    others, classes = (queries, labels) if gallery is None else gallery
    hits = dict.fromkeys(KS, 0)
    for index, (query, label) in enumerate(zip(queries, labels.tolist(), strict=True)):
        ranked = sorted(
            (-float(query @ other), place)
            for place, other in enumerate(others)
            if gallery is not None or place != index
        )
        found = [int(classes[place]) == label for _, place in ranked]
        for k in KS:
            hits[k] += any(found[:k])
    return {k: 100 * count / len(labels) for k, count in hits.items()}


def scattered(count: int, classes: int, seed: int, coarse: bool) -> tuple[Tensor, Tensor]:
    """Vectors and labels; coarse: of so few small whole numbers that there are many duplicates and ties, all exact."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (count,), generator=random)
    if coarse:
        return torch.randint(-1, 2, (count, 3), generator=random).float(), labels
    return unit(torch.randn(count, 16, generator=random) + torch.nn.functional.one_hot(labels % 16, 16)), labels


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("classes", [2, 9, 60, 500])  # of 500 nearly all are singletons
@pytest.mark.parametrize("budget", [1, 3000, BUDGET])  # a row at a time, several blocks with a short last, one block
def test_it_equals_brute_force_among_all_others(coarse, classes, budget):
    queries, labels = scattered(73, classes, seed=classes, coarse=coarse)
    assert recall_at(KS, queries, labels, budget=budget) == pytest.approx(brute_force(queries, labels, None))


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("budget", [1, 3000, BUDGET])
def test_it_equals_brute_force_in_a_gallery(coarse, budget):
    queries, labels = scattered(41, 30, seed=1, coarse=coarse)
    gallery = scattered(57, 25, seed=2, coarse=coarse)  # some classes of the queries are not there
    assert recall_at(KS, queries, labels, gallery, budget) == pytest.approx(brute_force(queries, labels, gallery))


def test_where_everything_lies_on_one_point_recall_is_chance():
    labels = torch.arange(100) // 5
    recalls = recall_at((1, 5, 99), torch.ones(100, 8), labels)
    assert recalls[1] == 5.0  # the first photo stands before all: right for its class alone
    assert recalls[99] == 100.0


def test_a_photo_does_not_find_itself_but_finds_its_double():
    vectors = unit(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.0, 1.0]]))
    assert recall_at((1,), vectors, torch.tensor([0, 1, 2, 2])) == {1: 50.0}


def test_a_class_of_one_photo_is_never_found_even_among_all():
    assert recall_at((1, 1000), unit(torch.randn(5, 4)), torch.arange(5)) == {1: 0.0, 1000: 0.0}


def test_vectors_that_are_not_numbers_are_never_right():
    vectors = torch.full((6, 4), torch.nan)
    assert recall_at((1, 6), vectors, torch.tensor([0, 0, 0, 1, 1, 1])) == {1: 0.0, 6: 0.0}


def test_lower_precision_around_it_does_not_reach_it():
    queries, labels = scattered(200, 20, seed=3, coarse=False)
    with torch.autocast("cpu", torch.bfloat16):
        assert recall_at(KS, queries, labels) == recall_at(KS, queries, labels)
        inside = recall_at(KS, queries, labels)
    assert inside == recall_at(KS, queries, labels)


@pytest.mark.slow
def test_memory_stays_within_the_budget():
    """A process that embeds 12,000 photos, whose similarities would take 576 MB, grows by little more than 64 MiB."""
    code = (
        "import resource, torch; from optathlon.tasks.metrics.recall import BUDGET, recall_at\n"
        "torch.set_num_threads(1); v, l = torch.randn(12_000, 16), torch.arange(12_000) // 5\n"
        "recall_at((1,), v[:200], l[:200]); kb = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = kb(); recall_at((1, 1000), v, l); print((kb() - before) * 1024 / BUDGET)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 1.5
