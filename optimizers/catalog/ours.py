"""The built-in optimizers, described without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optathlon.optimizers.catalog.declarations import FOREACH, FUSED, count, fraction, fractions, number, switch
from optathlon.optimizers.spec import Hyperparameter, OptimizerSpec


def nesterov_needs_momentum(values: Mapping[str, Any]) -> None:
    """Raises ValueError for Nesterov momentum without momentum, or with dampening, as torch's SGD does."""
    if values["nesterov"] and (values["momentum"] <= 0 or values["dampening"] != 0):
        raise ValueError("nesterov = True needs a momentum above 0 and a dampening of 0")


_REQUIRED = Hyperparameter("float", None, required=True, low=0.0)
_PROJECTION: dict[str, Any] = {
    "eps": number(1e-8),
    "delta": number(0.1),
    "wd_ratio": number(0.1),
    "projection": Hyperparameter("str", "auto", choices=("auto", "channel", "layer", "off")),
    "channel_dim": Hyperparameter("int", 0),
}

SGD = OptimizerSpec(
    name="sgd",
    factory="torch.optim:SGD",
    implementations=FUSED,
    hyperparameters={
        "lr": number(1e-3),
        "momentum": number(0.0),
        "dampening": Hyperparameter("float", 0.0),
        "weight_decay": number(0.0),
        "nesterov": switch(False),
    },
    check="optathlon.optimizers.catalog.ours:nesterov_needs_momentum",
    summary="Stochastic gradient descent with momentum and coupled L2 decay",
    source="Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013",
)

SGDP = OptimizerSpec(
    name="sgdp",
    factory="optathlon.optimizers.rules.sgdp:SGDP",
    implementations=FUSED,
    hyperparameters={
        "lr": _REQUIRED,
        "momentum": fraction(0.0),
        "dampening": Hyperparameter("float", 0.0),
        "weight_decay": number(0.0),
        "nesterov": switch(False),
        **_PROJECTION,
        "project_buffer": switch(False),
    },
    baseline="sgd",
    summary="SGD whose step loses its radial part where weights are scale-invariant",
    source="Heo et al., AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant Weights, ICLR 2021",
)

ADAM = OptimizerSpec(
    name="adam",
    factory="torch.optim:Adam",
    implementations=FUSED,
    hyperparameters={
        "lr": number(1e-3),
        "betas": fractions(0.9, 0.999),
        "eps": number(1e-8),
        "weight_decay": number(0.0),
        "amsgrad": switch(False),
    },
    baseline="sgd",
    summary="Adaptive moment estimation with coupled L2 decay",
    source="Kingma & Ba, Adam: A Method for Stochastic Optimization, ICLR 2015",
)

ADAMW = OptimizerSpec(
    name="adamw",
    factory="torch.optim:AdamW",
    implementations=FUSED,
    hyperparameters=ADAM.hyperparameters | {"weight_decay": number(1e-2)},
    baseline="adam",
    summary="Adam with decoupled decay, scaled by the rate",
    source="Loshchilov & Hutter, Decoupled Weight Decay Regularization, ICLR 2019",
)

ADAMP = OptimizerSpec(
    name="adamp",
    factory="optathlon.optimizers.rules.adamp:AdamP",
    implementations=FUSED,
    hyperparameters={
        "lr": number(1e-3),
        "betas": fractions(0.9, 0.999),
        "weight_decay": number(0.0),
        "nesterov": switch(False),
        **_PROJECTION,
    },
    baseline="adamw",
    summary="AdamW whose step loses its radial part where weights are scale-invariant",
    source="Heo et al., AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant Weights, ICLR 2021",
)

RMSPROP = OptimizerSpec(
    name="rmsprop",
    factory="torch.optim:RMSprop",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(1e-2),
        "alpha": number(0.99),
        "eps": number(1e-8),
        "weight_decay": number(0.0),
        "momentum": number(0.0),
        "centered": switch(False),
    },
    baseline="sgd",
    summary="Gradients over the root of their running mean square",
    source="Tieleman & Hinton, Lecture 6.5: RMSprop, Coursera 2012",
)

RMSPROP_TF = OptimizerSpec(
    name="rmsprop_tf",
    factory="optathlon.optimizers.rules.rmsprop_tf:RMSpropTF",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(1e-2),
        "alpha": fraction(0.9),
        "eps": number(1e-3),
        "weight_decay": number(0.0),
        "momentum": fraction(0.9),
    },
    baseline="rmsprop",
    summary="RMSprop as TensorFlow has it: eps inside the root, the rate inside the momentum",
    source="Tan & Le, EfficientNet, ICML 2019; timm's RMSpropTF",
)

_ADAREM: dict[str, Any] = {
    "lr": _REQUIRED,
    "beta": fraction(0.999),
    "lam": number(0.999, low=0.0, high=1.0),
    "eps": number(1e-8, above=0.0),
    "weight_decay": number(0.0),
    "eps_mode": Hyperparameter("str", "literal", choices=("literal", "relative")),
    "global_max": switch(False),
}

ADAREM = OptimizerSpec(
    name="adarem",
    factory="optathlon.optimizers.rules.adarem:AdaRem",
    implementations=FUSED,
    hyperparameters=_ADAREM,
    baseline="sgd",
    summary="SGD whose coordinates slow down where the gradient turns against its past",
    source="AdaRem, Algorithm 1",
)

ADAREM_S = OptimizerSpec(
    name="adarem_s",
    factory="optathlon.optimizers.rules.adarem_s:AdaRemS",
    implementations=FUSED,
    hyperparameters=_ADAREM
    | {"sphere": switch(False), "radius": number(10.0, above=0.0), "slr": switch(True), "per_tensor": switch(False)},
    tags={"scale_invariant.sphere": True},
    baseline="adarem",
    summary="AdaRem with the scale-invariant weights on a sphere",
    source="AdaRem, Algorithm 2 and section 3.4",
)

ADABOUND = OptimizerSpec(
    name="adabound",
    factory="optathlon.optimizers.rules.adabound:AdaBound",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(1e-3),
        "betas": fractions(0.9, 0.999),
        "final_lr": number(0.1),
        "gamma": number(1e-3, above=0.0, below=1.0),
        "eps": number(1e-8),
        "weight_decay": number(0.0),
        "amsbound": switch(False),
        "decoupled": switch(False),
    },
    baseline="adam",
    summary="Adam with rates clipped to bounds that close in on SGD's",
    source="Luo et al., Adaptive Gradient Methods with Dynamic Bound of Learning Rate, ICLR 2019",
)

_GRASSMANN: dict[str, Any] = {
    "weight_decay": number(0.0),
    "manifold": switch(False),
    "omega": number(0.1),
    "clip": number(0.1),
}
_CHO_LEE = "Cho & Lee, Riemannian approach to batch normalization, NeurIPS 2017"

SGDG = OptimizerSpec(
    name="sgdg",
    factory="optathlon.optimizers.rules.grassmann:SGDG",
    implementations=FOREACH,
    hyperparameters={"lr": number(0.01), "momentum": fraction(0.9), **_GRASSMANN},
    tags={"scale_invariant.manifold": True, "scale_invariant.lr_scale": 20.0},
    baseline="sgd",
    summary="Riemannian SGD with momentum on the unit rows of scale-invariant weights",
    source=f"{_CHO_LEE}, Algorithm 2",
)

ADAMG = OptimizerSpec(
    name="adamg",
    factory="optathlon.optimizers.rules.grassmann:AdamG",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(0.01),
        "momentum": fraction(0.9),
        "beta2": fraction(0.99),
        "eps": number(1e-8),
        **_GRASSMANN,
    },
    tags={"scale_invariant.manifold": True, "scale_invariant.lr_scale": 5.0},
    baseline="sgdg",
    summary="Riemannian Adam on the unit rows of scale-invariant weights",
    source=f"{_CHO_LEE}, Algorithm 3",
)

ADAM_SGD = OptimizerSpec(
    name="adam_sgd",
    factory="optathlon.optimizers.rules.adam_sgd:AdamSGD",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(1e-4),
        "betas": fractions(0.9, 0.999),
        "eps": number(1e-8),
        "weight_decay": number(0.0),
        "momentum": fraction(0.9),
        "switch": count(60, low=0),
    },
    baseline="adam",
    summary="Adam, then SGD with Nesterov momentum from epoch `switch` on",
    source="Won et al., Data-driven harmonic filters for audio representation learning, ICASSP 2020",
)

NADAM = OptimizerSpec(
    name="nadam",
    factory="torch.optim:NAdam",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(2e-3),
        "betas": fractions(0.9, 0.999),
        "eps": number(1e-8),
        "weight_decay": number(0.0),
        "momentum_decay": number(4e-3),
        "decoupled_weight_decay": switch(False),
    },
    baseline="adam",
    summary="Adam with Nesterov momentum",
    source="Dozat, Incorporating Nesterov Momentum into Adam, ICLR workshop 2016",
)

RADAM = OptimizerSpec(
    name="radam",
    factory="torch.optim:RAdam",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(1e-3),
        "betas": fractions(0.9, 0.999),
        "eps": number(1e-8),
        "weight_decay": number(0.0),
        "decoupled_weight_decay": switch(False),
    },
    baseline="adam",
    summary="Adam whose early rates are rectified for the variance of their few gradients",
    source="Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, ICLR 2020",
)

ADAFACTOR = OptimizerSpec(
    name="adafactor",
    factory="torch.optim:Adafactor",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(1e-2),
        "beta2_decay": number(-0.8, None, high=0.0),
        "d": number(1.0, low=1.0),
        "weight_decay": number(0.0),
    },
    baseline="adamw",
    summary="Second moments by rows and columns, steps relative to the weights' size",
    source="Shazeer & Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, ICML 2018",
)

MUON = OptimizerSpec(
    name="muon",
    factory="optathlon.optimizers.rules.muon:Muon",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(1e-3),
        "weight_decay": number(0.1),
        "momentum": fraction(0.95),
        "nesterov": switch(True),
        "ns_coefficients": Hyperparameter("floats", [3.4445, -4.775, 2.0315]),
        "eps": number(1e-7, above=0.0),
        "ns_steps": Hyperparameter("int", 5, low=1, below=100),
        "adjust_lr_fn": Hyperparameter("str", "match_rms_adamw", choices=("original", "match_rms_adamw")),
        "matrix": switch(True),
        "betas": fractions(0.9, 0.999),
        "adam_eps": number(1e-8),
    },
    tags={"embedding.matrix": False, "head.matrix": False},
    baseline="adamw",
    summary="Momentum, orthogonalized by Newton-Schulz iterations, on hidden weights; AdamW on all others",
    source="Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024",
)

LBFGS = OptimizerSpec(
    name="lbfgs",
    factory="torch.optim:LBFGS",
    hyperparameters={
        "lr": number(1.0),
        "max_iter": count(20),
        "tolerance_grad": number(1e-7),
        "tolerance_change": number(1e-9),
        "history_size": count(100),
        "line_search_fn": Hyperparameter("str", None, choices=("strong_wolfe",)),
    },
    baseline="sgd",
    flags=frozenset({"closure", "one_group"}),
    summary="Quasi-Newton steps from the last gradients, several evaluations a step",
    source="Liu & Nocedal, On the limited memory BFGS method for large scale optimization, 1989",
)

SOAP = OptimizerSpec(
    name="soap",
    factory="optathlon.optimizers.rules.soap:SOAP",
    implementations=FOREACH,
    hyperparameters={
        "lr": number(3e-3),
        "betas": fractions(0.95, 0.95),
        "shampoo_beta": number(None, low=0.0, below=1.0),
        "eps": number(1e-8),
        "weight_decay": number(1e-2),
        "precondition_frequency": count(10),
        "max_precondition_dim": count(10000, low=0),
        "merge_dims": switch(False),
    },
    baseline="adamw",
    summary="Adam in the slowly changing eigenbases of the gradients' covariances, by dimension",
    source="Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, ICLR 2025",
)

SAM = OptimizerSpec(
    name="sam",
    factory="optathlon.optimizers.rules.sam:SAM",
    implementations=FUSED,
    hyperparameters=SGD.hyperparameters | {"rho": number(0.05), "adaptive": switch(False)},
    baseline="sgd",
    flags=frozenset({"closure"}),
    check=SGD.check,
    summary="SGD on the gradient where, within rho of the weights, the loss is largest; two evaluations a step",
    source="Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, ICLR 2021",
)

LOOKAHEAD = OptimizerSpec(
    name="lookahead",
    factory="optathlon.optimizers.rules.lookahead:Lookahead",
    implementations=FUSED,
    hyperparameters=SGD.hyperparameters | {"k": count(5), "alpha": number(0.5, above=0.0, high=1.0)},
    baseline="sgd",
    check=SGD.check,
    summary="SGD with slow weights that follow every k steps and are the ones judged",
    source="Zhang et al., Lookahead Optimizer: k steps forward, 1 step back, NeurIPS 2019",
)

NT_ASGD = OptimizerSpec(
    name="nt_asgd",
    factory="optathlon.optimizers.rules.nt_asgd:NTASGD",
    hyperparameters={"lr": _REQUIRED, "weight_decay": number(0.0), "nonmono": Hyperparameter("int", 5)},
    protocol={"schedule": {"kind": "constant"}},
    baseline="sgd",
    summary="SGD whose iterates are averaged once validation has stalled for `nonmono` epochs",
    source="Merity et al., Regularizing and Optimizing LSTM Language Models, ICLR 2018",
)

CATALOG = (
    SGD, SGDP, ADAM, ADAMW, ADAMP, RMSPROP, RMSPROP_TF, ADAREM, ADAREM_S, ADABOUND, SGDG, ADAMG, ADAM_SGD,
    NADAM, RADAM, ADAFACTOR, MUON, SOAP, SAM, LOOKAHEAD, LBFGS, NT_ASGD,
)  # fmt: skip
