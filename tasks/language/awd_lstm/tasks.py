"""AWD-LSTM on Penn Treebank, by the protocols of AdaRem and of its own authors."""

from __future__ import annotations

from typing import Any

import msgspec

from optathlon.tasks.language.metrics import BEST_BY_LOSS, LOSS, PERPLEXITY
from optathlon.tasks.language.settings import AwdLstmSettings
from optathlon.tasks.schedule import Constant, MultiStep
from optathlon.tasks.task import Protocol, Task

_PAPER = Protocol(
    length=100,
    batch=80,
    schedule=MultiStep(milestones=(50,)),
    clip_norm=0.25,
    watch=("validation",),
    select=BEST_BY_LOSS,
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
        metrics=(PERPLEXITY, LOSS),
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
        metrics=(PERPLEXITY, LOSS),
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
)
