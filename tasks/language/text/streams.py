"""Token streams cut into windows, of random or of equal lengths; all at once in memory or as they are read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from optathlon.tasks.language.settings import AwdLstmSettings, check_streams
from optathlon.tasks.randomness import generator


class Window(NamedTuple):
    """Rows `start` to `start + length` of the streams, read to predict the rows one further.

    The last window of an epoch is cut short where the streams end; `drawn` is its length before that.
    """

    start: int
    length: int
    drawn: int


def parallel(ids: np.ndarray, streams: int, name: str = "protocol.batch") -> Tensor:
    """Cut the tokens into `streams` equal, consecutive parts and lay them side by side: int64, rows × streams.

    The remainder is left out. Raises TaskError, with the `name` of the setting that `streams` is, if there are fewer
    than three rows.
    """
    check_streams(name, streams, len(ids), rows=3)
    rows = len(ids) // streams
    return torch.from_numpy(ids[: rows * streams].reshape(streams, rows).T.astype(np.int64, order="C"))


def windows(rows: int, settings: AwdLstmSettings, seed: int, epoch: int) -> list[Window]:
    """The training windows of an epoch over `rows` rows, a function of (seed, epoch) alone (awd-lstm-lm `main.py`).

    Around `bptt` with probability `bptt_full`, else around half of it: max(bptt_min, int(Normal(., bptt_std))), with no
    upper cap. Every window has at least two rows, so that temporal activation regularization has something to compare.
    """
    random = generator(seed, "windows", epoch)
    drawn_windows, start = [], 0
    while start < rows - 2:
        base = settings.bptt if random.random() < settings.bptt_full else settings.bptt / 2
        drawn = max(settings.bptt_min, int(random.normal(base, settings.bptt_std)))
        drawn_windows.append(Window(start, min(drawn, rows - 1 - start), drawn))
        start += drawn
    return drawn_windows


def segments(rows: int, length: int) -> list[Window]:
    """Windows of `length` rows each, the last one shorter; all rows but the first are predicted once."""
    return [Window(start, min(length, rows - 1 - start), length) for start in range(0, rows - 1, length)]


class Streams:
    """The tokens cut into `count` equal, consecutive parts, of which a window is read only when it is asked for.

    The remainder is left out. Raises TaskError, with the `name` of the setting that `count` is, if a stream has fewer
    than two tokens.
    """

    def __init__(self, ids: np.ndarray, count: int, name: str = "protocol.batch") -> None:
        check_streams(name, count, len(ids), rows=2)
        self.count, rows = count, len(ids) // count
        self._side_by_side = ids[: rows * count].reshape(count, rows)

    def __len__(self) -> int:
        return self._side_by_side.shape[1]

    def read(self, window: Window, columns: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """(tokens read, tokens to predict) of these streams, each int64, streams × length."""
        rows = slice(window.start, window.start + window.length + 1)
        tokens = torch.from_numpy(self._side_by_side[columns, rows].astype(np.int64))
        return tokens[:, :-1], tokens[:, 1:]


def cut(streams: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """(tokens read, tokens to predict), each length × streams; copies, so that a data worker sends nothing more."""
    start, length, _ = window
    return streams[start : start + length].clone(), streams[start + 1 : start + 1 + length].clone()
