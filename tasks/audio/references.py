"""What trivial models score on the audio tasks: the references of their boards. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from optathlon.tasks.audio import recordings
from optathlon.tasks.audio.dcase2017.layout import EVENTS
from optathlon.tasks.audio.dcase2017.layout import NAME as DCASE2017
from optathlon.tasks.audio.mtat.layout import NAME as MTAT
from optathlon.tasks.audio.settings import (
    KeywordSpottingSettings,
    MusicTaggingSettings,
    SoundEventSettings,
    TaggingSettings,
)
from optathlon.tasks.audio.speech_commands import layout as speech_commands
from optathlon.tasks.data.dataset import require
from optathlon.tasks.data.places import folder_of
from optathlon.tasks.metrics.tagging import average_precision, f1_scores, roc_auc
from optathlon.tasks.registry import dataset
from optathlon.tasks.task import Protocol

SPLITS = ("validation", "test")
Scores = dict[str, dict[str, float]]


def mtat(protocol: Protocol, data: Path) -> Scores:
    """What the share of training clips with each tag scores as its probability in every clip."""
    truth = _truth(MTAT, MusicTaggingSettings.read(protocol), data)
    shares = truth["training"].mean(axis=0)

    def prior(actual: np.ndarray) -> dict[str, float]:
        same = np.broadcast_to(shares, actual.shape)
        return {
            "roc_auc": 100.0 * roc_auc(actual, same),
            "pr_auc": 100.0 * average_precision(actual, same),
            "loss": _entropy(actual, shares),
        }

    return _scores(truth, {"prior": prior})


def dcase2017(protocol: Protocol, data: Path) -> Scores:
    """What it scores to hear the most frequent event in every clip, all events in every clip, and those with a share
    of training above the threshold."""
    settings = SoundEventSettings.read(protocol)
    truth = _truth(DCASE2017, settings, data)
    shares = truth["training"].mean(axis=0)
    always = np.arange(len(shares)) == shares.argmax()
    models = {
        f"always {EVENTS[shares.argmax()]}": lambda actual: _f1(actual, always),
        "every event": lambda actual: _f1(actual, np.ones(len(shares), dtype=bool)),
        "prior": lambda actual: _f1(actual, shares > settings.threshold) | {"loss": _entropy(actual, shares)},
    }
    return _scores(truth, models)


def keyword_spotting(protocol: Protocol, data: Path) -> Scores:
    """What it scores to hear the most frequent word of training, with the words' shares as probabilities."""
    settings = KeywordSpottingSettings.read(protocol)
    require(dataset(speech_commands.NAME), data)
    words = {}
    for split, clips in recordings.read(folder_of(data, speech_commands.NAME)).splits.items():
        chosen = recordings.first_of_each_tag(clips, settings.words, settings.most(split))
        words[split] = np.array([clip.tags[0] for clip in chosen])
    shares = np.bincount(words["training"], minlength=settings.words) / len(words["training"])

    def majority(actual: np.ndarray) -> dict[str, float]:
        accuracy = 100.0 * float((actual == shares.argmax()).mean())
        return {"accuracy": accuracy, "loss": float(-np.log(shares[actual]).mean())}

    return _scores(words, {"majority": majority})


def _truth(name: str, settings: TaggingSettings, data: Path) -> dict[str, np.ndarray]:
    """Which tags each clip that `settings` leave has, bool (clips, tags), by split."""
    require(dataset(name), data)
    recorded = recordings.read(folder_of(data, name))
    return {
        split: recordings.truth(
            recordings.some(name, split, clips, settings.most(split)), min(settings.tags, len(recorded.tags))
        )
        for split, clips in recorded.splits.items()
    }


def _scores(truth: Mapping[str, np.ndarray], models: Mapping[str, Callable[[np.ndarray], dict[str, float]]]) -> Scores:
    return {
        model: {f"{split}/{metric}": value for split in SPLITS for metric, value in score(truth[split]).items()}
        for model, score in models.items()
    }


def _f1(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    scores = f1_scores(truth, np.broadcast_to(predicted, truth.shape))
    return {
        "f1": 100.0 * scores["samples"],
        "f1_micro": 100.0 * scores["micro"],
        "f1_macro": 100.0 * scores["macro"],
    }


def _entropy(truth: np.ndarray, shares: np.ndarray) -> float:
    """Mean binary cross-entropy in nats of `shares` as probabilities; none is nearer to 0 or 1 than half a clip."""
    least = 0.5 / max(len(truth), 1)
    kept = np.clip(shares, least, 1 - least)
    return float(-np.where(truth, np.log(kept), np.log1p(-kept)).mean())
