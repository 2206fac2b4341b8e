"""When a training writes down how far it is, so that nothing after that is lost or done twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from pointvae.training.batches import EpochLoader
from pointvae.training.checkpoint_files import CHECKPOINT, remove_leftovers, replaced_checkpoint
from pointvae.training.stopping import StopRequest


class Checkpoints(Checkpoint):
    """Write the checkpoint at the end of every epoch, within it after every so many steps, and when asked to stop.

    Lightning calls callbacks of this kind last, when the figures of an epoch are written.

    Args:
        run: the run folder.
        every: steps of the whole training between two checkpoints within epochs; 0 for none.
    """

    def __init__(self, run: Path, every: int) -> None:
        self.run, self.every = run, every
        self.step: int | None = None
        """The step after which the last checkpoint was written."""
        self.stop = StopRequest()
        self._position: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        """Where in an epoch the checkpoint stands; nothing at its end."""
        return self._position

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remember where in an epoch the checkpoint stood."""
        self._position = state

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Go on where the checkpoint stood; clear away what a process that was killed while it wrote has left.

        Lightning's own way, a loader with ``load_state_dict``, is not used: it has none where the length of the
        training is asked for to make the optimizer, since that sets the loader up before the checkpoint is read.
        """
        self.step = trainer.global_step or None
        if self._position:
            _loader(trainer).go_on(self._position)
        if trainer.is_global_zero:
            remove_leftovers(self.run)
        self.stop.listen()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write, but not after an epoch's last step: the held-out shapes and the epoch's row are still to come.

        Raises:
            KeyboardInterrupt: a signal asked for an end, and the checkpoint is written.
        """
        if batch_idx + 1 == trainer.num_training_batches:
            return
        stop = self.stop.agreed(trainer)
        if stop or (self.every and trainer.global_step % self.every == 0):
            self._position = _loader(trainer).position(batch_idx + 1)
            self._write(trainer, stop)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write.

        Raises:
            KeyboardInterrupt: a signal asked for an end, which this is not yet, and the checkpoint is written.
        """
        self._position = {}
        last = trainer.current_epoch + 1 == trainer.max_epochs
        self._write(trainer, self.stop.decided(trainer) and not last)

    def _write(self, trainer: pl.Trainer, stop: bool) -> None:
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.run / CHECKPOINT)  # takes part in what is gathered, and writes nothing
        else:
            with replaced_checkpoint(self.run) as temporary:
                trainer.save_checkpoint(temporary)
        self.step = trainer.global_step
        if stop:
            trainer.strategy.barrier()  # none may end, and be seen to have ended, before the file has its name
            raise KeyboardInterrupt


def _loader(trainer: pl.Trainer) -> EpochLoader:
    loader = trainer.train_dataloader
    assert isinstance(loader, EpochLoader)
    return loader
