"""A step of PGD training beside the plain autograd loop that does the same, in turn: python benchmarks/attack.py"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from optathlon.tasks.cifar.attack import Attack, attacked  # noqa: E402
from optathlon.tasks.cifar.wide_resnet import WideResNet  # noqa: E402

Step = Callable[[nn.Module, Tensor, Tensor, Attack], Tensor]


def ours(net: nn.Module, images: Tensor, labels: Tensor, attack: Attack) -> Tensor:
    """The training loss as the CIFAR-10 tasks compute it."""
    return F.cross_entropy(net(attacked(net, images, labels, attack)), labels)


def plain(net: nn.Module, images: Tensor, labels: Tensor, attack: Attack) -> Tensor:
    """The same as one writes it first: autograd.grad to the images, while the weights keep asking for gradients."""
    x = (images + torch.empty_like(images).uniform_(-attack.epsilon, attack.epsilon)).clamp(0, 1)
    net.eval()
    for _ in range(attack.steps):
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(net(x), labels), x)
        x = x.detach() + attack.step_size * gradient.sign()
        x = torch.max(torch.min(x, images + attack.epsilon), images - attack.epsilon).clamp(0, 1)
    net.train()
    return F.cross_entropy(net(x.detach()), labels)


def backward(net: nn.Module, images: Tensor, labels: Tensor, attack: Attack) -> Tensor:
    """The plain loop with loss.backward(), which computes the weights' gradients in every step as well."""
    x = (images + torch.empty_like(images).uniform_(-attack.epsilon, attack.epsilon)).clamp(0, 1)
    net.eval()
    for _ in range(attack.steps):
        x = x.detach().requires_grad_()
        F.cross_entropy(net(x), labels).backward()
        assert x.grad is not None
        x = x.detach() + attack.step_size * x.grad.sign()
        x = torch.max(torch.min(x, images + attack.epsilon), images - attack.epsilon).clamp(0, 1)
    net.train()
    net.zero_grad()
    return F.cross_entropy(net(x.detach()), labels)


STEPS: dict[str, Step] = {"ours": ours, "plain": plain, "backward": backward}


class Counts(NamedTuple):
    """How often a step goes through the network, and how many gradients of weights it computes."""

    forward: int
    backward: int
    weight_gradients: int


def count(step: Step, net: WideResNet, images: Tensor, labels: Tensor, attack: Attack) -> Counts:
    """Of one step, told by hooks on the whole network, on its first layer and on its first weight."""
    net = copy.deepcopy(net)
    counted = {"forward": 0, "backward": 0, "weights": 0}

    def note(what: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            counted[what] += 1

        return hook

    net.register_forward_hook(note("forward"))
    net.blocks[0].register_full_backward_hook(note("backward"))
    net.stem.weight.register_hook(note("weights"))
    step(net, images, labels, attack).backward()
    return Counts(counted["forward"], counted["backward"], counted["weights"])


def measure(step: Step, net: WideResNet, images: Tensor, labels: Tensor, attack: Attack) -> tuple[float, Tensor]:
    """CPU seconds of one training step, and the gradient of the first weight that it comes to."""
    torch.manual_seed(0)
    net.zero_grad()
    start = time.process_time()
    step(net, images, labels, attack).backward()
    seconds = time.process_time() - start
    assert net.stem.weight.grad is not None
    return seconds, net.stem.weight.grad.clone()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=16)
    parser.add_argument("--widen", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    net, images = WideResNet(options.depth, options.widen), torch.rand(options.batch, 3, options.side, options.side)
    labels, attack = (
        torch.arange(options.batch) % 10,
        Attack("linf", 8 / 255, options.steps, 2 / 255, random_start=True),
    )
    start = copy.deepcopy(net.state_dict())
    seconds: dict[str, list[float]] = {name: [] for name in STEPS}
    gradients: dict[str, Tensor] = {}
    for repeat in range(options.repeats + 1):
        for name, step in STEPS.items():  # in turn, so that a busy machine is busy for all of them
            net.load_state_dict(start)
            took, gradients[name] = measure(step, net, images, labels, attack)
            if repeat:  # the first is to warm up
                seconds[name].append(took)
    print(
        f"WRN-{options.depth}-{options.widen}, {options.batch} images of {options.side} pixels, {options.steps} steps,"
        f" {options.threads} thread(s), median of {options.repeats}"
    )
    for name, step in STEPS.items():
        ratio = statistics.median(a / b for a, b in zip(seconds[name], seconds["ours"], strict=True))
        counts = count(step, net, images, labels, attack)
        print(
            f"{name:9} {statistics.median(seconds[name]):7.3f} s of CPU  {ratio:5.2f} of ours  {counts.forward:3}"
            f" forward {counts.backward:3} backward {counts.weight_gradients:3} with weights  same gradient:"
            f" {torch.equal(gradients[name], gradients['ours'])}"
        )


if __name__ == "__main__":
    main()
