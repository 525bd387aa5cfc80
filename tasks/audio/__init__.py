"""Audio: Harmonic CNNs on raw waveforms, for music tagging, keyword spotting and sound events."""

from __future__ import annotations

from typing import Any

import msgspec

from optathlon.tasks.schedule import Cosine
from optathlon.tasks.task import Metric, Protocol, Select, Task

DATASETS = {
    "mtat": "optathlon.tasks.audio.mtat.dataset:MagnaTagATune",
    "speech-commands": "optathlon.tasks.audio.speech_commands.dataset:SpeechCommands",
    "dcase2017": "optathlon.tasks.audio.dcase2017.dataset:Dcase2017",
}

_KEYWORDS = Protocol(
    length=30,
    batch=16,
    schedule=Cosine(),
    watch=("validation",),
    select=Select(metric="loss", higher_is_better=False),
    checkpoint="best",
    holdout="published",
    settings={
        "channels": 128,
        "input_length": 16_384,
        "n_fft": 512,
        "dropout": 0.5,
        "words": 35,
        "training_clips": 0,
        "evaluation_clips": 0,
        "evaluation_batch": 128,
    },
)
_TAGS: dict[str, Any] = {
    "channels": 128,
    "input_length": 80_000,
    "n_fft": 512,
    "dropout": 0.5,
    "windows": 16,
    "training_clips": 0,
    "evaluation_clips": 0,
    "evaluation_batch": 8,
}
_MUSIC = msgspec.structs.replace(_KEYWORDS, length=100, settings=_TAGS | {"tags": 50})
_EVENTS = msgspec.structs.replace(
    _KEYWORDS,
    select=Select(metric="f1", higher_is_better=True, start=12),
    settings=_TAGS | {"tags": 17, "threshold": 0.1},
)


def _smaller(paper: Protocol, length: int, batch: int, **settings: int | float) -> Protocol:
    return msgspec.structs.replace(paper, length=length, batch=batch, settings={**paper.settings, **settings})


_LOSS = Metric("loss", "nats", higher_is_better=False)
_AUTHORS = "Heo et al. 2021 (AdamP), tables 4 and H.2, appendix E.5; Won et al. 2020"

TASKS = (
    Task(
        name="mtat",
        benchmark="mtat",
        family="audio",
        summary=(
            "Music tagging: Harmonic CNN on MagnaTagATune's 50 most frequent tags. mini: 64 channels for 128, 4,000"
            " training and 1,000 evaluation clips, 4 windows for 16, 15 epochs for 100. smoke: 8 channels without"
            " dropout, 6 tags, windows of 2.3 seconds at n_fft 256, 2 of them for 16, 72 training clips, 6 epochs of"
            " batch 8."
        ),
        metrics=(
            Metric("roc_auc", "%", higher_is_better=True),
            Metric("pr_auc", "%", higher_is_better=True),
            _LOSS,
        ),
        protocols={
            "paper": _MUSIC,
            "mini": _smaller(_MUSIC, 15, 16, channels=64, windows=4, training_clips=4_000, evaluation_clips=1_000),
            "smoke": _smaller(
                _MUSIC,
                6,
                8,
                channels=8,
                input_length=36_864,
                n_fft=256,
                dropout=0.0,
                tags=6,
                windows=2,
                training_clips=72,
                evaluation_clips=200,
                evaluation_batch=16,
            ),
        },
        workload="optathlon.tasks.audio.tagging:MusicTagging",
        check="optathlon.tasks.audio.settings:MusicTaggingSettings.read",
        ready="optathlon.tasks.audio.published_splits:mtat",
        references="optathlon.tasks.audio.references:mtat",
        datasets=("mtat",),
        source=f"{_AUTHORS}; also table 1",
        version=1,
    ),
    Task(
        name="speech-commands",
        benchmark="speech-commands",
        family="audio",
        summary=(
            "Keyword spotting: Harmonic CNN on Speech Commands v2. mini: 64 channels for 128, 500 training and 100"
            " evaluation clips a word, 15 epochs for 30. smoke: 16 channels without dropout, the first 10 words with 48"
            " training and 8 evaluation clips each, 5 epochs of batch 8."
        ),
        metrics=(Metric("accuracy", "%", higher_is_better=True), _LOSS),
        protocols={
            "paper": _KEYWORDS,
            "mini": _smaller(_KEYWORDS, 15, 16, channels=64, training_clips=500, evaluation_clips=100),
            "smoke": _smaller(
                _KEYWORDS, 5, 8, channels=16, dropout=0.0, words=10, training_clips=48, evaluation_clips=8
            ),
        },
        workload="optathlon.tasks.audio.keyword_spotting:KeywordSpotting",
        check="optathlon.tasks.audio.settings:KeywordSpottingSettings.read",
        ready="optathlon.tasks.audio.published_splits:speech_commands",
        references="optathlon.tasks.audio.references:keyword_spotting",
        datasets=("speech-commands",),
        source=_AUTHORS,
        version=1,
    ),
    Task(
        name="dcase2017",
        benchmark="dcase2017",
        family="audio",
        summary=(
            "Sound events: Harmonic CNN on the 17 events of DCASE 2017 task 4. mini: 64 channels for 128, 4,000"
            " training and 1,000 evaluation clips, 4 windows for 16, 15 epochs for 30. smoke: 8 channels without"
            " dropout, windows of 1 second at n_fft 256, 2 of them for 16, 104 training and 100 evaluation clips, 8"
            " epochs of batch 8, selection from the first."
        ),
        metrics=(
            Metric("f1", "%", higher_is_better=True),
            Metric("f1_micro", "%", higher_is_better=True),
            Metric("f1_macro", "%", higher_is_better=True),
            _LOSS,
        ),
        protocols={
            "paper": _EVENTS,
            "mini": _smaller(_EVENTS, 15, 16, channels=64, windows=4, training_clips=4_000, evaluation_clips=1_000),
            "smoke": _smaller(
                msgspec.structs.replace(_EVENTS, select=Select(metric="f1", higher_is_better=True)),
                8,
                8,
                channels=8,
                input_length=16_384,
                n_fft=256,
                dropout=0.0,
                windows=2,
                training_clips=104,
                evaluation_clips=100,
                evaluation_batch=16,
            ),
        },
        workload="optathlon.tasks.audio.tagging:SoundEvents",
        check="optathlon.tasks.audio.settings:SoundEventSettings.read",
        ready="optathlon.tasks.audio.published_splits:dcase2017",
        references="optathlon.tasks.audio.references:dcase2017",
        datasets=("dcase2017",),
        source=_AUTHORS,
        version=1,
    ),
)
