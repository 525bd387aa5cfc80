from __future__ import annotations

TASKS = ()
DATASETS: dict[str, str] = {}
