"""The miniature of DCASE 2017 task 4: each event has a pitch and a way to sound, and clips hold one or two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from optathlon.tasks.audio.dcase2017.layout import EVENTS, PARTS, SAMPLE_RATE, file_name, write_clip, write_table
from optathlon.tasks.randomness import generator

PER_EVENT = {"training": 6, "testing": 1, "evaluation": 2}
SECONDS, SHORT = 2.2, 1.0
LOWEST_HZ, OCTAVES = 160.0, 4.0
BEATS_A_SECOND = 6

Sound = Callable[[np.ndarray, float], np.ndarray]  # seconds (n,), hertz -> floats in -1..1
WAYS: tuple[Sound, ...] = (
    lambda time, hertz: np.sin(2 * np.pi * hertz * time),
    lambda time, hertz: np.sin(2 * np.pi * hertz * time + 20 * np.sin(2 * np.pi * 3 * time)),
    lambda time, hertz: np.sin(2 * np.pi * hertz * time) * (BEATS_A_SECOND * time % 1 < 0.5),
    lambda time, hertz: 0.5 * np.sign(np.sin(2 * np.pi * hertz * time)),
)


def write(folder: Path) -> None:
    """Write 17 x 9 clips, every third with a second event and every fifth short, and the three tables, of which the
    evaluation set's has carriage returns as the official one has."""
    for part, count in PER_EVENT.items():
        events: dict[str, list[str]] = {}
        for number in range(len(EVENTS) * count):
            chosen = [number % len(EVENTS)]
            if number % 3 == 0:
                chosen.append((number * 7 + 5) % len(EVENTS))
            file = file_name(f"dcase2017 {part} {number}")
            events[file] = [EVENTS[event] for event in chosen]
            sound = clip(chosen, SHORT if number % 5 == 4 else SECONDS, f"{part} {number}")
            write_clip(folder / PARTS[part].folder / f"Y{file}", sound)
        write_table(folder / PARTS[part].table, events, "\r\n" if part == "evaluation" else "\n")


def clip(events: list[int], seconds: float, name: str) -> np.ndarray:
    """The sum of `events`, each at a level of its own, over faint noise."""
    random = generator("dcase2017 miniature", name)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = 0.003 * random.standard_normal(len(time))
    for event in events:
        hertz = LOWEST_HZ * 2 ** (OCTAVES * event / len(EVENTS)) * random.uniform(0.99, 1.01)
        sound += random.uniform(0.15, 0.3) * WAYS[event % len(WAYS)](time, hertz)
    return sound
