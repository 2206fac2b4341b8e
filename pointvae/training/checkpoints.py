"""When a training writes down how far it is, so that nothing after that is lost or done twice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from pointvae.training.batches import EpochLoader
from pointvae.training.run_folder import CHECKPOINT
from pointvae.writing import whole_file


class Checkpoints(Checkpoint):
    """Write the checkpoint at the end of every epoch, and within it after every so many steps.

    Lightning calls callbacks of this kind last, when the figures of an epoch are written.

    Args:
        run: the run folder.
        every: steps of the whole training between two checkpoints within epochs; 0 for none.
    """

    def __init__(self, run: Path, every: int) -> None:
        self.path, self.every = run / CHECKPOINT, every
        self.step: int | None = None
        """The step after which the last checkpoint was written."""
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
            for leftover in self.path.parent.glob(f".{self.path.name}.*.tmp"):
                leftover.unlink(missing_ok=True)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write, but not after an epoch's last step: the held-out shapes and the epoch's row are still to come."""
        if self.every and trainer.global_step % self.every == 0 and batch_idx + 1 < trainer.num_training_batches:
            self._position = _loader(trainer).position(batch_idx + 1)
            self._write(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write."""
        self._position = {}
        self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.path)  # takes part in what the processes gather, and writes nothing
        else:
            with whole_file(self.path) as temporary:
                trainer.save_checkpoint(temporary)
                _to_disk(temporary)
            _to_disk(self.path.parent)
        self.step = trainer.global_step


def _loader(trainer: pl.Trainer) -> EpochLoader:
    loader = trainer.train_dataloader
    assert isinstance(loader, EpochLoader)
    return loader


def _to_disk(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, would outlive a power cut."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
