"""Writes a figure: SVG, PDF or PNG by the file's name, the same bytes for the same figure."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optathlon.results.plots.style import RC
from optathlon.results.store.files import hand_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What would tell when and by which version a file was made.
_METADATA: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".png": {"Software": None},
}
SUFFIXES = tuple(_METADATA)
DPI = 300


def rendered(draw: Callable[[], Figure], suffix: str) -> bytes:
    """The file of the figure that `draw` makes; ValueError unless `suffix` is .svg, .pdf or .png."""
    if suffix not in _METADATA:
        raise ValueError(f"{suffix!r}: must be one of {', '.join(SUFFIXES)}")
    import matplotlib

    data = io.BytesIO()
    # The user's own settings must not show, and setting a backend would import pyplot.
    defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
    settings: Any = {**defaults, **RC}
    with matplotlib.rc_context(settings):
        draw().savefig(data, format=suffix[1:], metadata=_METADATA[suffix], dpi=DPI)
    return data.getvalue()


def write(draw: Callable[[], Figure], path: Path) -> None:
    """Write the figure that `draw` makes to `path`, whole; nothing is written if either fails."""
    hand_out(path, rendered(draw, path.suffix))
