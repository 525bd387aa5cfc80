"""Names the scale-invariant weights of a network: those whose output a batch norm takes first."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def normalized_weights(net: nn.Module, image: Tensor) -> set[str]:
    """Names of the weights whose layers' outputs go straight into a batch norm, as seen on one `image` (1, 3, h, w).

    Such a layer's output, and so the network, stays the same if the weight is multiplied by a positive number (AdamP,
    section 2.1), as far as the norm's epsilon is small. The network is left as it was.
    """
    outputs: dict[int, tuple[str, Tensor]] = {}  # by id; the tensor is kept so that no other gets its id
    normalized: set[str] = set()
    training = {module: module.training for module in net.modules()}

    def note(name: str):
        return lambda _module, _input, output: outputs.__setitem__(id(output), (name, output))

    def look(_module, inputs) -> None:
        if id(inputs[0]) in outputs:
            normalized.add(outputs[id(inputs[0])][0])

    hooks = []
    for path, module in net.named_modules():
        if getattr(getattr(module, "weight", None), "ndim", 0) > 1:  # also of layers that torch does not know
            hooks.append(module.register_forward_hook(note(f"{path}.weight")))
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            hooks.append(module.register_forward_pre_hook(look))
    try:
        net.eval()(image)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in training.items():
            module.training = mode
    return normalized
