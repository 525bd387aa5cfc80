"""What is trained: data, model, loss, metric and the paper's protocol. Knows nothing of optimizers, runs or stores."""

from optathlon.tasks.errors import DataError, TaskError
from optathlon.tasks.registry import dataset, dataset_paths, is_built_in, names, require, task
from optathlon.tasks.task import SCALES, Metric, Protocol, Select, Task

__all__ = [
    "SCALES",
    "DataError",
    "Metric",
    "Protocol",
    "Select",
    "Task",
    "TaskError",
    "dataset",
    "dataset_paths",
    "is_built_in",
    "names",
    "require",
    "task",
]
