import hashlib
import subprocess
import sys
import textwrap

import pytest

from optathlon.optimizers import OptimizerError, names, optimizer

MINE = textwrap.dedent(
    '''
    import torch
    from optathlon.optimizers.spec import Hyperparameter, OptimizerSpec

    class Mine(torch.optim.Optimizer):
        """Mine, in one line.

        And more.
        """

        def __init__(self, params, lr, betas=(0.9, 0.99), weight_decay=0, warmup: int = 0, power: float = 1,
                     clip: float | None = None, mode="a", nesterov=False, hook=None, top=float('inf'), *,
                     foreach=None, maximize=False):
            super().__init__(params, dict(lr=lr))

        def step(self, closure):
            return closure()

    class Versioned(torch.optim.SGD):
        version = 7

    class Untyped(torch.optim.SGD):
        def __init__(self, params, strength):
            super().__init__(params, lr=strength)

    LR = {"lr": Hyperparameter("float", 1.0)}
    SPEC = OptimizerSpec(name="x", factory="mine_:Mine", hyperparameters=LR, version=3)
    '''
)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    file = tmp_path / "mine_.py"
    file.write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    yield file
    sys.modules.pop("mine_", None)


def test_names_are_matched_by_wildcard():
    assert names("sgd?") == ["sgdp", "sgdg"]
    assert names("nothing*") == []
    assert len(names()) == len(set(names()))


def test_an_unknown_name_brings_a_suggestion():
    with pytest.raises(OptimizerError, match=r"unknown optimizer 'adampp' \(did you mean adamp\?\)"):
        optimizer("adampp")


def test_a_class_from_outside_is_described_by_its_signature(mine):
    spec = optimizer("mine_:Mine")
    kinds = {key: (h.type, h.default, h.required) for key, h in spec.hyperparameters.items()}
    assert kinds == {
        "lr": ("float", None, True),
        "betas": ("floats", (0.9, 0.99), False),
        "weight_decay": ("float", 0, False),
        "warmup": ("int", 0, False),
        "power": ("float", 1, False),
        "clip": ("float", None, False),
        "mode": ("str", "a", False),
        "nesterov": ("bool", False, False),
    }
    assert spec.flags == {"closure"}
    assert spec.summary == "Mine, in one line."
    assert spec.resolve({"lr": 1})["clip"] is None


def test_its_version_is_its_own_or_its_file_s_digest(mine):
    assert optimizer("mine_:Versioned").version == 7
    assert optimizer("mine_:Mine").version == hashlib.sha256(mine.read_bytes()).hexdigest()[:16]


def test_a_description_from_outside_is_taken_as_it_is(mine):
    spec = optimizer("mine_:SPEC")
    assert (spec.name, spec.version, list(spec.hyperparameters)) == ("mine_:SPEC", 3, ["lr"])


def test_an_argument_without_type_and_default_is_named(mine):
    with pytest.raises(OptimizerError, match="cannot tell the type of strength"):
        optimizer("mine_:Untyped")


def test_a_missing_package_is_named_with_what_to_do():
    with pytest.raises(OptimizerError, match=r"no_such_package.*is the package that brings it installed"):
        optimizer("no_such_package:Adam")


@pytest.mark.parametrize("path", ["mine_:Nothing", "no_such_module:Mine", "mine_:MINE", "json:dumps"])
def test_what_is_no_optimizer_is_refused(mine, path):
    with pytest.raises(OptimizerError):
        optimizer(path)


@pytest.mark.slow
def test_entry_points_are_found(mine, tmp_path, monkeypatch):
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[optathlon.optimizers]\nmy-own = mine_:Versioned\n")
    code = "import optimizers as o; print('my-own' in o.names(), o.optimizer('my-own').version)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(tmp_path)!r}, '.']; {code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "7"]


def test_importing_the_room_imports_neither_torch_nor_numpy():
    code = (
        "import sys, optimizers; optimizers.optimizer('adamp'); print({'torch', 'numpy', 'scipy'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
