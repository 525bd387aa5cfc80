"""The miniature of MagnaTagATune: short tunes whose tags one hears, which are instrument, tempo and drums."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from optathlon.tasks.audio.decoding import SAMPLE_RATE
from optathlon.tasks.audio.mtat.layout import ANNOTATIONS, AUDIO, FOLDERS, write_annotations
from optathlon.tasks.audio.writing import write_sound
from optathlon.tasks.randomness import generator

TAGS = ("flute", "harp", "synth", "drums", "fast", "slow", "weird")  # nothing is weird
INSTRUMENTS = ("flute", "harp", "synth")
PER_FOLDER = 4
SECONDS = 5.2
SCALE = np.array([0, 2, 4, 7, 9, 12])  # pentatonic, in semitones
NOTES_A_SECOND = {"fast": 6.0, "slow": 1.5}


def write(folder: Path) -> None:
    """Write 16 x 4 tunes, one more that no tag fits, and the table."""
    clips: dict[str, list[str]] = {}
    for number in range(len(FOLDERS) * PER_FOLDER):
        place, place_in_folder = FOLDERS[number // PER_FOLDER], number % PER_FOLDER
        tempo = ("fast", "slow")[place_in_folder % 2]
        tags = [INSTRUMENTS[number % 3], tempo, *(["drums"] if place_in_folder % 4 < 2 else [])]
        path = f"{place}/miniature-tune_{number:03d}-0-5.mp3"
        clips[path] = tags
        write_clip(folder / AUDIO / path, tune(tags, number))
    clips["0/miniature-silence-0-5.mp3"] = []
    write_clip(folder / AUDIO / "0/miniature-silence-0-5.mp3", np.zeros(SAMPLE_RATE))
    write_annotations(folder / ANNOTATIONS, TAGS, clips)


def tune(tags: list[str], number: int) -> np.ndarray:
    """A random melody as `tags` say, floats in -1..1 at 16 kHz."""
    random = generator("mtat miniature", number)
    rate = NOTES_A_SECOND["fast" if "fast" in tags else "slow"] * random.uniform(0.9, 1.1)
    sound = 0.002 * random.standard_normal(int(SECONDS * SAMPLE_RATE))
    instrument = next(tag for tag in tags if tag in INSTRUMENTS)
    base = random.uniform(200, 400)
    for index, begin in enumerate(np.arange(0, SECONDS, 1 / rate)):
        note = _note(instrument, base * 2 ** (random.choice(SCALE) / 12), 1 / rate)
        _add(sound, begin, 0.3 * note)
        if "drums" in tags and index % 2 == 0:
            _add(sound, begin, 0.4 * _hit(random))
    return sound


def _note(instrument: str, hertz: float, seconds: float) -> np.ndarray:
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * hertz * time
    if instrument == "flute":
        return np.sin(phase + 0.3 * np.sin(2 * np.pi * 5 * time)) * np.minimum(1, 20 * time)
    if instrument == "harp":
        return sum(np.sin(n * phase) / n for n in (1, 2, 3, 4)) * np.exp(-6 * time)
    return 0.5 * np.sign(np.sin(phase))


def _hit(random: np.random.Generator) -> np.ndarray:
    time = np.arange(int(0.12 * SAMPLE_RATE)) / SAMPLE_RATE
    return random.standard_normal(len(time)) * np.exp(-40 * time)


def _add(sound: np.ndarray, seconds: float, more: np.ndarray) -> None:
    start = int(seconds * SAMPLE_RATE)
    sound[start : start + len(more)] += more[: len(sound) - start]


def write_clip(path: Path, sound: np.ndarray) -> None:
    """Write floats in -1..1 as the official clips are: MP3, 16 kHz, mono."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sound(path, np.clip(sound, -1, 1), SAMPLE_RATE, "MP3")
