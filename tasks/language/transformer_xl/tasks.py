"""Transformer-XL on WikiText-103, with and without weight normalization, by AdamP's protocol."""

from __future__ import annotations

from typing import Any

import msgspec

from optathlon.tasks.language.metrics import BEST_BY_LOSS, LOSS, PERPLEXITY
from optathlon.tasks.language.settings import TransformerXLSettings
from optathlon.tasks.schedule import Cosine
from optathlon.tasks.task import Metric, Protocol, Task


def _protocol(length: int, batch: int, evaluate_every: int, **settings: Any) -> Protocol:
    return Protocol(
        length=length,
        unit="steps",
        batch=batch,
        schedule=Cosine(per="update"),
        clip_norm=0.25,
        evaluate_every=evaluate_every,
        watch=("validation",),
        select=BEST_BY_LOSS,
        checkpoint="best",
        holdout="published",
        settings=msgspec.to_builtins(TransformerXLSettings(**settings)),
    )


def _task(name: str, model: str, source: str, *, weight_norm: bool) -> Task:
    half = {"n_layer": 8, "d_model": 200, "n_head": 5, "d_head": 40, "d_inner": 1000}
    small = {"n_layer": 3, "d_model": 64, "n_head": 4, "d_head": 16, "d_inner": 128, "dropout": 0.0}
    short = {"tgt_len": 32, "mem_len": 32, "cutoffs": [500, 2000], "train_tokens": 200_000, "evaluation_tokens": 20_000}
    return Task(
        name=name,
        benchmark="wikitext-103",
        family="language",
        summary=(
            f"Word-level language modeling: {model} on WikiText-103. mini: 8 layers for 16, about half the widths,"
            " 20,000 updates for 200,000. smoke: 3 layers of width 64 without dropout, softmax clusters from ranks 500"
            " and 2,000, the first 200,000 training and 20,000 evaluation tokens, segments and memory of 32 for 150, 10"
            " streams for 60, 600 updates."
        ),
        metrics=(PERPLEXITY, Metric("perplexity_640", "", higher_is_better=False), LOSS),
        protocols={
            "paper": _protocol(200_000, 60, 4000, weight_norm=weight_norm),
            "mini": _protocol(20_000, 60, 2000, weight_norm=weight_norm, **half),
            "smoke": _protocol(600, 10, 200, weight_norm=weight_norm, **small, **short),
        },
        workload="optathlon.tasks.language.transformer_xl.workload:TransformerXLWorkload",
        check="optathlon.tasks.language.settings:TransformerXLSettings.read",
        references="optathlon.tasks.language.references:wikitext103",
        datasets=("wikitext-103",),
        source=source,
        version=1,
    )


TASKS = (
    _task(
        "wikitext103-txl",
        "Transformer-XL",
        "Heo et al. 2021 (AdamP), section 4.5 and tables 5 and H.3; Dai et al. 2019, transformer-xl run_wt103_base.sh",
        weight_norm=False,
    ),
    _task(
        "wikitext103-txl-wn",
        "Transformer-XL with weight normalization",
        "Heo et al. 2021 (AdamP), section 4.5 and tables 5 and H.3; Dai et al. 2019; Salimans and Kingma 2016",
        weight_norm=True,
    ),
)
