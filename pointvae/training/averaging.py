"""The weights' moving average over a training's steps, which is validated, drawn and saved in the weights' place.

Lightning's ``EMAWeightAveraging`` is not used: it has no warm-up, waits for the device at every step, and leaves the
live weights in the model where a finished run is resumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from pointvae.models.precision import at_least_single
from pointvae.training.module import TrainingModule


class AveragedWeights(pl.Callback):
    """Keep a_t = d_t a_{t-1} + (1 - d_t) w_t of every weight w that is taught, d_t = min(decay, (1 + t) / (10 + t)).

    The smaller decay of the first steps t forgets the weights that training started from. Running statistics of batch
    norms are no weights: the model keeps its own, of the batches last seen. Every process has the same weights, and
    so the same average. The training itself is the same to the last digit with an average and without.

    Source of the warm-up: TensorFlow's ``ExponentialMovingAverage``.

    Args:
        decay: of a step, in [0, 1); 0 keeps no average, and changes nothing at all.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.average: dict[str, Tensor] = {}
        self._kept: dict[str, Tensor] = {}
        self._own: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """The average, beside the weights themselves, from which the training goes on."""
        return self.average

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remember the average that a checkpoint holds until the model is on its device."""
        self._kept = state

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start from the weights as they are, or from the checkpoint's average."""
        if self.decay:
            taught = _taught(module)
            self.average = {
                name: self._kept.get(name, at_least_single(weight)).to(weight.device, copy=True)
                for name, weight in taught.items()
            }

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average towards the weights that the step has made."""
        if self.decay:
            step = trainer.global_step
            taught = _taught(module)
            weights = [taught[name].to(value.dtype) for name, value in self.average.items()]
            move = get_ema_multi_avg_fn(min(self.decay, (1 + step) / (10 + step)))  # type: ignore[no-untyped-call]
            move(list(self.average.values()), weights, step)

    def on_validation_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Validate the average."""
        self._own = _replaced(module, self.average)

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Give the model its weights back."""
        _replaced(module, self._own)

    @contextmanager
    def used_in(self, module: pl.LightningModule) -> Iterator[None]:
        """Within the block the model's weights are the average; then they are its own again."""
        own = _replaced(module, self.average)
        try:
            yield
        finally:
            _replaced(module, own)

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Leave the average in the model, for good; of a finished run too that was resumed and made no step."""
        _replaced(module, self.average)


def _taught(module: pl.LightningModule) -> dict[str, Tensor]:
    """The weights that training changes, by name."""
    assert isinstance(module, TrainingModule)
    return {name: weight.detach() for name, weight in module.model.named_parameters() if weight.requires_grad}


def _replaced(module: pl.LightningModule, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put values in the place of weights, in the same memory, which others know; gives what was there."""
    taught = _taught(module)
    before = {name: taught[name].clone() for name in values}
    for name, value in values.items():
        taught[name].copy_(value)
    return before
