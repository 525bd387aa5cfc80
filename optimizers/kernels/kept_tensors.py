"""Tensors that one kernel steps again and again: told to it once, and only checked before each further step.

A step of a model of many small tensors takes longer in Python than in the kernel, on a GPU most of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter, is_
from typing import Any

import torch
from torch import Tensor

_DTYPE, _LAYOUT = attrgetter("dtype"), attrgetter("layout")


class KeptTensors:
    """Parameters of one dtype and their states, as a kernel was told of them: where they lie and how they are laid out.

    params: all of a group that have a gradient. state: of the optimizer. keys: of the states that the kernel reads or
    writes.
    """

    def __init__(self, params: Sequence[Tensor], state: Mapping[Tensor, dict[str, Any]], keys: Sequence[str]) -> None:
        self.params = list(params)
        self.states = [state[param] for param in params]
        self.tensors = {key: [its_state.get(key) for its_state in self.states] for key in keys}
        self.all = [*params, *(t for tensors in self.tensors.values() for t in tensors if t is not None)]
        self.addresses = list(map(Tensor.data_ptr, self.all))
        self.dtype, self.sizes = params[0].dtype, list(map(Tensor.numel, params))
        self.contiguous, self.strides = all(map(Tensor.is_contiguous, params)), list(map(Tensor.stride, params))

    def are(self, params: Sequence[Tensor], state: Mapping[Tensor, dict[str, Any]]) -> bool:
        """Whether `params` and their states are these and lie where they lay."""
        return (
            len(params) == len(self.params)
            and all(map(is_, params, self.params))
            and all(map(is_, map(state.get, params), self.states))
            and all(
                all(map(is_, [its_state.get(key) for its_state in self.states], tensors))
                for key, tensors in self.tensors.items()
            )
            # A tensor may be given other memory, as where an optimizer's states are moved by `state.data = ...`.
            and list(map(Tensor.data_ptr, self.all)) == self.addresses
            and list(map(Tensor.numel, params)) == self.sizes
            and self._alike(params)
        )

    def fit(self, grads: Sequence[Tensor]) -> bool:
        """Whether a kernel can read gradients of these tensors as they are: laid out as the weights."""
        return (  # of what autograd lets a gradient be: it is on its weight's device, and of its shape
            set(map(_DTYPE, grads)) == {self.dtype}
            and set(map(_LAYOUT, grads)) == {torch.strided}
            and self._alike(grads)
            and not any(map(Tensor.is_neg, grads))
        )

    def _alike(self, tensors: Sequence[Tensor]) -> bool:
        """Whether the elements lie in the order of the parameters': along dimensions of 1, strides may differ."""
        if self.contiguous and all(map(Tensor.is_contiguous, tensors)):
            return True
        return list(map(Tensor.stride, tensors)) == self.strides
