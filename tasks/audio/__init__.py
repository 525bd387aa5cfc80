"""Audio: Harmonic CNNs on raw waveforms."""

from __future__ import annotations

import msgspec

from optathlon.tasks.schedule import Cosine
from optathlon.tasks.task import Metric, Protocol, Select, Task

DATASETS = {"speech-commands": "optathlon.tasks.audio.speech_commands.dataset:SpeechCommands"}

_PAPER = Protocol(
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


def _smaller(length: int, batch: int, **settings: int | float) -> Protocol:
    return msgspec.structs.replace(_PAPER, length=length, batch=batch, settings={**_PAPER.settings, **settings})


TASKS = (
    Task(
        name="speech-commands",
        benchmark="speech-commands",
        family="audio",
        summary=(
            "Keyword spotting: Harmonic CNN on Speech Commands v2. mini: 64 channels for 128, 500 training and 100"
            " evaluation clips a word, 15 epochs for 30. smoke: 16 channels without dropout, the first 10 words with 48"
            " training and 8 evaluation clips each, 5 epochs of batch 8."
        ),
        metrics=(Metric("accuracy", "%", higher_is_better=True), Metric("loss", "nats", higher_is_better=False)),
        protocols={
            "paper": _PAPER,
            "mini": _smaller(15, 16, channels=64, training_clips=500, evaluation_clips=100),
            "smoke": _smaller(5, 8, channels=16, dropout=0.0, words=10, training_clips=48, evaluation_clips=8),
        },
        workload="optathlon.tasks.audio.keyword_spotting:KeywordSpotting",
        check="optathlon.tasks.audio.settings:KeywordSpottingSettings.read",
        datasets=("speech-commands",),
        source="Heo et al. 2021 (AdamP), tables 4 and H.2, appendix E.5; Won et al. 2020",
        version=1,
    ),
)
