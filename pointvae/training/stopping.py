"""Being asked to stop: Ctrl-C, a scheduler's SIGTERM, a cluster's warning before it takes a machine away (USR1)."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))
AGREE_EVERY = 10
"""Steps after which several processes ask each other whether one is to stop; for that they wait for their devices."""


class StopRequest:
    """Remembers that a signal asked the training to stop, until it has come to the end of a step.

    A second signal stops at once, without another checkpoint.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[Any, Any] = {number: signal.getsignal(number) for number in SIGNALS}
        self._mine = False

    def listen(self) -> None:
        """Take the signals over, also from Lightning, which would let the processes of a training part."""
        if threading.current_thread() is threading.main_thread():
            self._mine = True
            for number in SIGNALS:
                signal.signal(number, self._note)

    def release(self) -> None:
        """Let the signals do again what they did before the training; Lightning leaves Ctrl-C ignored."""
        if self._mine:
            self._mine = False
            for number, handler in self._before.items():
                if handler is not None:  # None: not Python's to set
                    signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)

    def agreed(self, trainer: pl.Trainer) -> bool:
        """Whether all processes are to stop after this step; called by all of them after every step."""
        if trainer.world_size == 1:
            return self.received is not None
        if trainer.global_step % AGREE_EVERY:
            return False
        return self.decided(trainer)

    def decided(self, trainer: pl.Trainer) -> bool:
        """Whether any process was asked to stop."""
        if trainer.world_size == 1:
            return self.received is not None
        asked = torch.tensor(float(self.received is not None), device=trainer.strategy.root_device)
        return bool(trainer.strategy.reduce(asked, reduce_op="sum") > 0)
