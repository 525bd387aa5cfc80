"""Reproduce the papers' toy figures: their key numbers beside the published ones, and with --output the plots."""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path as Folder
from typing import TYPE_CHECKING, Any, NamedTuple

from optathlon.results.store.files import hand_out
from optathlon.suite.console import add_json, print_json, say, table
from optathlon.suite.errors import OK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from optathlon.optimizers.toys import Path

FIGURES = ("1", "3", "H.1", "G.1", "G.2", "ratio", "regret")
MOMENTA = (0.9, 0.95, 0.99)


class Number(NamedTuple):
    """One key number of a figure."""

    figure: str
    what: str
    here: float
    published: float | None = None
    """What the paper or its project page prints; None where it prints none."""


Curves = dict[str, Any]
"""By file name: the paths of one plot, or of `regret` its (T, regret)."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "figure", nargs="?", choices=(*FIGURES, "all"), default="all",
        help="of the AdamP paper; ratio is its Corollary 2.3, regret is AdaRem's Theorem 1 (default: all)",
    )  # fmt: skip
    parser.add_argument("--output", type=Folder, metavar="FOLDER", help="draw the plots into this folder")
    parser.add_argument("--format", choices=("svg", "pdf", "png"), default="svg")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    numbers, curves = computed(FIGURES if args.figure == "all" else (args.figure,))
    files = draw(curves, {name: args.output / f"{name}.{args.format}" for name in curves}) if args.output else []
    return show(numbers, files, args.json)


def computed(figures: Iterable[str]) -> tuple[list[Number], Curves]:
    """Computes the key numbers of `figures`, which are of FIGURES, and what their plots draw."""
    import torch

    torch.set_num_threads(1)
    numbers: list[Number] = []
    curves: Curves = {}
    for figure in figures:
        say(f"computes {figure}")
        key_numbers, drawn = _COMPUTE.get(figure, lambda name=figure: _searched(name))()
        numbers += key_numbers
        curves |= drawn
    return numbers, curves


def show(numbers: Iterable[Number], files: Iterable[Folder], json: bool = False) -> int:
    """Prints the key numbers, and says which plots were written."""
    if json:
        print_json({"numbers": [n._asdict() for n in numbers], "files": [str(f) for f in files]})
    else:
        rows = [
            (n.figure, n.what, f"{n.here:.4g}", "-" if n.published is None else f"{n.published:g}") for n in numbers
        ]
        print(table(rows, ("figure", "what", "here", "published")))
    for file in files:
        say(f"wrote {file}")
    return OK


def _figure_1() -> tuple[list[Number], Curves]:
    from optathlon.optimizers import toys

    published = {0.9: (2.93, 1.12), 0.95: (5.67, 1.14), 0.99: (27.87, 1.15)}
    numbers, curves = [], {}
    for momentum in MOMENTA:
        paths = toys.figure_1(momentum)
        for path, theirs in zip(paths[1:], published[momentum], strict=True):
            numbers.append(Number("1", f"{path.label}, momentum {momentum:g}: largest norm", max(path.norms), theirs))
        curves[f"figure-1-momentum-{momentum:g}"] = paths
    return numbers, curves


def _figure_3() -> tuple[list[Number], Curves]:
    from optathlon.optimizers import toys

    momentum, decayed, projected = toys.figure_3()
    numbers = [
        Number("3", f"{momentum.label}: last norm", momentum.norms[-1], 3.2),
        Number("3", f"{decayed.label}: largest norm", max(decayed.norms), 2.53),
        Number("3", f"{projected.label}: last norm", projected.norms[-1], 1.12),
    ]
    return numbers, {"figure-3": [momentum, decayed, projected]}


def _searched(figure: str) -> tuple[list[Number], Curves]:
    """H.1, G.1 and G.2, of which the paper prints no numbers."""
    from optathlon.optimizers import toys

    paths = toys.FIGURES[figure]()
    numbers = [
        Number(figure, f"{path.label}: {what}", value)
        for path in paths
        for what, value in (("rate", path.lr), ("last loss", path.losses[-1]), ("largest norm", max(path.norms)))
    ]
    return numbers, {f"figure-{figure.lower().replace('.', '')}": paths}


def _ratio() -> tuple[list[Number], Curves]:
    from optathlon.optimizers import toys

    return [
        Number(
            "ratio", f"norm growth over its steps', momentum {m:g}", toys.growth_ratio(m, steps), 1 + 2 * m / (1 - m)
        )
        for m, steps in ((0.5, 400), (0.9, 400), (0.99, 4000))
    ], {}


def _regret() -> tuple[list[Number], Curves]:
    from optathlon.optimizers import toys

    rounds = toys.adarem_regret()
    (t0, r0), (t1, r1) = rounds[3], rounds[-1]
    slope = math.log(r1 / r0) / math.log(t1 / t0)
    return [Number("regret", f"slope of log regret over log T, T from {t0} to {t1}", slope, 0.5)], {"regret": rounds}


_COMPUTE: dict[str, Callable[[], tuple[list[Number], Curves]]] = {
    "1": _figure_1,
    "3": _figure_3,
    "ratio": _ratio,
    "regret": _regret,
}


def draw(curves: Curves, files: Mapping[str, Folder]) -> list[Folder]:
    """Writes each plot of `curves` to its file, a .svg, .pdf or .png, with the same bytes each time."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": None}
    with mpl.rc_context({"svg.hashsalt": "optathlon", "svg.fonttype": "none", "font.size": 8}):
        for name, curve in curves.items():
            figure = Figure(figsize=(3.6, 2.8) if name == "regret" else (10, 2.9), layout="constrained")
            FigureCanvasAgg(figure)
            if name == "regret":
                _draw_regret(figure.subplots(), curve)
            else:
                _draw_paths(figure, curve, sphere="figure-1" not in name)
            data, kind = io.BytesIO(), files[name].suffix[1:]
            figure.savefig(data, format=kind, dpi=200, metadata=metadata[kind])
            files[name].parent.mkdir(parents=True, exist_ok=True)
            hand_out(files[name], data.getvalue())
    return [files[name] for name in curves]


def _draw_paths(figure: Figure, paths: list[Path], sphere: bool) -> None:
    """Draws where the weight goes, and its loss and norm by step."""
    way, loss, norm = figure.subplots(1, 3)
    if sphere:
        _draw_rosenbrock(way)
    for path in paths:
        way.plot(*zip(*path.points, strict=True), marker="o", markersize=1.5, linewidth=0.8, label=path.label)
        loss.plot(path.losses, label=path.label)
        norm.plot(path.norms, label=path.label)
    way.set(xlabel="a" if sphere else "x", ylabel="b" if sphere else "y")
    if not sphere:
        way.set_aspect("equal", "datalim")
    loss.set(xlabel="step", ylabel="loss", yscale="log" if sphere else "linear")
    norm.set(xlabel="step", ylabel="norm of the weight")
    loss.legend()


def _draw_rosenbrock(axes: Axes) -> None:
    """Draws the contours of the function on the sphere's angles, from the start at (-2, 2) to the optimum at (1, 1)."""
    import numpy as np

    a, b = np.meshgrid(np.linspace(-2.2, 2.2, 200), np.linspace(-0.8, 2.3, 200))
    height = np.log10((1 - a) ** 2 + 300 * (b - a**2) ** 2 + 1e-2)
    axes.contour(a, b, height, levels=12, colors="0.8", linewidths=0.5, linestyles="solid")
    axes.plot([1], [1], marker="*", color="black", markersize=7, linestyle="none")
    axes.set(xlim=(-2.2, 2.2), ylim=(-0.8, 2.3))


def _draw_regret(axes: Axes, rounds: list[tuple[int, float]]) -> None:
    times, regrets = zip(*rounds, strict=True)
    axes.loglog(times, regrets, marker="o", markersize=3, label="AdaRem")
    scale = regrets[-1] / math.sqrt(times[-1])
    axes.loglog(times, [scale * math.sqrt(t) for t in times], linestyle="--", color="0.5", label="√T")
    axes.set(xlabel="rounds T", ylabel="regret")
    axes.legend()
