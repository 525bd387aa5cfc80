import msgspec
import pytest

from optathlon.optimizers import OptimizerError, names, optimizer
from optathlon.optimizers.spec import Hyperparameter, OptimizerSpec

SPEC = OptimizerSpec(
    name="toy",
    factory="torch.optim:Adam",
    hyperparameters={
        "lr": Hyperparameter("float", None, required=True),
        "betas": Hyperparameter("floats", [0.9, 0.999]),
        "amsgrad": Hyperparameter("bool", False),
        "mode": Hyperparameter("str", "auto", choices=("auto", "off")),
        "steps": Hyperparameter("int", 3),
        "late": Hyperparameter("float", 1.0, as_before=1.0),
    },
    tags={"norm.lr_scale": 2},
)


def test_resolved_hyperparameters_are_complete_coerced_and_in_declared_order_then_tags_sorted():
    resolved = SPEC.resolve({"proxy.lr_scale": 100, "bias.mode": "off", "betas": (0, 0.99), "lr": 1})
    assert list(resolved) == ["lr", "betas", "amsgrad", "mode", "steps", "bias.mode", "norm.lr_scale", "proxy.lr_scale"]
    assert repr(resolved["lr"]) == "1.0"
    assert repr(resolved["betas"]) == "[0.0, 0.99]"
    assert repr(resolved["proxy.lr_scale"]) == "100.0"
    assert repr(resolved["norm.lr_scale"]) == "2.0"


def test_a_hyperparameter_added_later_changes_nothing_while_it_means_what_was_before():
    assert "late" not in SPEC.resolve({"lr": 1.0})
    assert "late" not in SPEC.resolve({"lr": 1.0, "late": 1})
    assert SPEC.resolve({"lr": 1.0, "late": 2})["late"] == 2.0


def test_minus_zero_is_zero():
    assert repr(SPEC.resolve({"lr": -0.0})["lr"]) == "0.0"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "toy: lr has no default"),
        ({"lr": 1, "beta": 1}, "'beta' (did you mean betas?)"),
        ({"lr": True}, "lr = True: must be a number"),
        ({"lr": "1e-3"}, "lr = '1e-3': must be a number"),
        ({"lr": float("nan")}, "lr = nan: must be finite"),
        ({"lr": float("inf")}, "lr = inf: must be finite"),
        ({"lr": 1, "betas": [0.9]}, "betas = [0.9]: must be a list of 2 numbers, not 1"),
        ({"lr": 1, "betas": [0.9, False]}, "betas = [0.9, False]: must be a number"),
        ({"lr": 1, "betas": "0.9"}, "must be a list of numbers"),
        ({"lr": 1, "amsgrad": 1}, "amsgrad = 1: must be true or false"),
        ({"lr": 1, "steps": 3.0}, "steps = 3.0: must be an integer"),
        ({"lr": 1, "mode": "of"}, "must be one of auto, off (did you mean off?)"),
        ({"lr": 1, "gian.mode": "off"}, "unknown tag 'gian' (did you mean gain?)"),
        ({"lr": 1, "gain.mod": "off"}, "unknown hyperparameter 'mod' (did you mean mode?)"),
        ({"lr": 1, "gain.steps": "off"}, "toy: gain.steps = 'off': must be an integer"),
    ],
)
def test_what_does_not_fit_is_named_with_what_would_be_right(values, words):
    with pytest.raises(OptimizerError) as caught:
        SPEC.resolve(values)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("adamw", {"lr": -1}, "adamw: lr = -1: must be at least 0"),
        ("adamw", {"weight_decay": -1e-9}, "weight_decay = -1e-09: must be at least 0"),
        ("adamw", {"betas": [0.9, 1]}, "betas = [0.9, 1]: must all be at least 0 and below 1"),
        ("sgdp", {"lr": 1, "momentum": 1}, "momentum = 1: must be at least 0 and below 1"),
        ("adarem", {"lr": 1, "eps": 0}, "eps = 0: must be above 0"),
        ("adarem", {"lr": 1, "lam": 1.1}, "lam = 1.1: must be at least 0 and at most 1"),
        ("adafactor", {"beta2_decay": 0.1}, "beta2_decay = 0.1: must be at most 0"),
        ("lookahead", {"k": 0}, "k = 0: must be at least 1"),
        ("sgd", {"bias.lr_scale": -1}, "bias.lr_scale = -1: must be at least 0"),
        ("sgd", {"bias.weight_decay": -1}, "bias.weight_decay = -1: must be at least 0"),
        ("sgd", {"nesterov": True}, "sgd: nesterov = True needs a momentum above 0"),
        ("sam", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "and a dampening of 0"),
    ],
)
def test_values_out_of_range_are_refused_without_torch(name, values, words):
    with pytest.raises(OptimizerError) as caught:
        optimizer(name).resolve(values)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", names())
def test_what_lies_within_a_built_in_s_bounds_its_factory_takes_and_rates_cannot_be_negative(name):
    torch = pytest.importorskip("torch")
    spec = optimizer(name)
    pytest.importorskip(spec.factory.partition(":")[0])
    required = {key: 0.1 for key, h in spec.hyperparameters.items() if h.required}
    for key, h in spec.hyperparameters.items():
        if key in ("lr", "weight_decay", "eps"):
            assert 0.0 in (h.low, h.above), key
        for bound in (h.low, h.high):
            if bound is not None:
                value = [bound] * len(h.default) if h.type == "floats" else int(bound) if h.type == "int" else bound
                spec.build([{"params": [torch.nn.Parameter(torch.ones(4, 2))]}], spec.resolve({**required, key: value}))


def test_build_passes_hyperparameters_and_group_options_to_the_factory():
    torch = pytest.importorskip("torch")
    decayed, plain = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    spec = msgspec.structs.replace(optimizer("adamw"), fixed={"maximize": True})
    built = spec.build(
        [{"params": [decayed]}, {"params": [plain], "weight_decay": 0.0, "betas": [0.5, 0.5]}],
        spec.resolve({"lr": 0.25, "norm.weight_decay": 0.0}),
    )
    assert type(built) is torch.optim.AdamW
    first, second = built.param_groups
    assert (first["lr"], first["weight_decay"], first["betas"], first["maximize"]) == (0.25, 1e-2, (0.9, 0.999), True)
    assert (second["lr"], second["weight_decay"], second["betas"]) == (0.25, 0.0, (0.5, 0.5))


def test_a_missing_factory_and_a_value_that_the_class_refuses_are_named():
    torch = pytest.importorskip("torch")
    groups = [{"params": [torch.nn.Parameter(torch.ones(2))]}]
    with pytest.raises(OptimizerError, match="no_such_package"):
        msgspec.structs.replace(SPEC, factory="no_such_package:Adam").build(groups, {})
    adam = optimizer("adam")
    with pytest.raises(OptimizerError, match=r"adam: Invalid learning rate: -1\.0"):
        adam.build(groups, {**adam.resolve({}), "lr": -1.0})


@pytest.mark.parametrize("name", names())
def test_every_built_in_is_described_whole_and_its_defaults_are_its_factory_s(name):
    torch = pytest.importorskip("torch")
    spec = optimizer(name)
    assert spec.summary
    assert spec.source
    assert spec.baseline is None or spec.baseline in names()
    pytest.importorskip(spec.factory.partition(":")[0])
    resolved = spec.resolve({key: 0.1 for key, h in spec.hyperparameters.items() if h.required})
    built = spec.build([{"params": [torch.nn.Parameter(torch.ones(4, 2))]}], resolved)
    for key, value in resolved.items():
        if "." not in key and key in built.param_groups[0]:
            assert built.param_groups[0][key] == (tuple(value) if isinstance(value, list) else value), key
