"""What an optimizer is, in words and numbers: a description that needs no torch until it is built."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET

from optathlon.optimizers.errors import OptimizerError, did_you_mean

if TYPE_CHECKING:
    import torch

TAGS = ("bias", "norm", "gain", "embedding", "head", "transposed", "scale_invariant", "proxy")
FLAGS = ("closure", "one_group", "one_rate", "matrices")
LR_SCALE = "lr_scale"
"""The option by tag that every optimizer with an lr has: a factor on it."""

OFFERED = ("param_groups", "state", "zero_grad", "state_dict", "load_state_dict")
"""What the training loop takes for granted of every optimizer, besides its step."""

IMPLEMENTATIONS = ("auto", "fused", "foreach", "loop")
"""How an optimizer may be asked to step; "auto" is the fastest that is proven equal to the loop."""


class Hyperparameter(msgspec.Struct, frozen=True):
    """One declared argument of an optimizer."""

    type: Literal["float", "int", "bool", "str", "floats"]
    default: Any = None
    """The value where none is given. None as a default also makes None a legal value."""
    required: bool = False
    """Whether a value must be given, because no default suits every task."""
    choices: tuple[Any, ...] | None = None
    """The values that are legal; None: all of the type."""
    as_before: Any = UNSET
    """For an argument added later: the value that means what the optimizer did without it. An argument of this value is
    left out of the resolved hyperparameters, so that earlier runs keep their identity."""
    low: float | None = None
    """The smallest legal number; of a list, for each of its numbers, as for the three below."""
    high: float | None = None
    """The largest legal number."""
    above: float | None = None
    """Legal numbers are larger than this one."""
    below: float | None = None
    """Legal numbers are smaller than this one."""

    def coerce(self, value: Any) -> Any:
        """Returns `value` as this hyperparameter's type; the ValueError says what would be right."""
        if value is None and self.default is None and not self.required:
            return None
        value = _COERCIONS[self.type](value)
        if self.type == "floats" and self.default is not None and len(value) != len(self.default):
            raise ValueError(f"must be a list of {len(self.default)} numbers, not {len(value)}")
        if self.choices is not None and value not in self.choices:
            hint = did_you_mean(value, self.choices) if isinstance(value, str) else ""
            raise ValueError(f"must be one of {', '.join(map(str, self.choices))}{hint}")
        if not all(map(self._within, value if isinstance(value, list) else [value])):
            words = {"at least": self.low, "above": self.above, "at most": self.high, "below": self.below}
            bounds = " and ".join(f"{word} {bound:g}" for word, bound in words.items() if bound is not None)
            raise ValueError(f"must {'all ' if isinstance(value, list) else ''}be {bounds}")
        return value

    def _within(self, value: Any) -> bool:
        return (
            (self.low is None or value >= self.low)
            and (self.above is None or value > self.above)
            and (self.high is None or value <= self.high)
            and (self.below is None or value < self.below)
        )


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    if not abs(value) <= sys.float_info.max:  # of a whole number too
        raise ValueError("must be finite")
    return float(value) + 0.0  # turns -0.0 into 0.0: equal values must have one digest


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be an integer")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def _floats(value: Any) -> list[float]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError("must be a list of numbers")
    return [_float(v) for v in value]


_COERCIONS = {"float": _float, "int": _int, "bool": _bool, "str": _str, "floats": _floats}
_SCALE = Hyperparameter("float", 1.0, low=0.0)


class OptimizerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One optimizer: where its class is, what can be set, what it is compared with."""

    name: str
    factory: str
    """Dotted path "package.module:Class" of a torch.optim.Optimizer, imported only when it is built."""
    hyperparameters: dict[str, Hyperparameter]
    """What can be set and is hashed, in the order in which it is shown."""
    fixed: dict[str, Any] = {}
    """Arguments that are always passed, neither settable nor hashed."""
    tags: dict[str, Any] = {}
    """Its own options by parameter tag, {"scale_invariant.sphere": True}; a grid may change them."""
    protocol: dict[str, Any] = {}
    """Overrides of every task's protocol, such as a constant rate; its row on a board is marked with them."""
    implementations: tuple[str, ...] = ("loop",)
    """The ways to step that its class offers by the arguments foreach and fused. Which of them a run took is in its
    provenance, not in its id."""
    baseline: str | None = None
    """Name of the optimizer that it improves on."""
    flags: frozenset[str] = frozenset()
    """"closure" (its step needs one), "one_group" (it takes a single parameter group), "one_rate" (all groups have one
    rate), "matrices" (it takes two-dimensional parameters only)."""
    check: str | None = None
    """Dotted path of a torch-free function that is given the resolved hyperparameters and raises ValueError where two
    of them do not go together."""
    summary: str = ""
    source: str = ""
    """The paper."""
    version: int | str = 1
    """Raised when the same hyperparameters step otherwise; of a user's class the digest of its file."""

    def __post_init__(self) -> None:
        for flag in self.flags:
            if flag not in FLAGS:
                raise OptimizerError(f"{self.name}: unknown flag {flag!r}{did_you_mean(flag, FLAGS)}")

    def check_implementation(self, implementation: str) -> None:
        """Raises OptimizerError unless the optimizer has `implementation`; every one has "auto"."""
        if implementation not in IMPLEMENTATIONS:
            hint, known = did_you_mean(implementation, IMPLEMENTATIONS), ", ".join(IMPLEMENTATIONS)
            raise OptimizerError(f"unknown implementation {implementation!r}{hint}; one of {known}")
        if implementation != "auto" and implementation not in self.implementations:
            has = " and ".join(self.implementations)
            raise OptimizerError(f"{self.name}: has no {implementation} implementation, only {has}; auto suits all")

    def resolve(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns every hyperparameter with its coerced value, in declared order, then the options by tag, sorted.

        Raises OptimizerError naming optimizer, key, value and what would be right.
        """
        for key in values:
            if "." not in key and key not in self.hyperparameters:
                raise OptimizerError(f"{self.name}: unknown hyperparameter {key!r}{self._suggest(key)}")
        plain: dict[str, Any] = {}
        for key, declared in self.hyperparameters.items():
            if declared.required and key not in values:
                raise OptimizerError(f"{self.name}: {key} has no default and must be given")
            value = self._coerce(key, declared, values.get(key, declared.default))
            if declared.as_before is UNSET or value != declared.as_before:
                plain[key] = value
        if self.check is not None:
            try:
                load(self.check)(plain)
            except ValueError as error:
                raise OptimizerError(f"{self.name}: {error}") from None
        tagged = {**self.tags, **{key: value for key, value in values.items() if "." in key}}
        return plain | {key: self._coerce(key, self._tagged(key), tagged[key]) for key in sorted(tagged)}

    def build(
        self, groups: list[dict[str, Any]], hyperparameters: Mapping[str, Any], implementation: str | None = None
    ) -> torch.optim.Optimizer:
        """Builds the optimizer over `groups`, each {"params": [...]} with options that differ for this group.

        hyperparameters: what `resolve` gave; the caller puts the options by tag among them into the groups.
        implementation: one of IMPLEMENTATIONS; None leaves it to the class.
        """
        from optathlon.optimizers import implementation as choice  # imports torch

        factory = load(self.factory)
        chosen: dict[str, bool] = {}
        if implementation is not None:
            self.check_implementation(implementation)
            params = [p for group in groups for p in group["params"]]
            chosen = choice.arguments(factory, self.implementations, implementation, params)
        arguments = {key: _tuple(hyperparameters.get(key, _unset(h))) for key, h in self.hyperparameters.items()}
        groups = [{key: value if key == "params" else _tuple(value) for key, value in g.items()} for g in groups]
        try:
            optimizer = factory(groups, **arguments, **chosen, **self.fixed)
        except (TypeError, ValueError) as error:
            raise OptimizerError(f"{self.name}: {error}") from error
        if missing := [name for name in OFFERED if not hasattr(optimizer, name)]:
            raise OptimizerError(
                f"{self.name}: has no {missing[0]}; it must be a torch.optim.Optimizer whose __init__ calls"
                " super().__init__(params, defaults)"
            )
        if "fused" in chosen:
            choice.guard(optimizer)
        return optimizer

    def _tagged(self, key: str) -> Hyperparameter:
        tag, _, name = key.partition(".")
        if tag not in TAGS:
            raise OptimizerError(f"{self.name}: {key}: unknown tag {tag!r}{did_you_mean(tag, TAGS)}")
        if name == LR_SCALE:
            if "lr" not in self.hyperparameters:
                raise OptimizerError(f"{self.name}: {key}: it has no lr that could be scaled")
            return _SCALE
        if name not in self.hyperparameters:
            raise OptimizerError(f"{self.name}: {key}: unknown hyperparameter {name!r}{self._suggest(name, LR_SCALE)}")
        return self.hyperparameters[name]

    def _suggest(self, key: str, *more: str) -> str:
        return did_you_mean(key, [*self.hyperparameters, *more])

    def _coerce(self, key: str, declared: Hyperparameter, value: Any) -> Any:
        try:
            return declared.coerce(value)
        except ValueError as error:
            raise OptimizerError(f"{self.name}: {key} = {value!r}: {error}") from None


def load(path: str) -> Any:
    """Returns the object at "package.module:NAME"; raises OptimizerError if there is no such module or name."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        extra = "; pip install 'optathlon[modern]'" if error.name == "pytorch_optimizer" else ""
        raise OptimizerError(f"{path}: {error}; is the package that brings it installed?{extra}") from error
    except (ImportError, AttributeError) as error:
        raise OptimizerError(f"{path}: {error}") from error


def _unset(declared: Hyperparameter) -> Any:
    return declared.default if declared.as_before is UNSET else declared.as_before


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
