"""What language tasks are judged and selected by."""

from __future__ import annotations

from optathlon.tasks.task import Metric, Select

PERPLEXITY = Metric("perplexity", "", higher_is_better=False)
LOSS = Metric("loss", "nats/token", higher_is_better=False)
BEST_BY_LOSS = Select(metric="loss", higher_is_better=False)
