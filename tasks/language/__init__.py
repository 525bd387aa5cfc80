"""Language modeling: AWD-LSTM on Penn Treebank, Transformer-XL on WikiText-103."""

from __future__ import annotations

from typing import Any

import msgspec

from optathlon.tasks.language.settings import AwdLstmSettings, LlamaSettings, TransformerXLSettings
from optathlon.tasks.schedule import Constant, Cosine, MultiStep
from optathlon.tasks.task import Metric, Protocol, Select, Task

DATASETS = {
    "ptb": "optathlon.tasks.language.ptb.dataset:PennTreebank",
    "wikitext-103": "optathlon.tasks.language.wikitext103.dataset:WikiText103",
}
_PERPLEXITY = Metric("perplexity", "", higher_is_better=False)
_LOSS = Metric("loss", "nats/token", higher_is_better=False)
_BEST_BY_LOSS = Select(metric="loss", higher_is_better=False)

_PAPER = Protocol(
    length=100,
    batch=80,
    schedule=MultiStep(milestones=(50,)),
    clip_norm=0.25,
    watch=("validation",),
    select=_BEST_BY_LOSS,
    checkpoint="best",
    holdout="published",
    settings=msgspec.to_builtins(AwdLstmSettings()),
)


_HALF = {"emsize": 200, "nhid": 575, "dropout": 0.2, "dropoute": 0.05, "wdrop": 0.25}
_SMALL = {
    "emsize": 64,
    "nhid": 128,
    "nlayers": 2,
    "dropout": 0.1,
    "dropouth": 0.1,
    "dropouti": 0.1,
    "dropoute": 0.05,
    "wdrop": 0.1,
    "bptt": 35,
    "test_batch": 10,
    "vocabulary": 2000,
    "train_tokens": 80_000,
    "evaluation_tokens": 20_000,
}


def _ptb(base: Protocol, **changes: Any) -> Protocol:
    settings = msgspec.to_builtins(AwdLstmSettings(**changes.pop("settings")))
    return msgspec.structs.replace(base, settings=settings, **changes)


_MERITY = msgspec.structs.replace(
    _PAPER,
    length=500,
    batch=20,
    schedule=Constant(),
    settings=msgspec.to_builtins(AwdLstmSettings(dropouti=0.4, dropouth=0.25)),
)


def _transformer_xl(length: int, batch: int, evaluate_every: int, **settings: Any) -> Protocol:
    return Protocol(
        length=length,
        unit="steps",
        batch=batch,
        schedule=Cosine(per="update"),
        clip_norm=0.25,
        evaluate_every=evaluate_every,
        watch=("validation",),
        select=_BEST_BY_LOSS,
        checkpoint="best",
        holdout="published",
        settings=msgspec.to_builtins(TransformerXLSettings(**settings)),
    )


def _llama(length: int, batch: int, warmup: int, evaluate_every: int, precision: Any, **settings: Any) -> Protocol:
    return Protocol(
        length=length,
        unit="steps",
        batch=batch,
        schedule=Cosine(per="update", warmup=warmup, floor=0.1),
        clip_norm=1.0,
        precision=precision,
        evaluate_every=evaluate_every,
        watch=("validation",),
        select=_BEST_BY_LOSS,
        holdout="published",
        settings=msgspec.to_builtins(LlamaSettings(**settings)),
    )


def _wikitext103(name: str, model: str, source: str, *, weight_norm: bool) -> Task:
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
        metrics=(_PERPLEXITY, Metric("perplexity_640", "", higher_is_better=False), _LOSS),
        protocols={
            "paper": _transformer_xl(200_000, 60, 4000, weight_norm=weight_norm),
            "mini": _transformer_xl(20_000, 60, 2000, weight_norm=weight_norm, **half),
            "smoke": _transformer_xl(600, 10, 200, weight_norm=weight_norm, **small, **short),
        },
        workload="optathlon.tasks.language.transformer_xl.workload:TransformerXLWorkload",
        check="optathlon.tasks.language.settings:TransformerXLSettings.read",
        references="optathlon.tasks.language.references:wikitext103",
        datasets=("wikitext-103",),
        source=source,
        version=1,
    )


TASKS = (
    Task(
        name="ptb-awd-lstm",
        benchmark="ptb",
        family="language",
        summary=(
            "Word-level language modeling: AWD-LSTM on Penn Treebank. mini: half the widths, half the dropout, 20"
            " epochs for 100. smoke: two layers 64 → 128 → 64, dropout 0.05 to 0.1, the 2,000 most frequent words, the"
            " first 80,000 training and 20,000 evaluation tokens, windows of 35 for 70, 10 streams for 80, 3 epochs."
        ),
        metrics=(_PERPLEXITY, _LOSS),
        protocols={
            "paper": _PAPER,
            "mini": _ptb(
                _PAPER,
                length=20,
                schedule=MultiStep(milestones=(10,)),
                settings=_HALF | {"dropouth": 0.15, "dropouti": 0.325},
            ),
            "smoke": _ptb(_PAPER, length=3, batch=10, schedule=MultiStep(milestones=(2,)), settings=_SMALL),
        },
        workload="optathlon.tasks.language.awd_lstm.workload:AwdLstm",
        check="optathlon.tasks.language.settings:AwdLstmSettings.read",
        references="optathlon.tasks.language.references:ptb",
        datasets=("ptb",),
        source="Liu et al. 2020 (AdaRem), table 3 and section 4.2; Merity et al. 2017 (AWD-LSTM), awd-lstm-lm main.py",
        version=1,
    ),
    Task(
        name="ptb-awd-lstm-merity",
        benchmark="ptb-merity",
        family="language",
        summary=(
            "Word-level language modeling: AWD-LSTM on Penn Treebank as its authors' README trains it, 500 epochs at a"
            " constant rate, for nt_asgd. mini: half the widths, half the dropout, 20 epochs. smoke: two layers 64 →"
            " 128 → 64, dropout 0.05 to 0.1, the 2,000 most frequent words, the first 80,000 training and 20,000"
            " evaluation tokens, windows of 35 for 70, 10 streams for 20, 3 epochs."
        ),
        metrics=(_PERPLEXITY, _LOSS),
        protocols={
            "paper": _MERITY,
            "mini": _ptb(_MERITY, length=20, settings=_HALF | {"dropouth": 0.125, "dropouti": 0.2}),
            "smoke": _ptb(_MERITY, length=3, batch=10, settings=_SMALL),
        },
        workload="optathlon.tasks.language.awd_lstm.workload:AwdLstm",
        check="optathlon.tasks.language.settings:AwdLstmSettings.read",
        references="optathlon.tasks.language.references:ptb",
        datasets=("ptb",),
        source="Merity et al. 2017 (AWD-LSTM), awd-lstm-lm README, 'Penn Treebank (PTB) with LSTM'",
        version=1,
    ),
    _wikitext103(
        "wikitext103-txl",
        "Transformer-XL",
        "Heo et al. 2021 (AdamP), section 4.5 and tables 5 and H.3; Dai et al. 2019, transformer-xl run_wt103_base.sh",
        weight_norm=False,
    ),
    _wikitext103(
        "wikitext103-txl-wn",
        "Transformer-XL with weight normalization",
        "Heo et al. 2021 (AdamP), section 4.5 and tables 5 and H.3; Dai et al. 2019; Salimans and Kingma 2016",
        weight_norm=True,
    ),
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
            _PERPLEXITY,
            Metric("loss", "nats/word", higher_is_better=False),
            Metric("bits_per_byte", "", higher_is_better=False),
        ),
        protocols={
            "paper": _llama(20_000, 64, 1000, 1000, "bf16"),
            "mini": _llama(
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
            "smoke": _llama(
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
