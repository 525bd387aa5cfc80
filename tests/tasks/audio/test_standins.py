"""The stand-ins of tunes and of sound effects, built from the real packages, but of fewer tunes and clips."""

from __future__ import annotations

import numpy as np
import pytest

from optathlon.tasks.audio import recordings
from optathlon.tasks.audio.dcase2017 import standin as effects
from optathlon.tasks.audio.dcase2017.dataset import Dcase2017
from optathlon.tasks.audio.dcase2017.layout import EVENTS
from optathlon.tasks.audio.mtat import standin as tunes
from optathlon.tasks.audio.mtat.dataset import MagnaTagATune
from optathlon.tasks.audio.mtat.layout import ANNOTATIONS, read_annotations
from optathlon.tasks.data.dataset import build
from tests.tasks.packages import packages_or_skip

pytestmark = pytest.mark.slow

SECONDS = 4.0
EDITION = "standin-1"


class Here:
    """A pool of no processes, so that the length of clips can be changed."""

    def __init__(self, *_: object) -> None:
        self.map = map

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_tunes_are_played_and_tagged_and_none_is_in_two_folders(tmp_path, monkeypatch):
    every = tunes._tunes

    def some() -> list[tunes.Tune]:
        recorded = every()
        assert len(recorded) == 97
        return recorded[::5]

    monkeypatch.setattr(tunes, "_tunes", some)
    monkeypatch.setattr(tunes, "SECONDS", SECONDS)
    monkeypatch.setattr(tunes, "ProcessPoolExecutor", Here)
    with packages_or_skip():
        made = build(MagnaTagATune(), tmp_path, "standin")
    assert made.edition == EDITION
    assert "openttd-openmsx 0.4.2-1, freedoom 0.12.1-2" in made.verified
    folder = tmp_path / "mtat"
    recorded, samples = recordings.read(folder), recordings.samples(folder)
    clips = [clip for of_split in recorded.splits.values() for clip in of_split]
    assert len(clips) >= 20
    assert min(recorded.counts.values()) >= 4
    folders = {(clip.path.split("/")[2].rsplit("-", 2)[0], clip.path.split("/")[1]) for clip in clips}
    assert len(dict(folders)) == len(folders), "a tune in two folders"
    for clip in clips:
        sound = samples[clip.start : clip.start + clip.length]
        assert 0.9 * SECONDS * 16_000 <= clip.length <= (SECONDS + 0.2) * 16_000
        assert np.sqrt(np.mean(sound**2)) < 1
    tags = set(read_annotations(folder / ANNOTATIONS).tags)
    assert tags <= {*tunes.FAMILIES, "drums", "no drums", "solo", "fast", "slow", "loud", "quiet"}
    for of_split in recorded.splits.values():
        truth = recordings.truth(of_split, len(tags))
        assert truth.any(0).all()


def test_sound_effects_are_mixed_into_clips_with_weak_labels(tmp_path, monkeypatch):
    monkeypatch.setattr(effects, "CLIPS", {"training": 54, "testing": 9, "evaluation": 18})
    with packages_or_skip():
        assert build(Dcase2017(), tmp_path, "standin").edition == EDITION
    recorded, samples = recordings.read(tmp_path / "dcase2017"), recordings.samples(tmp_path / "dcase2017")
    assert sum(recorded.counts.values()) == 81
    assert recorded.counts["test"] == 18
    assert 5 <= recorded.counts["validation"] <= 15
    heard = recordings.truth([clip for clips in recorded.splits.values() for clip in clips], len(EVENTS)).any(0)
    assert {EVENTS[event] for event in np.flatnonzero(heard)} == set(effects.SOUNDS)
    for clip in recorded.splits["test"]:
        sound = samples[clip.start : clip.start + clip.length]
        assert 4 * 16_000 <= len(sound) <= 10 * 16_000 + 1
        assert np.abs(sound).max() > 0.05
