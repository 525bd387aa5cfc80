"""What the papers say, tried on a small machine: writes docs/trends.md from the records of the sweeps trends/*.

    python benchmarks/trends.py > docs/trends.md
    python benchmarks/trends.py --store STORE       # of runs of yours, not those in docs/trends/records.tar.xz

A claim of a paper is a pair of rows and a quantity. Its difference is judged as boards judge theirs
(docs/statistics.md): variances are pooled over the rows and quantities of a sweep, seeds are common, p is adjusted by
Holm over all claims of the page.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import optathlon
from optathlon.results.statistics.holm import ALPHA, holm_array
from optathlon.results.statistics.moderated.noise_model import NoiseModel

RECORDS = Path(__file__).resolve().parent.parent / "docs" / "trends" / "records.tar.xz"


class Quantity(NamedTuple):
    """One number per run, of one curve."""

    title: str
    curve: str
    """Its name; {delta} stands for what follows delta= in the row's name."""
    over: Literal["first", "half-way", "last", "mean"] = "last"
    """Which of its points, or the mean of all."""
    digits: int = 2
    factor: float = 1.0
    """What it is multiplied with, as 100 for percent."""

    def value(self, points: pandas.Series) -> float:
        """points: the curve's values by time."""
        half = (points.index[0] + points.index[-1]) / 2
        pick = {"first": points.iloc[0], "last": points.iloc[-1], "mean": points.mean()}
        return self.factor * float(pick.get(self.over, points[points.index >= half].iloc[0]))


class Claim(NamedTuple):
    """That `row` has more of `quantity` than `other`."""

    quantity: str
    row: str
    other: str


class Section(NamedTuple):
    """One sweep: what the paper says of it, the table's columns, the claims, and the paper's values (row, quantity)."""

    sweep: str
    title: str
    says: str
    quantities: dict[str, Quantity]
    claims: Sequence[Claim]
    published: dict[tuple[str, str], float]


class Verdict(NamedTuple):
    """What the runs say of a claim."""

    claim: Claim
    difference: float
    """The claim's row less the other."""
    half: float
    """Half of its 95 % interval."""
    p: float

    def word(self, p_adjusted: float) -> str:
        if p_adjusted >= ALPHA:
            return "not shown"
        return "shown" if self.difference > 0 else "**the opposite is shown**"


NORM_FIRST = Quantity("norm, first epoch", "test/norm_last", "first")
NORM = Quantity("norm, last epoch", "test/norm_last")
STEP = Quantity("effective step, half-way", "model/effective_step", "half-way", 4)
ACCURACY = Quantity("accuracy %", "test/accuracy", digits=1)
NORMS = {"norm": NORM, "step": STEP, "accuracy": ACCURACY}

MOMENTA = {"0.5": 7.60, "0.8": 8.31, "0.9": 8.53, "0.95": 8.76, "0.975": 8.73}
MOMENTA_SGDP = {"0.5": 6.88, "0.8": 6.57, "0.9": 6.33, "0.95": 6.23, "0.975": 6.14}
"""Norms of table H.6."""


def _momentum() -> Section:
    claims = [Claim("norm", f"sgd momentum={m}", f"sgdp momentum={m}") for m in MOMENTA]
    claims += [
        Claim("norm", "sgd momentum=0.975", "sgd momentum=0.5"),
        Claim("norm", "sgdp momentum=0.5", "sgdp momentum=0.975"),
    ]
    claims += [Claim("step", f"sgdp momentum={m}", f"sgd momentum={m}") for m in ("0.9", "0.975")]
    claims += [Claim("accuracy", f"sgdp momentum={m}", f"sgd momentum={m}") for m in MOMENTA]
    published = {(f"sgd momentum={m}", "norm"): value for m, value in MOMENTA.items()}
    published |= {(f"sgdp momentum={m}", "norm"): value for m, value in MOMENTA_SGDP.items()}
    return Section(
        "trends-momentum",
        "Norms by momentum (AdamP, table H.6)",
        "Without weight decay, SGD's weights grow more than SGDP's, the more so the higher the momentum; SGDP is more"
        " accurate.",
        NORMS,
        claims,
        published,
    )


def _weight_decay() -> Section:
    claims = [
        Claim("norm", "sgd", "sgdp"),
        Claim("norm", "adamw", "adamp"),
        Claim("norm", "sgd", "sgd decay=1e-2"),
        Claim("step", "sgdp", "sgd"),
        Claim("step", "adamp", "adamw"),
        Claim("accuracy", "sgdp", "sgd"),
        Claim("accuracy", "adamp", "adamw"),
        Claim("accuracy", "sgd decay=1e-2", "sgd"),
        Claim("accuracy", "sgdp decay=3e-2", "sgd decay=3e-2"),
        Claim("accuracy", "adamp decay=3", "adamw decay=3"),
    ]
    published = {
        ("sgd", "norm"): 4.34,
        ("sgd decay=1e-4", "norm"): 4.08,
        ("sgd decay=1e-3", "norm"): 2.70,
        ("sgd decay=1e-2", "norm"): 1.02,
        ("sgdp", "norm"): 2.10,
        ("sgdp decay=1e-3", "norm"): 1.96,
        ("sgdp decay=1e-2", "norm"): 1.19,
        ("adamw", "norm"): 10.41,
        ("adamp", "norm"): 3.02,
    }
    return Section(
        "trends-weight-decay",
        "Norms by weight decay (AdamP, table 1 and figures F.1 to F.6)",
        "Momentum makes weights grow, which SGDP and AdamP prevent; decay prevents it too, but accuracy then depends on"
        " the decay.",
        NORMS,
        claims,
        published,
    )


DETECTED = {"1": 100.0, "0.2": 100.0, "0.1": 100.0, "0.05": 100.0, "0.02": 99.94, "0.01": 97.73}
LEFT_ALONE = {"1": 86.64, "0.2": 100.0, "0.1": 100.0, "0.05": 100.0, "0.02": 100.0, "0.01": 100.0}
"""Shares of table B.1."""


def _detection() -> Section:
    share: dict[str, Any] = {"over": "mean", "digits": 1, "factor": 100.0}
    published = {(f"adamp delta={delta}", "invariant"): value for delta, value in DETECTED.items()}
    published |= {(f"adamp delta={delta}", "others"): value for delta, value in LEFT_ALONE.items()}
    return Section(
        "trends-detection",
        "What AdamP's test detects (AdamP, table B.1)",
        "With δ from 0.2 to 0.05 every scale-invariant weight is detected and no other; accuracy does not depend on δ.",
        {
            "invariant": Quantity("% of scale-invariant detected", "model/detection/invariant/{delta}", **share),
            "others": Quantity("% of others left alone", "model/detection/others/{delta}", **share),
            "accuracy": ACCURACY,
        },
        [],
        published,
    )


def _oscillation() -> Section:
    return Section(
        "trends-oscillation",
        "Oscillation (AdaRem, figures 1 and 2)",
        "Q, path by displacement of single weights, falls from SGD over SGD with momentum and Adam to AdaRem. (AdaRem's"
        " memory, beta = 0.999, spans 1,000 updates; these runs have 570.)",
        {
            "q": Quantity("mean Q", "model/oscillation", digits=1),
            "median": Quantity("median Q", "model/oscillation_median", digits=2),
            "accuracy": ACCURACY,
        },
        [
            Claim(q, row, other)
            for q in ("q", "median")
            for row, other in (("sgd", "sgdm"), ("sgdm", "adam"), ("adam", "adarem"))
        ],
        {},
    )


SECTIONS = (_momentum(), _weight_decay(), _detection(), _oscillation())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="a store of runs of trends/*; by default the records in docs/trends")
    given = parser.parse_args()
    if given.store:
        print(page(given.store))
        return
    with tempfile.TemporaryDirectory() as folder, tarfile.open(RECORDS) as records:
        records.extractall(folder, filter="data")
        print(page(Path(folder)))


def page(store: Path) -> str:
    """The page in Markdown. Raises SystemExit if a sweep of it was not run to its end."""
    results = optathlon.read(store)
    runs, curves = results.runs(), results.curves()
    tables = [_values(section, runs, curves) for section in SECTIONS]
    verdicts = [_verdicts(section, table) for section, table in zip(SECTIONS, tables, strict=True)]
    adjusted = holm_array(np.array([verdict.p for of_section in verdicts for verdict in of_section])).tolist()
    lines = [*_head(runs)]
    for section, table, of_section in zip(SECTIONS, tables, verdicts, strict=True):
        lines += ["", f"## {section.title}", "", f"The paper: {section.says}", "", *_table(section, table)]
        if of_section:
            p, adjusted = adjusted[: len(of_section)], adjusted[len(of_section) :]
            lines += ["", *_verdict_table(section, of_section, p)]
    return "\n".join(lines)


def _values(section: Section, runs: pandas.DataFrame, curves: pandas.DataFrame) -> pandas.DataFrame:
    """One row per run, by row and seed; one column per quantity."""
    of_sweep = runs[runs["sweep"] == section.sweep]
    if of_sweep.empty or set(of_sweep["status"]) != {"finished"}:
        raise SystemExit(
            f"{section.sweep}: not every run is finished: optathlon launch {section.sweep.replace('-', '/', 1)}"
        )
    by_run = (
        curves[curves["run"].isin(of_sweep["run"])]
        .sort_values("time")
        .set_index("time")
        .groupby(["run", "name"])["value"]
    )
    lines = []
    for run, row, seed in of_sweep[["run", "row", "seed"]].itertuples(index=False):
        delta = row.partition("delta=")[2]
        values = {
            k: q.value(by_run.get_group((run, q.curve.format(delta=delta)))) for k, q in section.quantities.items()
        }
        lines.append({"row": row, "seed": seed, **values})
    return pandas.DataFrame(lines).set_index(["row", "seed"])


def _verdicts(section: Section, table: pandas.DataFrame) -> list[Verdict]:
    rows = list(dict.fromkeys(table.index.get_level_values("row")))
    claimed = list(dict.fromkeys(claim.quantity for claim in section.claims))
    if not claimed:
        return []
    scores = np.stack([table.loc[row, claimed].sort_index().to_numpy().T for row in rows])
    model = NoiseModel(scores)
    verdicts = []
    for claim in section.claims:
        row, column = rows.index(claim.row), claimed.index(claim.quantity)
        compared = model.compare(np.full((1, len(claimed)), rows.index(claim.other)))
        numbers = (part[row, column] for part in (compared.delta, compared.half_width(), compared.p()))
        verdicts.append(Verdict(claim, *map(float, numbers)))
    return verdicts


def _head(runs: pandas.DataFrame) -> Iterator[str]:
    sweeps = [section.sweep for section in SECTIONS]
    of_page = runs[runs["sweep"].isin(sweeps)]
    count, seeds = of_page["run"].nunique(), of_page["seed"].nunique()
    yield "# Trends of the papers, on a small machine"
    yield ""
    yield (
        f"{count} runs of {seeds} seeds: ResNet-18 with a quarter of its channels"
        " and blocks, 32 x 32 pixels, batches of 32, 30 epochs of [ImageNet's stand-in](imagenet.md), which are emoji."
        " This page is written by `python benchmarks/trends.py` from the records in [docs/trends](trends/); a claim of"
        " a paper is a difference of two rows, judged as [boards](statistics.md) judge theirs, its p adjusted over all"
        " claims of the page. Decays are a hundred times the paper's, as runs are about a thousand times as short."
    )
    yield ""
    yield "To make the runs again, each sweep by its name, less than a minute a run on one core:"
    yield ""
    yield "```"
    yield "optathlon data standin imagenet"
    yield from (f"optathlon launch {_name(sweep)}" for sweep in sweeps)
    yield "python benchmarks/trends.py --store store"
    yield "```"


def _name(sweep: str) -> str:
    """As `launch` takes it: trends/momentum of trends-momentum."""
    return sweep.replace("-", "/", 1)


def _table(section: Section, table: pandas.DataFrame) -> Iterator[str]:
    """Mean and deviation over seeds per row, with the paper's value where it has one."""
    printed = {key for _, key in section.published}
    heads = ["row"]
    for key, quantity in section.quantities.items():
        heads += [quantity.title, *(["the paper's"] if key in printed else [])]
    yield "| " + " | ".join(heads) + " |"
    yield "|---" * len(heads) + "|"
    for row, values in table.groupby("row", sort=False):
        cells = [str(row)]
        for key, quantity in section.quantities.items():
            cells.append(f"{values[key].mean():.{quantity.digits}f} ± {values[key].std():.{quantity.digits}f}")
            if key in printed:
                theirs = section.published.get((str(row), key))
                cells.append("" if theirs is None else f"{theirs:g}")
        yield "| " + " | ".join(cells) + " |"


def _verdict_table(section: Section, verdicts: Sequence[Verdict], adjusted: Sequence[float]) -> Iterator[str]:
    yield "| claim | difference | 95 % interval | p | |"
    yield "|---" * 5 + "|"
    for verdict, p in zip(verdicts, adjusted, strict=True):
        claim, quantity = verdict.claim, section.quantities[verdict.claim.quantity]
        ends = (verdict.difference - verdict.half, verdict.difference + verdict.half)
        low, high = (f"{end:+.{quantity.digits}f}" for end in ends)
        yield (
            f"| {quantity.title}: {claim.row} > {claim.other} | {verdict.difference:+.{quantity.digits}f}"
            f" | {low} to {high} | {p:.2g} | {verdict.word(p)} |"
        )


if __name__ == "__main__":
    main()
