"""The loop itself: Lightning's trainer over a training module, and the run folder that comes of it."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from errno import ECONNABORTED
from pathlib import Path
from shutil import which
from signal import SIGINT
from typing import TYPE_CHECKING, Any

from pointvae.errors import InputError
from pointvae.hub import save_pretrained
from pointvae.models.vae import PointVAE
from pointvae.processes import as_launched, is_lost_process, is_main_process, launcher
from pointvae.training.checkpoint_files import sound_checkpoint
from pointvae.training.loggers import logger_names, logging_to
from pointvae.training.not_finite import NotFiniteError, described
from pointvae.training.run_folder import write_config, write_model_card
from pointvae.version import __version__
from pointvae.writing import sole_writer

if TYPE_CHECKING:
    import numpy.typing as npt
    from lightning.pytorch import Callback, Trainer
    from torch import Tensor
    from torch.utils.data import DataLoader

    from pointvae.training.batches import EpochLoader
    from pointvae.training.checkpoints import Checkpoints
    from pointvae.training.module import TrainingModule

    Loader = DataLoader[Tensor] | EpochLoader
    Loaders = tuple[Loader, Loader | None]

logger = logging.getLogger(__name__)
MACHINE = ("accelerator", "devices", "strategy", "num_nodes", "precision")
CHECKPOINT_EVERY = 1_000  # steps
PICTURES_EVERY = 10  # epochs; what a picture costs is in docs/tracking.md
OBSERVER = "lightning.fabric.strategies.launchers.subprocess_script"  # says which process ended before it ends all
ADVICE = (
    ".*does not have many workers.*",
    ".*GPU available but not used.*",
    ".*treespec, LeafSpec.*",
    ".*have no `val_dataloader`.*",
    ".*in eval mode at the start of training.*",
    ".*dataloader is not resumable.*",  # ours is, see checkpoints.py
)


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        path: the run folder.
        model: the trained model, in evaluation mode.
        metrics: the last epoch's figures by name.
    """

    path: Path
    model: PointVAE
    metrics: dict[str, float]


def check_settings(
    epochs: int,
    batch_size: int,
    points: int,
    learning_rate: float,
    checkpoint_every: int = CHECKPOINT_EVERY,
    pictures_every: int = PICTURES_EVERY,
) -> None:
    """Refuse numbers that no training can have.

    Raises:
        InputError: one is out of range.
    """
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("points", points)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")
    if not learning_rate > 0:
        raise InputError(f"learning_rate must be above 0, got {learning_rate}")
    for name, value in (("checkpoint_every", checkpoint_every), ("pictures_every", pictures_every)):
        if value < 0:
            raise InputError(f"{name} must be at least 0, got {value}")


def compile_decoder(model: PointVAE) -> None:
    """Let torch.compile make the decoder's code at its first use; names and weights stay.

    The encoders' layers are written by hand already, with numpy where it is the faster, and stay as they are.

    Raises:
        InputError: there is no C++ compiler.
    """
    if not any(which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++", "cl")):
        raise InputError("--compile: torch.compile needs a C++ compiler and finds none; install g++, or leave it out")
    model.decoder.compile()


def train(
    module: TrainingModule,
    loaders: Callable[[int, int], Loaders],
    run: Path,
    config: Mapping[str, Any],
    facts: Mapping[str, Any],
    *,
    command: str,
    resume: bool,
    progress: bool,
    checkpoint_every: int = CHECKPOINT_EVERY,
    ema: float = 0.0,
    names: Callable[[npt.NDArray[Any]], list[str]] | None = None,
) -> Run:
    """Train a module's model and write its run folder, which `check_folder` has found fit.

    Args:
        module: the model, its objective and where a step's clouds come from.
        loaders: the batches to train on and to validate on, from a process's rank and the number of processes.
        run: the run folder.
        config: what ``config.yaml`` holds: every setting, the machine's too.
        facts: what ``config.json`` holds beside the model, its version and its figures.
        command: the verb and its first argument, for the line that repeats the run.
        resume: go on from the run folder's last checkpoint, if it has one.
        progress: show a bar on stderr.
        checkpoint_every: steps between two checkpoints within an epoch; 0 for none but at its end.
        ema: the decay of the weights' moving average, which is validated and saved; 0 for none.
        names: the names of the shapes at some rows of the set, where they have any.

    Raises:
        InputError: Lightning refuses the machine's settings, and nothing was written; or a term or a gradient is no
            longer finite, or a shard could no longer be read, and the last checkpoint stands.
        KeyboardInterrupt: on Ctrl-C, SIGTERM or SIGUSR1, after the step and its checkpoint, with how to go on.
        OSError: the run folder can no longer be written, or is gone; it tells how to go on.
        ConnectionAbortedError: another process of the training ended.
    """
    from pointvae.training.averaging import AveragedWeights
    from pointvae.training.callbacks import last_metrics
    from pointvae.training.checkpoints import Checkpoints
    from pointvae.training.pictures import Pictures

    kept = sound_checkpoint(run) if resume else None
    machine = as_launched({name: config[name] for name in MACHINE})
    checkpoints = Checkpoints(run, checkpoint_every)
    averaged = AveragedWeights(ema)
    callbacks = [averaged, Pictures(config["pictures_every"], averaged), checkpoints]
    trainer = _trainer(run, config["epochs"], machine, callbacks, progress and is_main_process())
    if launcher() is not None:  # all must have looked at the folder before one of them writes
        with _quiet():
            trainer.strategy.setup_environment()
            trainer.strategy.barrier()
    if config.get("compile"):
        compile_decoder(module.model)
    if is_main_process():
        run.mkdir(parents=True, exist_ok=True)
    with sole_writer(run) if is_main_process() else nullcontext():
        if is_main_process():
            write_config(run, config, command)
        batches, held = loaders(trainer.global_rank, trainer.world_size)
        with _quiet(), logging_to(trainer, logger_names(config["logger"]), run, config):
            try:
                with _telling_the_way_on(run, checkpoints):
                    trainer.fit(module, batches, held, ckpt_path=kept and str(kept), weights_only=True)
            except SystemExit:  # Lightning's answer to Ctrl-C
                if not trainer.interrupted:
                    raise
                told = f"interrupted in epoch {trainer.current_epoch + 1} of {config['epochs']}"
                if checkpoints.stop.received not in (None, SIGINT):
                    told = f"{told}, by {checkpoints.stop.received.name}"
                raise KeyboardInterrupt(f"{told}; {_way_on(checkpoints)}") from None
            except NotFiniteError as error:
                told = described(error, batches, names)
                raise InputError(
                    f"{told}; the weights were not changed by it; look at these shapes, or train again with a lower "
                    f"--learning_rate than {config['learning_rate']}: {_kept(checkpoints)}"
                ) from None
            except InputError as error:  # a shard that can no longer be read
                if checkpoints.step is None:
                    raise
                raise InputError(f"{error}; {_way_on(checkpoints)}") from None
            except RuntimeError as error:
                if not is_lost_process(error):
                    raise
                ended = f"another of its {trainer.world_size} processes ended, and this one with it"
                raise ConnectionAbortedError(ECONNABORTED, f"{ended}; {_way_on(checkpoints)}", str(run)) from error
            finally:
                checkpoints.stop.release()
        model = module.model.eval()
        metrics = last_metrics(run)
        if trainer.is_global_zero:
            whole = {**facts, "version": __version__, "metrics": metrics}
            with _telling_the_way_on(run, checkpoints):
                save_pretrained(model, run, whole)
                write_model_card(run, {"model_class": type(model).__name__, "model": model.config, **whole}, metrics)
        return Run(run, model, metrics)


@contextmanager
def _telling_the_way_on(run: Path, checkpoints: Checkpoints) -> Iterator[None]:
    """Where the system lets nothing more be written (a full disk, a folder that is gone): what, and how to go on."""
    try:
        yield
    except OSError as error:
        told = f"{error.strerror or error}; once that is mended, {_way_on(checkpoints)}"
        raise OSError(error.errno, told, os.fsdecode(error.filename or run)) from error


def _kept(checkpoints: Checkpoints) -> str:
    return (
        f"the checkpoint after step {checkpoints.step} stands" if checkpoints.step else "there is no checkpoint yet"
    )


def _way_on(checkpoints: Checkpoints) -> str:
    kept = "starts anew: there is no checkpoint yet"
    if checkpoints.step is not None:
        kept = f"goes on from the last checkpoint, after step {checkpoints.step}"
    return f"the same command with --resume {kept}"


def _trainer(run: Path, epochs: int, machine: dict[str, Any], own: list[Callback], progress: bool) -> Trainer:
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch import Trainer

    from pointvae.training.callbacks import CollapseWarning, MetricsFile, ProgressBar

    callbacks = [MetricsFile(run), CollapseWarning(), *own] + ([ProgressBar()] if progress else [])
    with _quiet():
        try:
            return Trainer(
                max_epochs=epochs,
                callbacks=callbacks,
                logger=False,  # those wanted are made once the folder is there
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                log_every_n_steps=1,
                use_distributed_sampler=False,
                **machine,
            )
        except (MisconfigurationException, ValueError, RuntimeError) as error:
            told = ", ".join(f"{name} {value}" for name, value in machine.items())
            raise InputError(f"Lightning refuses {told}: {' '.join(str(error).split())}") from None


def _tell(record: logging.LogRecord) -> bool:
    """Say once what Lightning would say twice: which process ended, so that it ends the others."""
    logger.error("%s", record.getMessage())
    return False


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice about loaders and devices from drowning our own words."""
    wanted = {"lightning.pytorch": logging.ERROR, "lightning.fabric": logging.ERROR, OBSERVER: logging.INFO}
    levels = {name: logging.getLogger(name).level for name in wanted}
    for name, level in wanted.items():
        logging.getLogger(name).setLevel(level)
    logging.getLogger(OBSERVER).addFilter(_tell)
    try:
        with warnings.catch_warnings():
            for message in ADVICE:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        logging.getLogger(OBSERVER).removeFilter(_tell)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
