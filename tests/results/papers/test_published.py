"""The published numbers: complete, readable, and set right as the protocol pages have them."""

from __future__ import annotations

import re

import pytest

from optathlon.results.errors import StoreError
from optathlon.results.papers.published import FOLDER, published

ADAMP = ("1", "2", "3", "4", "5", "6", "B.1", "D.1", "D.2", "D.3", "E.2", "G.1", "H.6", "H.7")
ADAREM = ("1", "2", "3", "6", "7")


@pytest.fixture(scope="module")
def numbers():
    return published()


def value(numbers, task, optimizer, metric, table, **setting):
    """The one number of a table whose setting has `setting`."""
    keys = (task, optimizer, metric, table)
    of_cell = [p for p in numbers if (p.task, p.optimizer, p.metric, p.table.split(",")[0]) == keys]
    (number,) = [p for p in of_cell if p.setting.items() >= setting.items()]
    return number


def test_every_results_table_of_both_papers_is_there(numbers):
    expected = [*(f"AdamP Table {t}" for t in ADAMP), *(f"AdaRem Table {t}" for t in ADAREM)]
    assert {p.table.split(",")[0] for p in numbers} == set(expected)
    assert len(list(FOLDER.glob("*.csv"))) == len(expected)


def test_a_deviation_goes_with_three_seeds(numbers):
    assert {p.n for p in numbers if p.std is not None} == {3}
    assert {p.n for p in numbers if p.std is None} == {None}
    assert {p.table for p in numbers if p.std is not None} == {
        "AdamP Table 2, H.1",
        "AdamP Table 4, H.2",
        "AdamP Table 5, H.3",
        "AdamP Table 6, H.4",
        "AdamP Table D.1, H.5",
    }


def test_no_number_is_given_twice_without_a_word(numbers):
    keys = [(p.task, p.optimizer, repr(p.setting), p.metric, p.table, p.note) for p in numbers]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("task", "ours", "baseline", "metric", "table", "printed"),
    [
        ("imagenet-mobilenetv2", "adamp", "adamw", "accuracy", "AdamP Table 2", 1.24),
        ("imagenet-resnet18", "sgdp", "sgd", "accuracy", "AdamP Table 2", 0.23),
        ("imagenet-resnet50-cutmix", "adamp", "adamw", "accuracy", "AdamP Table 2", 0.18),
        ("coco-ssd-random", "adamp", "adam", "ap", "AdamP Table 3", 0.87),
        ("mtat", "adamp", "adamw", "roc_auc", "AdamP Table 4", 0.23),
        ("dcase2017", "adamp", "adamw", "f1", "AdamP Table 4", 0.80),
        ("speech-commands", "adamp", "adamw", "accuracy", "AdamP Table 4", 0.42),
        ("wikitext103-txl", "adamp", "adamw", "perplexity", "AdamP Table 5", -0.12),
        ("wikitext103-txl-wn", "adamp", "adamw", "perplexity", "AdamP Table 5", -1.19),
        ("sop-proxyanchor", "adamp", "adamw", "recall@1", "AdamP Table 6", 1.5),
        ("inshop-proxyanchor", "adamp", "adamw", "recall@1", "AdamP Table 6", 2.2),
        ("biased-mnist-0.997", "adamp", "adam", "unbiased", "AdamP Table D.1", 7.9),
        ("imagenet9-rebias", "adamp", "adam", "imagenet_a", "AdamP Table D.1", 1.7),
        ("imagenet-resnet50-batch-16k", "adamp", "adamw", "accuracy", "AdamP Table D.3", 3.1),
        ("cifar10-l2", "adamp", "adam", "attacked_l2_80", "AdamP Table E.2", 13.26),
        ("cifar10-linf8", "adamp", "adam", "standard", "AdamP Table E.2", 15.98),
    ],
)
def test_differences_are_those_the_paper_prints(numbers, task, ours, baseline, metric, table, printed):
    delta = value(numbers, task, ours, metric, table).mean - value(numbers, task, baseline, metric, table).mean
    assert delta == pytest.approx(printed, abs=6e-3)


def test_numbers_told_apart_by_their_setting(numbers):
    assert value(numbers, "imagenet-resnet18", "sgdp", "accuracy", "AdamP Table 1", weight_decay=1e-4).mean == 70.57
    assert value(numbers, "imagenet-resnet18", "adamp", "accuracy", "AdamP Table B.1", delta=0.2).mean == 70.83
    grassmann = {"omega": 0, "clip": 0.1, "lr": 0.03, "scale_invariant.lr_scale": 1}
    assert value(numbers, "imagenet-resnet18", "sgdg", "accuracy", "AdamP Table G.1", **grassmann).mean == 70.39
    assert (
        value(numbers, "imagenet-resnet18", "adamp", "accuracy", "AdamP Table H.7", **{"protocol.length": 92}).mean
        == 70.64
    )
    assert value(numbers, "ptb-awd-lstm", "adarem", "perplexity", "AdaRem Table 3").mean == 69.13


def test_what_the_paper_says_twice_differently_is_noted(numbers):
    text = value(numbers, "wikitext103-txl-wn", "adamp", "perplexity", "AdamP Table 5")
    assert (text.mean, text.std) == (22.77, 0.06)
    assert "22.73" in text.note


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("t,sgd,,accuracy,%,abc,,,T,", "line 2: could not convert"),
        ("t,sgd,lr,accuracy,%,1,,,T,", "line 2: setting 'lr': must be KEY=VALUE"),
        ("t,sgd,,accuracy", "line 2"),
    ],
)
def test_a_bad_line_is_named(line, message, tmp_path):
    header = (FOLDER / "adarem-table-3.csv").read_text().splitlines()[0]
    (tmp_path / "table.csv").write_text(f"{header}\n{line}\n")
    with pytest.raises(StoreError, match=re.escape(str(tmp_path / "table.csv")) + ", " + message):
        published(tmp_path)
    (tmp_path / "table.csv").write_text("a,b\n")
    with pytest.raises(StoreError, match="has columns"):
        published(tmp_path)
