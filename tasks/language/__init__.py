"""Language modeling: AWD-LSTM on Penn Treebank."""

from __future__ import annotations

from typing import Any

import msgspec

from tasks.language.settings import Settings
from tasks.schedule import MultiStep
from tasks.task import Metric, Protocol, Select, Task

DATASETS = {"ptb": "tasks.language.ptb:PennTreebank"}

_PAPER = Protocol(
    length=100,
    batch=80,
    schedule=MultiStep(milestones=(50,)),
    clip_norm=0.25,
    watch=("validation",),
    select=Select(metric="loss", higher_is_better=False),
    checkpoint="best",
    holdout="published",
    settings=msgspec.to_builtins(Settings()),
)


def _smaller(length: int, tenth_from: int, batch: int, **settings: Any) -> Protocol:
    return msgspec.structs.replace(
        _PAPER,
        length=length,
        batch=batch,
        schedule=MultiStep(milestones=(tenth_from,)),
        settings=msgspec.to_builtins(Settings(**settings)),
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
        metrics=(
            Metric("perplexity", "", higher_is_better=False),
            Metric("loss", "nats/token", higher_is_better=False),
        ),
        protocols={
            "paper": _PAPER,
            "mini": _smaller(
                length=20,
                tenth_from=10,
                batch=80,
                emsize=200,
                nhid=575,
                dropout=0.2,
                dropouth=0.15,
                dropouti=0.325,
                dropoute=0.05,
                wdrop=0.25,
            ),
            "smoke": _smaller(
                length=3,
                tenth_from=2,
                batch=10,
                emsize=64,
                nhid=128,
                nlayers=2,
                dropout=0.1,
                dropouth=0.1,
                dropouti=0.1,
                dropoute=0.05,
                wdrop=0.1,
                bptt=35,
                test_batch=10,
                vocabulary=2000,
                train_tokens=80_000,
                evaluation_tokens=20_000,
            ),
        },
        workload="tasks.language.workload:AwdLstm",
        check="tasks.language.settings:settings_of",
        datasets=("ptb",),
        source="Liu et al. 2020 (AdaRem), table 3 and section 4.2; Merity et al. 2017 (AWD-LSTM), awd-lstm-lm main.py",
        version=1,
    ),
)
