"""The stand-in for DCASE 2017 task 4: real sound effects, mixed into clips of ten seconds with weak labels.

Nine of the seventeen events have sounds: recordings of OpenSFX, and those of a soundfont at several keys, which is the
same recording faster or slower. What is heard in the evaluation set is heard in no other: another recording where there
is one, else another key.
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from optathlon.tasks.audio import midi
from optathlon.tasks.audio.dcase2017.layout import NAME, PARTS, SAMPLE_RATE, file_name, write_clip, write_table
from optathlon.tasks.data import debian
from optathlon.tasks.data.dataset import Source
from optathlon.tasks.data.progress import counted
from optathlon.tasks.randomness import generator

OPENSFX = debian.Package(
    "openttd-opensfx",
    "1.0.3-2",
    "pool/main/o/openttd-opensfx",
    "2898b4677a3caccc4abc08fb4cf83319047b5a04729291deb5c77a8cd713c006",
    "CC-BY-SA-3.0",
)
CATALOG = "usr/share/games/openttd/baseset/opensfx/opensfx.cat"

Heard = int | tuple[int, int, int]  # a sound's number in OpenSFX, or bank, program and key of the soundfont


def _keys(bank: int, program: int, *keys: int) -> tuple[Heard, ...]:
    return tuple((bank, program, key) for key in keys)


SOUNDS: dict[str, tuple[tuple[Heard, ...], tuple[Heard, ...]]] = {
    "Train horn": ((4, 5), (10,)),
    "Air horn, truck horn": ((6, 35), (7,)),
    "Ambulance (siren)": (_keys(5, 125, 56, 60, 64), _keys(5, 125, 62)),
    "Screaming": (_keys(2, 126, 56, 60, 64), _keys(2, 126, 62)),
    "Car": (_keys(1, 125, 56, 60, 64), _keys(2, 125, 60)),
    "Car passing by": (_keys(3, 125, 56, 60, 64), _keys(3, 125, 62)),
    "Bus": ((27,), (28,)),
    "Truck": ((25,), (26,)),
    "Train": ((65, *_keys(6, 125, 58, 62)), (71,)),
}
"""Of each event what is heard in training, validation and testing, and what in the evaluation set."""

CLIPS = {"training": 160, "testing": 18, "evaluation": 54}
SECONDS, SHORTEST = 10.0, 4.0
NOTE_SECONDS = 4.0


def write(folder: Path) -> list[Source]:
    """Write 232 clips of one or two events over noise, every fifth shorter, and the tables; DataError if a package is
    absent."""
    midi.require_packages(NAME)
    names = list(SOUNDS)
    total, numbers = sum(CLIPS.values()), range(max(CLIPS.values()))
    jobs = ((part, number) for part, count in CLIPS.items() for number in numbers[:count])
    events: dict[str, dict[str, list[str]]] = {part: {} for part in PARTS}
    for part, number in counted(jobs, total, f"{NAME}: mixing"):
        random = generator("dcase2017 standin", part, number)
        chosen = [names[number % len(names)]]
        if random.random() < 0.25:
            chosen.append(names[int(random.integers(len(names)))])
        file = file_name(f"dcase2017 standin {part} {number}")
        events[part][file] = chosen
        write_clip(folder / PARTS[part].folder / f"Y{file}", _mix(chosen, part == "evaluation", number, random))
    for part, of_part in events.items():
        write_table(folder / PARTS[part].table, of_part, "\r\n" if part == "evaluation" else "\n")
    return [OPENSFX.source, midi.EFFECTS_FONT.source]


def _mix(events: Sequence[str], evaluation: bool, number: int, random: np.random.Generator) -> np.ndarray:
    """Each event once to three times at random places and levels, over faint noise; floats at 44.1 kHz."""
    seconds = random.uniform(SHORTEST, SECONDS) if number % 5 == 4 else SECONDS
    clip = random.uniform(0.002, 0.01) * random.standard_normal(int(seconds * SAMPLE_RATE))
    for event in events:
        choices = SOUNDS[event][evaluation]
        for _ in range(int(random.integers(1, 4))):
            sound = _sound(choices[int(random.integers(len(choices)))])[: len(clip)]
            start = int(random.integers(0, len(clip) - len(sound) + 1))
            clip[start : start + len(sound)] += random.uniform(0.15, 0.4) * sound
    return clip


@functools.cache
def _sound(heard: Heard) -> np.ndarray:
    """A sound as loud as full scale, mono floats at 44.1 kHz."""
    if isinstance(heard, int):
        sound = _recordings()[heard]
    else:
        note = midi.one_note(*heard, seconds=NOTE_SECONDS)
        sound = midi.render(midi.font(midi.EFFECTS_FONT, midi.EFFECTS_FONT_FILE), note, SAMPLE_RATE)
        sound = sound[: int(NOTE_SECONDS * SAMPLE_RATE)]
    return sound / np.abs(sound).max()


@functools.cache
def _recordings() -> dict[int, np.ndarray]:
    """The sounds of OpenSFX by number, mono floats at 44.1 kHz. Its catalog is a table of places and sizes, and at each
    place a name and a WAV file."""
    content = debian.files(OPENSFX, [CATALOG])[CATALOG]
    first = struct.unpack_from("<I", content)[0] & 0x7FFFFFFF
    sounds = {}
    for number in range(first // 8):
        place, size = struct.unpack_from("<II", content, 8 * number)
        place = (place & 0x7FFFFFFF) + 1 + content[place & 0x7FFFFFFF]
        sound, rate = soundfile.read(io.BytesIO(content[place : place + size]), always_2d=True)
        if len(sound) and rate == SAMPLE_RATE:
            sounds[number] = sound.mean(axis=1)
    return sounds
