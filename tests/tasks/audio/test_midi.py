"""Tags of the stand-in are read off the notes, and its sounds are those of its tunes."""

from __future__ import annotations

import importlib.util
import io

import numpy as np
import pytest

from optathlon.tasks.audio import midi
from optathlon.tasks.audio.dcase2017 import standin as dcase2017
from optathlon.tasks.audio.dcase2017.layout import EVENTS, SAMPLE_RATE
from optathlon.tasks.audio.midi import Note
from optathlon.tasks.audio.mtat import standin
from optathlon.tasks.audio.mtat.layout import FOLDERS, SPLITS

needs_mido = pytest.mark.skipif(importlib.util.find_spec("mido") is None, reason="needs the package mido")


def played(program: int | None, count: int, seconds: float = 29.0) -> list[Note]:
    return [Note(seconds * n / count, program, 60) for n in range(count)]


def test_instruments_with_four_notes_are_tags():
    assert standin.tags_of([*played(0, 200), *played(40, 4), *played(73, 3)]) >= {"piano", "violin", "strings"}
    assert "flute" not in standin.tags_of([*played(0, 200), *played(73, 3)])


def test_drums_tempo_and_solo_are_told():
    assert standin.tags_of(played(24, 30)) == {"guitar", "no drums", "solo", "slow"}
    assert standin.tags_of([*played(24, 300), *played(None, 100)]) == {"guitar", "drums", "solo", "fast"}
    assert standin.tags_of([*played(24, 200), *played(32, 200)]) == {"guitar", "bass", "no drums"}


def test_tags_that_a_split_has_in_all_or_none_of_its_clips_are_left_out():
    clips = {"0/a": {"x", "y"}, "1/b": {"z"}, "c/c": {"x", "z"}, "c/d": {"y", "z"}, "d/e": {"x", "y"}, "e/f": {"z"}}
    assert standin._with_both(clips) == ["x", "y"]


def test_tunes_are_dealt_to_every_folder_and_more_to_validation():
    assert set(standin.CYCLE) == set(FOLDERS)
    dealt = [SPLITS[folder] for folder in standin.CYCLE]
    assert (dealt.count("training"), dealt.count("validation"), dealt.count("test")) == (12, 3, 3)


def test_what_the_evaluation_set_of_events_hears_no_other_hears():
    assert set(dcase2017.SOUNDS) <= set(EVENTS)
    for heard, evaluated in dcase2017.SOUNDS.values():
        assert heard
        assert evaluated
        assert not set(heard) & set(evaluated)
    assert set(dcase2017.CLIPS) == {"training", "testing", "evaluation"}


@needs_mido
def test_notes_have_their_programs_and_a_beginning_ends_in_time():
    import mido

    file, track = mido.MidiFile(ticks_per_beat=480), mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=1_000_000))
    track.append(mido.Message("program_change", program=73, channel=2))
    for _ in range(6):
        track.append(mido.Message("note_on", note=60, velocity=80, channel=2, time=0))
        track.append(mido.Message("note_on", note=35, velocity=80, channel=9, time=0))
        track.append(mido.Message("note_on", note=60, velocity=0, channel=2, time=480))
    file.tracks.append(track)
    written = io.BytesIO()
    file.save(file=written)
    found = midi.notes(written.getvalue())
    assert found == [note for n in range(6) for note in (Note(float(n), 73, 60), Note(float(n), None, 35))]
    assert midi.notes(midi.beginning(written.getvalue(), 3.0)) == found[:6]


@needs_mido
def test_a_note_of_a_bank_is_one():
    assert midi.notes(midi.one_note(5, 125, 61, 1.5)) == [Note(0.0, 125, 61)]


def test_lumps_of_a_wad_are_read():
    import struct

    content = b"IWAD" + struct.pack("<II", 2, 12 + 7) + b"MThdabc"
    content += struct.pack("<II8s", 12, 7, b"D_E1M1") + struct.pack("<II8s", 12, 4, b"DSPISTOL")
    assert standin._lumps(content) == [("d_e1m1", b"MThdabc"), ("dspistol", b"MThd")]


@pytest.mark.slow
@pytest.mark.skipif(
    not (midi.debian.cache() / midi.EFFECTS_FONT.file).is_file() or importlib.util.find_spec("midirenderer") is None,
    reason="needs midirenderer, and a stand-in built here before",
)
def test_another_key_of_the_soundfont_is_another_sound():
    font = midi.font(midi.EFFECTS_FONT, midi.EFFECTS_FONT_FILE)
    low, high = (midi.render(font, midi.one_note(5, 125, key, 1.0), SAMPLE_RATE)[:30_000] for key in (56, 68))
    assert np.abs(low).max() > 0.01
    assert np.abs(high).max() > 0.01
    assert np.corrcoef(low, high)[0, 1] < 0.5
