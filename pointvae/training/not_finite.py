"""The end of a training whose numbers are no longer finite: which term, at which step, of which shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn

from pointvae.objectives.base import Terms
from pointvae.training.batches import EpochLoader

Integers = npt.NDArray[np.integer[Any]]
SHOWN = 5  # names

EVERY = 50
"""Steps that a device may run ahead of the look at its numbers, for which it has to be waited."""


@dataclass(frozen=True)
class Fault:
    """What was not finite, on one process.

    Attributes:
        step: the step, counted from 1.
        epoch: its epoch, counted from 0.
        batch: its number in the epoch, counted from 0.
        terms: the names of the terms that were not finite, empty where all were.
        rows: the rows of this process's batch to blame; all of them where only a gradient was not finite.
    """

    step: int
    epoch: int
    batch: int
    terms: list[str]
    rows: list[int]


class NotFiniteError(ArithmeticError):
    """A step's numbers are not finite, on every process alike.

    Args:
        faults: what each process saw, by rank.
    """

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("a loss or a gradient is not finite")
        self.faults = faults


@dataclass
class _Step:
    step: int
    epoch: int
    batch: int
    names: tuple[str, ...]
    values: Tensor  # [terms, B]
    gradient: Tensor | None = None


class FiniteGuard:
    """Looks at the terms and at the gradient of every step: at once on a CPU, of up to `EVERY` steps elsewhere.

    Several processes ask each other, and stop at the same step. A gradient scaler (precision ``16-mixed``) expects
    gradients that are not finite; there the terms alone count.
    """

    def __init__(self) -> None:
        self._steps: list[_Step] = []

    def note_terms(self, terms: Terms, step: int, epoch: int, batch: int) -> None:
        """Remember the terms of a step that follows ``step`` others."""
        values = torch.stack([term.value.detach().float() for term in terms.values() if term.weight != 0])
        names = tuple(name for name, term in terms.items() if term.weight != 0)
        self._steps.append(_Step(step + 1, epoch, batch, names, values))

    def note_gradient(self, parameters: Iterable[nn.Parameter]) -> None:
        """Remember the gradient of the step whose terms were noted last; look at all, where it costs no wait.

        Raises:
            NotFiniteError: there was a step whose numbers are not finite.
        """
        sums = [p.grad.detach().float().sum() for p in parameters if p.grad is not None]
        if self._steps and sums:
            self._steps[-1].gradient = torch.stack(sums).sum()
        if not self._waits() or len(self._steps) >= EVERY:
            self.look()

    def _waits(self) -> bool:
        """Whether a look at the numbers is a wait for a device."""
        return bool(self._steps) and self._steps[-1].values.device.type != "cpu"

    def look(self) -> None:
        """Look at the steps since the last look.

        Raises:
            NotFiniteError: there was one whose numbers are not finite.
        """
        steps, self._steps = self._steps, []
        if not steps:
            return
        alone = not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1)
        sums = [step.values.sum() if step.gradient is None else step.values.sum() + step.gradient for step in steps]
        fine = torch.stack(sums).isfinite().float()
        if not alone:
            dist.all_reduce(fine, dist.ReduceOp.MIN)  # that all stop at the same step
        flags = fine.tolist()
        if all(flags):
            return
        mine = _fault(steps[flags.index(0.0)])
        if alone:
            raise NotFiniteError([mine])
        faults: list[Fault] = [mine] * dist.get_world_size()
        dist.all_gather_object(faults, mine)
        raise NotFiniteError(faults)


def _fault(step: _Step) -> Fault:
    wrong = ~step.values.isfinite()
    terms = [name for name, row in zip(step.names, wrong, strict=True) if row.any()]
    rows = wrong.any(dim=0).nonzero()[:, 0].tolist() if terms else list(range(step.values.shape[1]))
    return Fault(step.step, step.epoch, step.batch, terms, rows)


def described(error: NotFiniteError, loader: object, names: Callable[[Integers], list[str]] | None) -> str:
    """What happened, in words: the step, the terms and the shapes.

    Args:
        error: what was found.
        loader: the batches trained on; their order tells which shapes a batch held.
        names: the names of the shapes at some rows of the set; None where the clouds have none.
    """
    first = error.faults[0]
    terms = list(dict.fromkeys(name for fault in error.faults for name in fault.terms))
    blamed = [(rank, fault) for rank, fault in enumerate(error.faults) if fault.terms or not terms]
    if isinstance(loader, EpochLoader) and names is not None:
        rows = [loader.rows(fault.epoch, fault.batch, fault.rows, rank) for rank, fault in blamed]
        shapes = names(np.unique(np.concatenate(rows)))
    else:
        shapes = [f"number {row} of process {rank}'s batch" for rank, fault in blamed for row in fault.rows]
    listed = ", ".join(shapes[:SHOWN]) + (f" and {len(shapes) - SHOWN} more" if len(shapes) > SHOWN else "")
    what = f"{', '.join(terms)} of" if terms else "the gradient, though every term is, of the batch of"
    return f"not finite at step {first.step}, in epoch {first.epoch + 1}: {what} {listed}"
