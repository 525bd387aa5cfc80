"""The base of classes that are laid over another optimizer's class, as SAM is over SGD: their options, its step."""

from __future__ import annotations

from typing import Any

import torch


class Mixin(torch.optim.Optimizer):
    """Gives another optimizer's class more options, by group as all others: class Mine(Mixin, torch.optim.AdamW)."""

    checked_options: frozenset[str]
    """Names of the options that `_check_group` looks at."""

    def _adopt(self, options: dict[str, Any]) -> None:
        """Gives all groups the `options` they lack, with these defaults; to be called once the other class is built."""
        self.defaults.update(options)
        for group in self.param_groups:
            for key, value in options.items():
                group.setdefault(key, value)
            self._check_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        # While the other class is built, its groups do not have them yet.
        if self.param_groups[-1].keys() >= self.checked_options:
            self._check_group(self.param_groups[-1])

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Gives groups from before, or of the other class alone, the options they lack."""
        super().__setstate__(state)
        for group in self.param_groups:
            for key, value in self.defaults.items():
                group.setdefault(key, value)

    def _check_group(self, group: dict[str, Any]) -> None:
        """Raises ValueError where an option of the group is out of its range."""
        raise NotImplementedError


def bare_step(step: Any, *arguments: Any) -> Any:
    """Calls a base class's bound `step` without the hooks that torch puts around the step of every class.

    The hooks of the subclass's step have run already.
    """
    function = step.__func__
    return (function.__wrapped__ if getattr(function, "hooked", False) else function)(step.__self__, *arguments)
