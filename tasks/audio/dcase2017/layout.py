"""DCASE 2017 task 4 as its organizers distribute it: weak labels in three tables, and folders of WAV files."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from optathlon.tasks.audio.recordings import Listed
from optathlon.tasks.audio.writing import write_sound
from optathlon.tasks.data.text import read_text
from optathlon.tasks.errors import DataError, did_you_mean

NAME = "dcase2017"
SAMPLE_RATE = 44_100

EVENTS = (
    "Train horn",
    "Air horn, truck horn",
    "Car alarm",
    "Reversing beeps",
    "Ambulance (siren)",
    "Police car (siren)",
    "Fire engine, fire truck (siren)",
    "Civil defense siren",
    "Screaming",
    "Bicycle",
    "Skateboard",
    "Car",
    "Car passing by",
    "Bus",
    "Truck",
    "Motorcycle",
    "Train",
)


class Part(NamedTuple):
    """One of the three parts that the organizers distribute."""

    table: str
    table_md5: str
    folder: str
    archive: str


PARTS = {
    "training": Part(
        "groundtruth_weak_label_training_set.csv",
        "1a98a76221fa5b5a85aaee9dbf02a2bf",
        "unbalanced_train_segments_training_set_audio_formatted_and_segmented_downloads",
        "Task_4_DCASE_2017_training_set.zip",
    ),
    "testing": Part(
        "groundtruth_weak_label_testing_set.csv",
        "b742b4d6517c82595e09a65d470ff811",
        "unbalanced_train_segments_testing_set_audio_formatted_and_segmented_downloads",
        "Task_4_DCASE_2017_testing_set.zip",
    ),
    "evaluation": Part(
        "groundtruth_weak_label_evaluation_set.csv",
        "01b503f8915fdcbc73da46950e35b74e",
        "evaluation_set_formatted_audio_segments",
        "DCASE_2017_evaluation_set_audio_files.zip",
    ),
}

COUNTS = {"training": 46_042, "validation": 5_618, "test": 1_103}
FINGERPRINTS = {
    "training": "966ae8ff8b3101d34234d8e717fee9e2",
    "validation": "599903ddccbea7b1da07fa47970a19b2",
    "test": "2b5bc3480fec03da30adea035e6dd5b7",
}
HELD_OUT, SPLIT_SEED = 0.1, 123

RELEASE = "groundtruth_release"
"""The folder of the tables in the organizers' repository."""
PASSWORDS = "the README of https://github.com/tae-jun/sampleaudio prints the passwords"


class Row(NamedTuple):
    """A line of a table: a file, without the Y that its name on disk begins with, and the number of an event in it."""

    file: str
    event: int


def read_table(path: Path) -> list[Row]:
    """The lines of a table: file, start, end and event, separated by tabs, without a header, with any line ends;
    DataError names the line."""
    try:
        lines = read_text(path, "lines of file, start, end, event").split("\n")
    except DataError as error:
        raise DataError(f"{NAME}: {error}") from None
    rows = [_row(f"{NAME}: {path}, line {number}", line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise DataError(f"{NAME}: {path} is empty; expected lines of file, start, end, event")
    return rows


def _row(place: str, line: str) -> Row:
    fields = [field.strip() for field in line.split("\t")]
    if len(fields) != 4:
        raise DataError(f"{place}: has {len(fields)} columns, expected file, start, end, event, separated by tabs")
    file, _, _, event = fields
    if not file.endswith(".wav") or "/" in file or "\\" in file:
        raise DataError(f"{place}: {file[:80]!r} is not the name of a WAV file")
    if event not in EVENTS:
        raise DataError(f"{place}: unknown event {event[:80]!r}{did_you_mean(event, EVENTS)}")
    return Row(file, EVENTS.index(event))


def held_out(rows: Sequence[Row]) -> set[str]:
    """The files of the validation split among the `rows` of training and testing: of each event a tenth of its rows,
    drawn as pandas' `sample(frac=0.1, random_state=123)` draws them."""
    chosen: set[str] = set()
    for event in range(len(EVENTS)):
        files = [row.file for row in rows if row.event == event]
        drawn = np.random.RandomState(SPLIT_SEED).choice(len(files), round(HELD_OUT * len(files)), replace=False)
        chosen.update(files[index] for index in drawn)
    return chosen


def split(tables: Mapping[str, Sequence[Row]], places: Mapping[str, str]) -> dict[str, list[Listed]]:
    """The clips of training, validation and test by the `tables` of PARTS, in their order, with paths below the data
    set's folder, where each part's folder has the place that `places` says. DataError if development and evaluation
    share a file."""
    development = [*tables["training"], *tables["testing"]]
    if shared := {row.file for row in development} & {row.file for row in tables["evaluation"]}:
        raise DataError(f"{NAME}: {min(shared)} is in the evaluation set and in another; expected the official tables")
    folder = {row.file: PARTS[part].folder for part in ("testing", "training", "evaluation") for row in tables[part]}
    events: dict[str, set[int]] = {}
    for row in (*development, *tables["evaluation"]):
        events.setdefault(row.file, set()).add(row.event)
    validation = held_out(development)
    splits: dict[str, list[Listed]] = {name: [] for name in COUNTS}
    for file, of_file in events.items():
        name = "validation" if file in validation else "training"
        name = "test" if folder[file] == PARTS["evaluation"].folder else name
        splits[name].append(Listed(f"{places[folder[file]]}/Y{file}", tuple(sorted(of_file))))
    return splits


def fingerprint(paths: Iterable[str]) -> str:
    """The MD5 of the names of a split's files as the tables have them, sorted and joined by newlines."""
    names = sorted(Path(path).name.removeprefix("Y") for path in paths)
    return hashlib.md5("\n".join(names).encode()).hexdigest()


def file_name(seed: str) -> str:
    """A name such as the official ones, a function of `seed`: eleven letters as YouTube has them, start and end."""
    letters = base64.urlsafe_b64encode(hashlib.sha1(seed.encode()).digest()).decode()[:11]
    return f"{letters}_0.000_10.000.wav"


def write_table(path: Path, events: Mapping[str, Sequence[str]], line_end: str = "\n") -> None:
    """Write a table of the names of the `events` of each file, ordered by event as the official ones are."""
    lines = [
        f"{file}\t0.000\t10.000\t{event}{line_end}"
        for event in EVENTS
        for file, of_file in events.items()
        if event in of_file
    ]
    path.write_text("".join(lines), encoding="utf-8", newline="")


def write_clip(path: Path, sound: np.ndarray) -> None:
    """Write floats in -1..1 as the official clips are: 44.1 kHz, mono, 16-bit PCM."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sound(path, np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16), SAMPLE_RATE, "WAV")
