"""A protocol that cannot run is refused before anything is written: exit code 2, one line that names the field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from optathlon import tasks
from optathlon.suite.main import main

EVERY_FAMILY = ("speech-commands", "biased-mnist-0.990", "ptb-awd-lstm", "wikitext103-txl", "wikitext103-llama",
                "cub-proxyanchor")  # fmt: skip

ANYWHERE: list[tuple[str, Any, str]] = [
    ("length", 0, "length"),
    ("length", 1.5, "length"),
    ("length", True, "length"),
    ("unit", "updates", "unit"),
    ("batch", -1, "batch"),
    ("batch", "8", "batch"),
    ("micro_batch", 0, "micro_batch"),
    ("micro_batch", 7, "micro_batch"),
    ("micro_batch", 10**6, "micro_batch"),
    ("schedule.kind", "cosin", "schedule.kind"),
    ("schedule", {"kind": "step", "every": 0}, "schedule.every"),
    ("schedule", {"kind": "step", "every": 2, "gamma": -0.1}, "schedule.gamma"),
    ("schedule", {"kind": "cosine", "floor": -1.0}, "schedule.floor"),
    ("schedule", {"kind": "cosine", "warmup": -1.0}, "schedule.warmup"),
    ("schedule", {"kind": "cosine", "per": "step"}, "schedule.per"),
    ("schedule", {"kind": "multistep", "milestones": [4, 2]}, "milestones"),
    ("schedule", {"kind": "piecewise", "milestones": [2], "factors": [1.0]}, "piecewise"),
    ("clip_norm", 0.0, "clip_norm"),
    ("clip_value", float("nan"), "clip_value"),
    ("clip_norm", float("inf"), "clip_norm"),
    ("precision", "fp64", "precision"),
    ("ema", 1.0, "ema"),
    ("ema", float("nan"), "ema"),
    ("evaluate_every", 0, "evaluate_every"),
    ("watch", ["train"], "watch"),
    ("watch", "test", "watch"),
    ("watch", ["test", "test"], "watch"),
    ("select", {"metric": "acuracy", "higher_is_better": True}, "select.metric"),
    ("checkpoint", "newest", "checkpoint"),
    ("restore_best_at", [0], "restore_best_at"),
    ("restore_best_at", ["end"], "restore_best_at"),
    ("holdout", "official", "holdout"),
    ("tags", {"nrm.lr_scale": 2.0}, "nrm.lr_scale"),
    ("tags", {"norm.lr_scale": "high"}, "norm.lr_scale"),
    ("settings.no_such_setting", 1, "settings.no_such_setting"),
    ("no_such_field", 1, "no_such_field"),
]  # fmt: skip
"""What no family can run: field, value, and the field that the message names."""

OF_A_FAMILY: list[tuple[str, str, Any, str]] = [
    ("speech-commands", "settings.dropout", 2.0, "settings.dropout"),
    ("speech-commands", "settings.dropout", -0.1, "settings.dropout"),
    ("speech-commands", "settings.dropout", float("nan"), "settings.dropout"),
    ("speech-commands", "settings.words", 999, "settings.words"),
    ("speech-commands", "settings.words", 1, "settings.words"),
    ("speech-commands", "settings.channels", 0, "settings.channels"),
    ("speech-commands", "settings.channels", "many", "settings.channels"),
    ("speech-commands", "settings.n_fft", 1, "settings.n_fft"),
    ("speech-commands", "settings.n_fft", 2**40, "settings.n_fft"),
    ("speech-commands", "settings.n_fft", 2**20, "settings.input_length"),
    ("speech-commands", "settings.input_length", 1000, "settings.input_length"),
    ("speech-commands", "settings.training_clips", -1, "settings.training_clips"),
    ("speech-commands", "settings.evaluation_batch", 0, "settings.evaluation_batch"),
    ("speech-commands", "micro_batch", 1, "micro_batch"),
    ("speech-commands", "batch", 1, "batch"),
    ("speech-commands", "batch", 4096, "batch"),
    ("speech-commands", "holdout", "carved", "holdout"),
    ("speech-commands", "holdout", "none", "holdout"),
    ("speech-commands", "select.higher_is_better", True, "select.higher_is_better"),
    ("speech-commands", "select.start", 10**9, "select.start"),
    ("speech-commands", "select.start", -1, "select.start"),
    ("cifar10-l2", "settings.stem", 3, "settings.stem"),
    ("mtat", "settings.evaluation_clips", 1, "settings.evaluation_clips"),
    ("biased-mnist-0.990", "micro_batch", 2, "micro_batch"),
    ("biased-mnist-0.990", "batch", 3, "batch"),
    ("biased-mnist-0.990", "holdout", "published", "holdout"),
    ("biased-mnist-0.990", "watch", ["validation"], "holdout"),
    ("biased-mnist-0.990", "checkpoint", "best", "holdout"),
    ("biased-mnist-0.990", "settings.rho", 1.5, "settings.rho"),
    ("biased-mnist-0.990", "settings.lambda_f", -1.0, "settings.lambda_f"),
    ("biased-mnist-0.990", "settings.sigma", 0.0, "settings.sigma"),
    ("biased-mnist-0.990", "settings.channels", [], "settings.channels"),
    ("biased-mnist-0.990", "settings.channels", [8, 0], "settings.channels[1]"),
    ("biased-mnist-0.990", "settings.channels", [8, 1.5], "settings.channels[1]"),
    ("biased-mnist-0.990", "settings.channels", ["8"], "settings.channels[0]"),
    ("biased-mnist-0.990", "settings.kernel_f", 6, "settings.kernel_f"),
    ("biased-mnist-0.990", "settings.kernel_g", 0, "settings.kernel_g"),
    ("biased-mnist-0.990", "settings.train_images", 3, "settings.train_images"),
    ("biased-mnist-0.990", "settings.block", 29, "settings.block"),
    ("ptb-awd-lstm", "holdout", "carved", "holdout"),
    ("ptb-awd-lstm", "settings.dropouti", 1.0, "settings.dropouti"),
    ("ptb-awd-lstm", "settings.bptt_min", 1, "settings.bptt_min"),
    ("ptb-awd-lstm", "settings.bptt_full", 2.0, "settings.bptt_full"),
    ("ptb-awd-lstm", "settings.bptt_std", -1.0, "settings.bptt_std"),
    ("ptb-awd-lstm", "settings.vocabulary", 1, "settings.vocabulary"),
    ("ptb-awd-lstm", "settings.train_tokens", 20, "batch"),
    ("ptb-awd-lstm", "settings.evaluation_tokens", 5, "settings.validation_batch"),
    ("ptb-awd-lstm", "settings.test_batch", 10_000, "settings.test_batch"),
    ("ptb-awd-lstm", "batch", 40_000, "batch"),
    ("wikitext103-txl", "holdout", "carved", "holdout"),
    ("wikitext103-txl", "restore_best_at", [2], "restore_best_at"),
    ("wikitext103-txl", "settings.d_model", 41, "settings.d_model"),
    ("wikitext103-txl", "settings.cutoffs", [40, 20], "settings.cutoffs"),
    ("wikitext103-txl", "settings.cutoffs", [0], "settings.cutoffs[0]"),
    ("wikitext103-txl", "settings.weight_norm", 1, "settings.weight_norm"),
    ("wikitext103-txl", "settings.mem_len", -1, "settings.mem_len"),
    ("wikitext103-txl", "settings.evaluation_batch", 15_000, "settings.evaluation_batch"),
    ("wikitext103-llama", "holdout", "carved", "holdout"),
    ("wikitext103-llama", "settings.heads", 5, "settings.hidden"),
    ("wikitext103-llama", "settings.vocabulary", 256, "settings.vocabulary"),
    ("wikitext103-llama", "settings.initializer_range", 0.0, "settings.initializer_range"),
    ("wikitext103-llama", "settings.initializer_range", 1.5, "settings.initializer_range"),
    ("wikitext103-llama", "settings.context", 0, "settings.context"),
    ("cub-proxyanchor", "holdout", "published", "holdout"),
    ("cub-proxyanchor", "micro_batch", 1, "micro_batch"),
    ("cub-proxyanchor", "settings.loss", "softmax", "settings.loss"),
    ("cub-proxyanchor", "settings.backbone", "resnet18", "settings.backbone"),
    ("cub-proxyanchor", "settings.channels", [], "settings.channels"),
    ("cub-proxyanchor", "settings.channels", [8] * 6, "settings.crop"),
    ("cub-proxyanchor", "settings.crop", 64, "settings.crop"),
    ("cub-proxyanchor", "settings.smallest_crop", 0.0, "settings.smallest_crop"),
    ("cub-proxyanchor", "settings.smallest_crop", 1.5, "settings.smallest_crop"),
    ("cub-proxyanchor", "settings.margin", -0.1, "settings.margin"),
    ("cub-proxyanchor", "settings.alpha", 0.0, "settings.alpha"),
    ("cub-proxyanchor", "settings.warmup", -1, "settings.warmup"),
    ("cub-proxyanchor", "settings.training_classes", 1, "settings.training_classes"),
    ("cub-proxyanchor", "settings.evaluation_classes", 1, "settings.evaluation_classes"),
    ("cub-proxyanchor", "watch", ["validation"], "holdout"),
]  # fmt: skip

BAD = [(task, *row) for task in EVERY_FAMILY for row in ANYWHERE] + OF_A_FAMILY


def test_every_built_in_task_has_a_check_and_its_own_protocols_pass_it():
    for name in tasks.names():
        task = tasks.task(name)
        assert task.check, f"{name} has no Task.check"
        for protocol in task.protocols.values():
            tasks.registry.check(task, protocol)
            tasks.registry.check(task, protocol.with_validation())


def toml(value: Any) -> str:
    """`value` as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {toml(item)}' for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value) if isinstance(value, float) else json.dumps(value)


@pytest.mark.parametrize(("task", "field", "value", "named"), BAD, ids=lambda value: toml(value))
def test_plan_and_run_refuse_it_by_name(task, field, value, named, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep = f'name = "bad"\nscale = "smoke"\ntasks = ["{task}"]\nseeds = [0]\nprotocol.{field} = {toml(value)}\n'
    Path("bad.toml").write_text(f"{sweep}[[optimizer]]\nname = 'adamw'\nfixed.lr = 1e-3\n")
    words = f"protocol.{field}={toml(value)}"
    for command in (["plan", "bad.toml"], ["run", task, "adamw", "lr=1e-3", words, "--scale", "smoke"]):
        assert main([*command, "--store", "store", "--data", "data"]) == 2
        said = capsys.readouterr().err
        assert named.rpartition(".")[2] in said, said
        assert said.count("\n") == 1, said
    assert [path.name for path in tmp_path.iterdir()] == ["bad.toml"]
