"""MIDI tunes: their notes with mido, their sound with midirenderer and a soundfont."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import io
from typing import Any, NamedTuple

import numpy as np
import soundfile

from optathlon.tasks.data import debian
from optathlon.tasks.errors import DataError

PACKAGES = ("mido", "midirenderer", "soxr")
MUSIC_FONT = debian.Package(
    "timgm6mb-soundfont",
    "1.3-5",
    "pool/main/t/timgm6mb-soundfont",
    "034abdfb296d9353433513dad5dbdcab46425ee6008fc02fe7039b46e75edc54",
    "GPL-2",
)
MUSIC_FONT_FILE = "usr/share/sounds/sf2/TimGM6mb.sf2"
EFFECTS_FONT = debian.Package(
    "fluid-soundfont-gs",
    "3.1-5.3",
    "pool/main/f/fluid-soundfont",
    "f9c5b171ce1cd6c05c5dd65e2ada61c0951ef491f1c67d077aaecd6c9d6ef3e4",
    "MIT",
)
EFFECTS_FONT_FILE = "usr/share/sounds/sf2/FluidR3_GS.sf2"
DRUM_CHANNEL = 9


class Note(NamedTuple):
    """When a note begins, in seconds, the program 0 to 127 that plays it, or None for drums, and its key."""

    seconds: float
    program: int | None
    key: int


def require_packages(name: str) -> None:
    """DataError, of data set `name`, if a package that stand-ins need is absent."""
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise DataError(
                f"{name}: the stand-in needs the package {package}, which is not installed:"
                " `pip install 'optathlon[standins]'`"
            )


def notes(midi: bytes) -> list[Note]:
    """The notes of a MIDI file in their order."""
    mido: Any = importlib.import_module("mido")
    programs, seconds, played = [0] * 16, 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(midi)):
        seconds += message.time
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type == "note_on" and message.velocity:
            drums = message.channel == DRUM_CHANNEL
            played.append(Note(seconds, None if drums else programs[message.channel], message.note))
    return played


def beginning(midi: bytes, seconds: float) -> bytes:
    """The first `seconds` of a MIDI file, as one of a single track."""
    mido: Any = importlib.import_module("mido")
    whole = mido.MidiFile(file=io.BytesIO(midi))
    cut = mido.MidiFile(type=0, ticks_per_beat=whole.ticks_per_beat)
    track, tempo, passed = mido.MidiTrack(), 500_000, 0.0
    for message in mido.merge_tracks(whole.tracks):
        passed += mido.tick2second(message.time, whole.ticks_per_beat, tempo)
        if passed >= seconds or message.type == "end_of_track":
            break
        if message.type == "set_tempo":
            tempo = message.tempo
        track.append(message)
    cut.tracks.append(track)
    written = io.BytesIO()
    cut.save(file=written)
    return written.getvalue()


def one_note(bank: int, program: int, key: int, seconds: float) -> bytes:
    """A MIDI file with one note of a soundfont's preset."""
    mido: Any = importlib.import_module("mido")
    file, track = mido.MidiFile(type=0, ticks_per_beat=480), mido.MidiTrack()
    track.append(mido.Message("control_change", control=0, value=bank))
    track.append(mido.Message("program_change", program=program))
    track.append(mido.Message("note_on", note=key, velocity=100))
    track.append(mido.Message("note_off", note=key, time=int(seconds * 960)))
    file.tracks.append(track)
    written = io.BytesIO()
    file.save(file=written)
    return written.getvalue()


@functools.cache
def font(package: debian.Package, file: str) -> bytes:
    """The soundfont `file` of a Debian package."""
    return debian.files(package, [file])[file]


def render(font: bytes, midi: bytes, rate: int) -> np.ndarray:
    """The sound of a MIDI file, mono floats (n,) at `rate`."""
    import soxr

    midirenderer: Any = importlib.import_module("midirenderer")
    sound, own_rate = soundfile.read(io.BytesIO(midirenderer.render_wave_from(font, midi)), always_2d=True)
    return soxr.resample(sound.mean(axis=1), own_rate, rate)
