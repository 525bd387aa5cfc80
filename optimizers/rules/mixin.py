"""What the classes share that are laid over another optimizer's class: options of their own, and its step."""

from __future__ import annotations

from typing import Any

import torch


class Mixin(torch.optim.Optimizer):
    """Gives another optimizer's class more options, by group as all others: class Mine(Mixin, torch.optim.AdamW)."""

    own: frozenset[str]
    """Names of the options that `_check_group` looks at."""

    def _adopt(self, options: dict[str, Any]) -> None:
        """To be called once the other class is built: the options with their defaults; what groups have they keep."""
        self.defaults.update(options)
        for group in self.param_groups:
            for key, value in options.items():
                group.setdefault(key, value)
            self._check_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        if self.param_groups[-1].keys() >= self.own:  # but while the other class is built
            self._check_group(self.param_groups[-1])

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Gives groups from before, or of the other class alone, the options they lack."""
        super().__setstate__(state)
        for group in self.param_groups:
            for key, value in self.defaults.items():
                group.setdefault(key, value)

    def _check_group(self, group: dict[str, Any]) -> None:
        """ValueError where an option of the group is out of its range."""
        raise NotImplementedError


def bare_step(step: Any, *arguments: Any) -> Any:
    """Calls a base class's bound `step` without the hooks that torch puts around that of every class it has built:
    those of the class that was asked have run."""
    function = step.__func__
    return (function.__wrapped__ if getattr(function, "hooked", False) else function)(step.__self__, *arguments)
