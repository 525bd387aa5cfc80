"""Refuses to score on splits that are not the published ones, unless told to. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from optathlon.tasks.audio.dcase2017 import layout as dcase2017_layout
from optathlon.tasks.audio.mtat import layout as mtat_layout
from optathlon.tasks.audio.speech_commands import layout as speech_commands_layout
from optathlon.tasks.data.dataset import require_accepted
from optathlon.tasks.task import Protocol


def speech_commands(protocol: Protocol, data: Path) -> None:
    """DataError for recordings of Speech Commands that are not the published ones and were not accepted."""
    require_accepted(speech_commands_layout.NAME, data, _published(speech_commands_layout.COUNTS))


def mtat(protocol: Protocol, data: Path) -> None:
    """DataError for splits of MagnaTagATune that are not the published ones and were not accepted."""
    require_accepted(mtat_layout.NAME, data, _published(mtat_layout.COUNTS))


def dcase2017(protocol: Protocol, data: Path) -> None:
    """DataError for splits of DCASE 2017 that have not the published fingerprints and were not accepted."""
    prints = ", ".join(f"{split} {digest[:8]}…" for split, digest in dcase2017_layout.FINGERPRINTS.items())
    require_accepted(dcase2017_layout.NAME, data, f"{_published(dcase2017_layout.COUNTS)}, fingerprints {prints}")


def _published(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {split} clips" for split, count in counts.items())
