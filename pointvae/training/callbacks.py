"""What happens beside the steps: progress, the metrics file, and the warning of a collapse."""

from __future__ import annotations

import csv
import io
import logging
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from pointvae.training.module import TrainingModule
from pointvae.writing import write_text

logger = logging.getLogger(__name__)

SETTLED_STEPS = 100
SHOWN = ("loss", "reconstruction", "kl", "consistency", "self_consistency")


class MetricsFile(pl.Callback):
    """Write ``metrics.csv`` (a row each epoch) and ``kl_per_dimension.csv``, whole at every epoch's end.

    Args:
        run: the run folder. Rows of epochs already there are kept, so that a resumed run goes on.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.rows: dict[int, dict[str, Any]] = {}
        self.kl_rows: dict[int, dict[str, Any]] = {}
        self._points = 0
        self._started = 0.0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Read the rows of the epochs made before, and start the clock, for an epoch that goes on in its middle."""
        self.on_train_epoch_start(trainer, module)
        for rows, name in ((self.rows, "metrics.csv"), (self.kl_rows, "kl_per_dimension.csv")):
            path = self.run / name
            if trainer.current_epoch > 0 and path.is_file():
                with path.open(newline="", encoding="utf-8") as file:
                    rows.update({int(row["epoch"]): dict(row) for row in csv.DictReader(file)})

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started, self._points = time.monotonic(), 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count points."""
        assert isinstance(module, TrainingModule)
        self._points += len(batch) * min(batch.shape[1], module.points) * trainer.world_size
        self._stopped = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Add the epoch's row."""
        assert isinstance(module, TrainingModule)
        epoch = trainer.current_epoch + 1
        means = module.means.over(trainer)
        for log in trainer.loggers:
            log.log_metrics(means, step=trainer.global_step - 1)
        values = means | {n: float(v) for n, v in trainer.callback_metrics.items() if n.startswith("val/")}
        rate = self._points / max(self._stopped - self._started, 1e-9)
        self.rows[epoch] = {"epoch": epoch, "step": trainer.global_step, **values, "points_per_second": rate}
        if trainer.global_rank == 0:
            write_table(self.run / "metrics.csv", list(self.rows.values()))
            logger.info("epoch %d of %d: %s", epoch, trainer.max_epochs, summarise(values))
        if "val/loss" in values:
            each = {f"d{i}": float(v) for i, v in enumerate(module.kl_per_dimension)}
            self.kl_rows[epoch] = {"epoch": epoch, **each}
            if trainer.global_rank == 0:
                write_table(self.run / "kl_per_dimension.csv", list(self.kl_rows.values()))


def summarise(values: dict[str, float]) -> str:
    """One line of an epoch's main figures, for people."""
    shown = [("loss", "train/loss"), ("held-out loss", "val/loss"), ("KL", "val/kl")]
    shown += [
        ("active units", "val/active_units"),
        ("gap", "val/consistency_gap"),
        ("drift", "val/drift"),
        ("CD", "val/cd_l2_mean"),
    ]
    return ", ".join(f"{label} {values[name]:.4g}" for label, name in shown if name in values)


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV, whole or not at all; a column that a row lacks is empty."""
    columns = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def last_metrics(run: Path) -> dict[str, float]:
    """The held-out figures of the last epoch in ``metrics.csv``."""
    path = run / "metrics.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    return {name: float(value) for name, value in last.items() if name.startswith("val/") and value}


class CollapseWarning(pl.Callback):
    """Say so once, and what to change, when the posterior carries next to nothing."""

    def __init__(self) -> None:
        self.told = False

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Look at the number of active units, once the model has had time to move and has logged them."""
        assert isinstance(module, TrainingModule)
        if trainer.sanity_checking or trainer.global_step < SETTLED_STEPS or trainer.global_rank != 0 or self.told:
            return
        active = int(trainer.callback_metrics["val/active_units"])
        if active <= max(1, module.model.latent_dim // 50):
            self.told = True
            logger.warning(
                "posterior collapse: %d of %d latent units are active, so every shape decodes alike; make the "
                "likelihood sharper (likelihood_args sigma, now %s), lower the objective's beta, give it "
                "warmup_steps or free_bits, or lower the consistency weight",
                active,
                module.model.latent_dim,
                module.model.config["likelihood_args"].get("sigma", 0.05),
            )


class ProgressBar(pl.Callback):
    """A bar on stderr: epoch, terms in nats, points per second, time left for the whole run."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[terms]}"),
            console=Console(stderr=True),
        )

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the bar, at the epoch where a resumed run goes on."""
        total = int(trainer.estimated_stepping_batches)
        self.task = self.progress.add_task("training", total=total, completed=trainer.global_step, terms="")
        self.progress.start()
        self._since, self._points = time.monotonic(), 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar; the figures at most twice a second, since reading them waits for the device."""
        assert isinstance(module, TrainingModule)
        self._points += len(batch) * min(batch.shape[1], module.points) * trainer.world_size
        elapsed = time.monotonic() - self._since
        if elapsed > 0.5:
            terms = [f"{n} {float(module.latest[n]):.1f}" for n in SHOWN if n in module.latest]
            text = f"{' '.join(terms)} nats, {self._points / elapsed:,.0f} points/s"
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self.progress.update(self.task, description=epoch, completed=trainer.global_step, terms=text)
            self._since, self._points = time.monotonic(), 0

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Fill and close the bar."""
        self.progress.update(self.task, completed=trainer.global_step)
        self.progress.stop()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self.progress.stop()
