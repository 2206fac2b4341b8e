"""Means over an epoch that stay whole when the epoch is cut in two by a checkpoint."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor


class EpochMeans:
    """Sums of an epoch's terms so far, by name; a checkpoint keeps every process's own, so that they add up alike.

    Lightning's own sums are not in its checkpoints: after a resume its means are those of the rest of the epoch.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, values: dict[str, Tensor], size: int) -> None:
        """Add the means over a batch of ``size`` shapes; the same names at every step of an epoch."""
        for name, value in values.items():
            so_far = self._sums.get(name, torch.zeros(())).to(value.device)
            self._sums[name] = so_far + value.detach().float() * size
        self._count += size

    def reset(self) -> None:
        """Start a new epoch."""
        self._sums, self._count = {}, 0

    def over(self, trainer: pl.Trainer) -> dict[str, float]:
        """The means over the shapes of all processes, of which each has seen as many."""
        if not self._sums:
            return {}
        sums = trainer.strategy.reduce(torch.stack(list(self._sums.values())), reduce_op="sum")
        assert isinstance(sums, Tensor)
        return dict(zip(self._sums, (sums / (self._count * trainer.world_size)).tolist(), strict=True))

    def state_dict(self, trainer: pl.Trainer) -> dict[str, Any]:
        """What a checkpoint keeps, the sums of all processes [W, names]; every process must ask for it at once."""
        if not self._sums:
            return {}
        own = torch.stack(list(self._sums.values()))
        return {
            "names": list(self._sums),
            "sums": trainer.strategy.all_gather(own).reshape(trainer.world_size, -1).cpu(),
            "count": self._count,
        }

    def load_state_dict(self, state: dict[str, Any], rank: int) -> None:
        """Go on from what a checkpoint kept."""
        self.reset()
        if state:
            self._sums = dict(zip(state["names"], state["sums"][rank].unbind(), strict=True))
            self._count = int(state["count"])
