"""The stand-in for MagnaTagATune: the tunes of OpenTTD and Freedoom, played by a soundfont and tagged by their notes.

A tune's windows all lie in one folder, so that none is in two splits. Tags are families of instruments with four notes
or more in a window, tempo and loudness; those that some split has in all of its clips or in none are left out.
"""

from __future__ import annotations

import multiprocessing
import os
import struct
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from optathlon.tasks.audio import midi
from optathlon.tasks.audio.decoding import SAMPLE_RATE
from optathlon.tasks.audio.midi import Note
from optathlon.tasks.audio.mtat.layout import ANNOTATIONS, AUDIO, FOLDERS, NAME, SPLITS, write_annotations
from optathlon.tasks.audio.mtat.miniature import write_clip
from optathlon.tasks.data import debian
from optathlon.tasks.data.dataset import Source
from optathlon.tasks.data.progress import counted
from optathlon.tasks.randomness import generator

OPENMSX = debian.Package(
    "openttd-openmsx",
    "0.4.2-1",
    "pool/main/o/openttd-openmsx",
    "1a728a4ac37a1c614de1f597d3024caa7f54ce93d28f5b979b5758305b916a54",
    "GPL-2",
)
FREEDOOM = debian.Package(
    "freedoom",
    "0.12.1-2",
    "pool/main/f/freedoom",
    "c5b7cf1aa6dde8c980271981ce75b9b4a9e7b634b9db93d471f54bab7a8e1290",
    "BSD-3-Clause",
)
TUNES, GAMES = "usr/share/games/openttd/baseset/openmsx/", "usr/share/games/doom/"
SECONDS, WINDOWS = 29.1, 2
FEWEST_NOTES = 4
CYCLE = "01c23d45c67e89cabf"  # the folders that tunes are dealt to: more for validation than the official sixteenth

FAMILIES: dict[str, Sequence[int]] = {
    "piano": range(6),
    "harpsichord": (6, 7),
    "bells": range(8, 16),
    "organ": range(16, 24),
    "guitar": range(24, 32),
    "bass": range(32, 40),
    "strings": (*range(40, 46), *range(48, 52)),
    "violin": (40,),
    "harp": (46,),
    "choir": range(52, 55),
    "brass": range(56, 64),
    "reeds": range(64, 72),
    "flute": range(72, 80),
    "synth": (*range(80, 104), 50, 51, 38, 39),
}
"""General MIDI's programs, counted from 0, by the tag that stands for them."""

FAST, SLOW = 9.0, 5.0  # moments a second at which notes begin
LOUD, QUIET = 0.08, 0.035  # root mean square of a clip of which 1.0 is full scale


class Tune(NamedTuple):
    """A MIDI file by a name that a path can hold."""

    name: str
    content: bytes


def write(folder: Path) -> list[Source]:
    """Write two clips of 29 seconds of each tune, and the table; DataError if a package is absent."""
    midi.require_packages(NAME)
    tunes = _tunes()
    order = generator("mtat standin", "tunes").permutation(len(tunes))
    jobs = [(folder / AUDIO, CYCLE[n % len(CYCLE)], tunes[index]) for n, index in enumerate(order)]
    for place in FOLDERS:
        (folder / AUDIO / place).mkdir(parents=True)
    midi.font(midi.MUSIC_FONT, midi.MUSIC_FONT_FILE)  # fetched once, before the others look for it
    clips: dict[str, set[str]] = {}
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for written in counted(pool.map(_write_tune, jobs), len(jobs), f"{NAME}: playing tunes"):
            clips.update(written)
    tags = _with_both(clips)
    write_annotations(folder / ANNOTATIONS, tags, {path: sorted(clips[path]) for path in sorted(clips)})
    return [package.source for package in (OPENMSX, FREEDOOM, midi.MUSIC_FONT)]


def _tunes() -> list[Tune]:
    """All tunes with notes, each once, in the order of their names."""
    by_name = {Path(path).stem: content for path, content in debian.files(OPENMSX, [TUNES]).items() if ".mid" in path}
    for path, content in debian.files(FREEDOOM, [GAMES]).items():
        if path.endswith(".wad"):
            by_name |= {f"{Path(path).stem}-{name}": lump for name, lump in _lumps(content) if lump[:4] == b"MThd"}
    unique = {content: name for name, content in sorted(by_name.items(), reverse=True)}
    return sorted(Tune(name, content) for content, name in unique.items())


def _lumps(wad: bytes) -> list[tuple[str, bytes]]:
    """The named pieces of a file of Doom's format."""
    count, directory = struct.unpack_from("<II", wad, 4)
    entries = [struct.unpack_from("<II8s", wad, directory + 16 * n) for n in range(count)]
    return [(name.rstrip(b"\0").decode("ascii").lower(), wad[at : at + size]) for at, size, name in entries]


def _write_tune(job: tuple[Path, str, Tune]) -> dict[str, set[str]]:
    """Write a tune's clips that have notes into one folder below `job[0]`; returns the tags of each by its path."""
    audio, place, tune = job
    sound = midi.render(
        midi.font(midi.MUSIC_FONT, midi.MUSIC_FONT_FILE), midi.beginning(tune.content, SECONDS * WINDOWS), SAMPLE_RATE
    )
    notes, written = midi.notes(tune.content), {}
    for window in range(WINDOWS):
        start, end = SECONDS * window, SECONDS * (window + 1)
        clip = sound[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
        inside = [note for note in notes if start <= note.seconds < end]
        if len(inside) < FEWEST_NOTES or len(clip) < 0.9 * SECONDS * SAMPLE_RATE:
            continue
        path = f"{place}/{tune.name}-{start:.0f}-{end:.0f}.mp3"
        write_clip(audio / path, clip)
        written[path] = tags_of(inside) | _loudness(clip)
    return written


def tags_of(notes: Sequence[Note]) -> set[str]:
    """The tags that the `notes` of a clip tell: instruments, drums or none, fast or slow, solo."""
    played = [note.program for note in notes if note.program is not None]
    tags = {tag for tag, programs in FAMILIES.items() if sum(program in programs for program in played) >= FEWEST_NOTES}
    tags.add("drums" if len(notes) - len(played) >= FEWEST_NOTES else "no drums")
    if len(set(played)) == 1:
        tags.add("solo")
    moments = len({round(note.seconds, 2) for note in notes}) / SECONDS
    return tags | ({"fast"} if moments >= FAST else {"slow"} if moments < SLOW else set())


def _loudness(clip: np.ndarray) -> set[str]:
    level = float(np.sqrt(np.mean(clip**2)))
    return {"loud"} if level >= LOUD else {"quiet"} if level < QUIET else set()


def _with_both(clips: dict[str, set[str]]) -> list[str]:
    """The tags that some clips of each split have and others have not."""
    splits: dict[str, list[set[str]]] = {}
    for path, tags in clips.items():
        splits.setdefault(SPLITS[path[0]], []).append(tags)
    every = sorted(set().union(*clips.values()))
    return [
        tag
        for tag in every
        if all(0 < sum(tag in tags for tags in clips_tags) < len(clips_tags) for clips_tags in splits.values())
    ]
