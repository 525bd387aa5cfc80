"""Language modeling: AWD-LSTM on Penn Treebank, Transformer-XL and a small Llama on WikiText-103."""

from __future__ import annotations

from optathlon.tasks.language.awd_lstm.tasks import TASKS as _AWD_LSTM
from optathlon.tasks.language.llama.tasks import TASKS as _LLAMA
from optathlon.tasks.language.transformer_xl.tasks import TASKS as _TRANSFORMER_XL

DATASETS = {
    "ptb": "optathlon.tasks.language.ptb.dataset:PennTreebank",
    "wikitext-103": "optathlon.tasks.language.wikitext103.dataset:WikiText103",
}
TASKS = (*_AWD_LSTM, *_TRANSFORMER_XL, *_LLAMA)
