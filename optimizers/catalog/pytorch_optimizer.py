"""The optimizers of the package pytorch-optimizer, an extra: described here, imported when one is built."""

from __future__ import annotations

from optathlon.optimizers.catalog.declarations import FOREACH, count, fractions, number, switch
from optathlon.optimizers.spec import Hyperparameter, OptimizerSpec

LION = OptimizerSpec(
    name="lion",
    factory="optathlon.optimizers.rules.pytorch_optimizer:Lion",
    implementations=FOREACH,
    hyperparameters={"lr": number(1e-4), "betas": fractions(0.9, 0.99), "weight_decay": number(0.0)},
    baseline="adamw",
    summary="The sign of a momentum, with decoupled decay",
    source="Chen et al., Symbolic Discovery of Optimization Algorithms, NeurIPS 2023",
)

LAMB = OptimizerSpec(
    name="lamb",
    factory="optathlon.optimizers.rules.pytorch_optimizer:Lamb",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(1e-3),
        "betas": fractions(0.9, 0.999),
        "weight_decay": number(0.0),
        "max_grad_norm": number(1.0),
        "eps": number(1e-6),
    },
    baseline="adamw",
    summary="Adam whose steps are as long as each layer's weights, for large batches",
    source="You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 minutes, ICLR 2020",
)

ADAN = OptimizerSpec(
    name="adan",
    factory="optathlon.optimizers.rules.pytorch_optimizer:Adan",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(1e-3),
        "betas": fractions(0.98, 0.92, 0.99),
        "weight_decay": number(0.0),
        "max_grad_norm": number(0.0),
        "eps": number(1e-8),
    },
    baseline="adamw",
    summary="Adam with Nesterov momentum estimated from gradient differences",
    source="Xie et al., Adan: Adaptive Nesterov Momentum Algorithm, TPAMI 2024",
)

ADABELIEF = OptimizerSpec(
    name="adabelief",
    factory="optathlon.optimizers.rules.pytorch_optimizer:AdaBelief",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(1e-3),
        "betas": fractions(0.9, 0.999),
        "weight_decay": number(0.0),
        "weight_decouple": switch(True),
        "rectify": switch(False),
        "eps": number(1e-16),
    },
    baseline="adam",
    summary="Adam whose second moment is that of the gradient's deviation from its mean",
    source="Zhuang et al., AdaBelief Optimizer, NeurIPS 2020",
)

SCHEDULE_FREE_SGD = OptimizerSpec(
    name="schedule_free_sgd",
    factory="optathlon.optimizers.rules.pytorch_optimizer:ScheduleFreeSGD",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(1.0),
        "momentum": number(0.9, above=0.0, below=1.0),
        "weight_decay": number(0.0),
        "r": number(0.0),
        "weight_lr_power": number(2.0),
        "warmup_steps": count(0, low=0),
    },
    protocol={"schedule": {"kind": "constant"}},
    baseline="sgd",
    summary="SGD with averaged weights in place of a schedule",
    source="Defazio et al., The Road Less Scheduled, NeurIPS 2024",
)

PRODIGY = OptimizerSpec(
    name="prodigy",
    factory="optathlon.optimizers.rules.pytorch_optimizer:Prodigy",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(1.0),
        "betas": fractions(0.9, 0.999),
        "d0": number(1e-6),
        "d_coef": number(1.0),
        "weight_decay": number(0.0),
        "bias_correction": switch(False),
        "safeguard_warmup": switch(False),
        "eps": number(1e-8),
    },
    baseline="adamw",
    flags=frozenset({"one_rate"}),
    summary="Adam that estimates its own rate; lr is a factor on it",
    source="Mishchenko & Defazio, Prodigy: An Expeditiously Adaptive Parameter-Free Learner, ICML 2024",
)

SCHEDULE_FREE_ADAMW = OptimizerSpec(
    name="schedule_free_adamw",
    factory="optathlon.optimizers.rules.pytorch_optimizer:ScheduleFreeAdamW",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(2.5e-3),
        "betas": Hyperparameter("floats", [0.9, 0.999], above=0.0, below=1.0),
        "weight_decay": number(0.0),
        "r": number(0.0),
        "weight_lr_power": number(2.0),
        "warmup_steps": count(0, low=0),
        "eps": number(1e-8),
    },
    protocol={"schedule": {"kind": "constant"}},
    baseline="adamw",
    summary="AdamW with averaged weights in place of a schedule",
    source="Defazio et al., The Road Less Scheduled, NeurIPS 2024",
)

LARS = OptimizerSpec(
    name="lars",
    factory="optathlon.optimizers.rules.pytorch_optimizer:LARS",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(0.1),
        "weight_decay": number(0.0),
        "momentum": number(0.9),
        "dampening": number(0.0),
        "trust_coefficient": number(1e-3),
        "nesterov": switch(False),
    },
    baseline="sgd",
    summary="SGD whose steps are as long as each layer's weights, for large batches",
    source="You et al., Large Batch Training of Convolutional Networks, 2017",
)

SHAMPOO = OptimizerSpec(
    name="shampoo",
    factory="optathlon.optimizers.rules.pytorch_optimizer:Shampoo",
    hyperparameters={
        "lr": number(1e-3),
        "momentum": number(0.0),
        "weight_decay": number(0.0),
        "weight_decouple": switch(False),
        "preconditioning_compute_steps": count(1),
        "matrix_eps": number(1e-3),
    },
    baseline="adam",
    summary="Gradients between inverse roots of their covariances, by dimension",
    source="Gupta et al., Shampoo: Preconditioned Stochastic Tensor Optimization, ICML 2018",
)

MODERN = (LION, LAMB, LARS, ADAN, ADABELIEF, SCHEDULE_FREE_SGD, SCHEDULE_FREE_ADAMW, PRODIGY, SHAMPOO)
