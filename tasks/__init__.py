"""What is trained: data, model, loss, metric and the paper's protocol. Knows nothing of optimizers, runs or stores."""

from tasks.errors import DataError, TaskError
from tasks.registry import dataset, dataset_paths, names, require, task
from tasks.task import SCALES, Metric, Protocol, Select, Task

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
    "names",
    "require",
    "task",
]
