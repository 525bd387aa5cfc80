"""A small Llama on WikiText-103 in subwords, by a protocol of this suite."""

from __future__ import annotations

from typing import Any

import msgspec

from optathlon.tasks.language.metrics import BEST_BY_LOSS, PERPLEXITY
from optathlon.tasks.language.settings import LlamaSettings
from optathlon.tasks.schedule import Cosine
from optathlon.tasks.task import Metric, Protocol, Task


def _protocol(length: int, batch: int, warmup: int, evaluate_every: int, precision: Any, **settings: Any) -> Protocol:
    return Protocol(
        length=length,
        unit="steps",
        batch=batch,
        schedule=Cosine(per="update", warmup=warmup, floor=0.1),
        clip_norm=1.0,
        precision=precision,
        evaluate_every=evaluate_every,
        watch=("validation",),
        select=BEST_BY_LOSS,
        holdout="published",
        settings=msgspec.to_builtins(LlamaSettings(**settings)),
    )


TASKS = (
    Task(
        name="wikitext103-llama",
        benchmark="wikitext103-llama",
        family="language",
        summary=(
            "Language modeling with today's decoder: a Llama of 55 million weights (12 layers of width 512, rotary"
            " positions, gated layers, RMS normalization) over 32,000 subwords on WikiText-103, 20,000 updates of 64"
            " blocks of 512; scores are a word's. A protocol of this suite, not of a paper. mini: 6 layers of width 256"
            " over 8,000 subwords, blocks of 256, 5,000 updates. smoke: 2 layers of width 64 over at most 16,000"
            " subwords, weights from Normal(0, 0.05), blocks of 64, batch 4, 800 updates, the first 400,000 training"
            " and 20,000 evaluation words."
        ),
        metrics=(
            PERPLEXITY,
            Metric("loss", "nats/word", higher_is_better=False),
            Metric("bits_per_byte", "", higher_is_better=False),
        ),
        protocols={
            "paper": _protocol(20_000, 64, 1000, 1000, "bf16"),
            "mini": _protocol(
                5000,
                64,
                250,
                500,
                "bf16",
                layers=6,
                hidden=256,
                heads=4,
                intermediate=704,
                vocabulary=8000,
                context=256,
            ),
            "smoke": _protocol(
                800,
                4,
                20,
                400,
                "fp32",
                layers=2,
                hidden=64,
                heads=4,
                intermediate=176,
                vocabulary=16_000,
                context=64,
                initializer_range=0.05,
                train_tokens=400_000,
                evaluation_tokens=20_000,
            ),
        },
        workload="optathlon.tasks.language.llama.workload:LlamaWorkload",
        check="optathlon.tasks.language.settings:LlamaSettings.read",
        references="optathlon.tasks.language.references:wikitext103_in_subwords",
        datasets=("wikitext-103",),
        source="this suite; Touvron et al. 2023 (Llama); Merity et al. 2016 (WikiText-103)",
        version=1,
    ),
)
