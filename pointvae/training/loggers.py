"""Where figures go beside ``metrics.csv``: TensorBoard, Weights & Biases, MLflow, through Lightning's loggers."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from pointvae.errors import InputError
from pointvae.processes import is_main_process
from pointvae.refusals import near
from pointvae.writing import write_text

if TYPE_CHECKING:
    from lightning.pytorch import Trainer
    from lightning.pytorch.loggers import Logger

NAMES = ("tensorboard", "wandb", "mlflow", "none")
IDS = "loggers.json"
"""The file of a run folder with the ids that a server knows the run by, so that a resumed run goes on there."""
PROJECT = "pointvae"
MENDS = {
    "wandb": "log in with `wandb login`, or write to the run folder alone with WANDB_MODE=offline",
    "mlflow": "see to MLFLOW_TRACKING_URI, or unset it and have all of mlflow installed, not mlflow-skinny",
}

logger = logging.getLogger(__name__)


def logger_names(text: str) -> list[str]:
    """The loggers that a text such as ``tensorboard,wandb`` asks for; none for ``none``.

    Raises:
        InputError: a name is unknown, ``none`` stands beside others, or a package is not installed.

    Example:
        >>> logger_names("none"), logger_names("tensorboard")
        ([], ['tensorboard'])
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in NAMES:
            raise InputError(f"--logger: unknown {name!r}{near(name, NAMES)}; choose of {', '.join(NAMES)}")
    if not names or ("none" in names and len(names) > 1):
        raise InputError(f"--logger {text!r}: name one or more of {', '.join(NAMES[:-1])}, or none alone")
    for name in names:
        if name in MENDS and find_spec(name) is None:
            raise InputError(f"--logger {name}: {name} is not installed; pip install 'pointvae[{name}]'")
    return [name for name in names if name != "none"]


@contextmanager
def logging_to(trainer: Trainer, names: Sequence[str], run: Path, config: Mapping[str, Any]) -> Iterator[None]:
    """Give a trainer its loggers for a while, and begin with servers before the first step, not after an epoch.

    The run folder keeps the ids that servers know the run by. Where one refuses, a folder that held no run before
    is as it was.

    Args:
        trainer: Lightning's; only its first process speaks to servers.
        names: as `logger_names` gives them.
        run: the run folder, where each of them writes unless its own environment variables name a server.
        config: the settings, which servers are told.

    Raises:
        InputError: a server refuses, or is not there; no step was made.
    """
    fresh = is_main_process() and {path.name for path in run.iterdir()} <= {"config.yaml"}
    foreign = "wandb" in names and _is_begun()
    try:
        trainer.loggers = made = [log for name in names if (log := _begun(name, run, config)) is not None]
        if is_main_process():
            _keep_ids(made, run)
    except InputError:
        if fresh:
            shutil.rmtree(run, ignore_errors=True)
        raise
    code = 1
    try:
        with _one_line_a_thread():
            yield
        code = 0
    finally:
        for log in made:  # Lightning leaves it open, and the next training of this process would write to it
            if _kind(log) == "wandb" and not foreign:
                log.experiment.finish(exit_code=code)  # type: ignore[attr-defined]


@contextmanager
def _one_line_a_thread() -> Iterator[None]:
    """A full disk in a thread that writes events is told in one line; the next write tells the training of it."""
    before = threading.excepthook

    def told(fault: threading.ExceptHookArgs) -> None:
        if isinstance(fault.exc_value, OSError):
            logger.warning("TensorBoard's events cannot be written: %s", fault.exc_value)
        else:
            before(fault)

    threading.excepthook = told
    try:
        yield
    finally:
        if threading.excepthook is told:
            threading.excepthook = before


def _begun(name: str, run: Path, config: Mapping[str, Any]) -> Logger | None:
    """A logger, which has told its server the settings, if it has one; None where TensorBoard is not installed."""
    if name == "tensorboard":
        return _tensorboard(run)
    if not is_main_process():
        from lightning.pytorch.loggers.logger import DummyLogger

        return DummyLogger()
    try:
        log = {"wandb": _wandb, "mlflow": _mlflow}[name](run)
        if name != "mlflow" or name not in _known_ids(run):  # MLflow lets no setting change, such as the epochs
            log.log_hyperparams(dict(config))
        assert log.version  # asks the server
    except InputError:
        raise
    except Exception as error:  # whatever a client may raise of networks, logins and stores
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"--logger {name}: cannot begin ({reason}); {MENDS[name]}") from error
    return log


def _is_begun() -> bool:
    """Whether a W&B run was begun before this training, as a sweep does, so that it is not ours to end."""
    import wandb

    return wandb.run is not None


def _keep_ids(loggers: Sequence[Logger], run: Path) -> None:
    ids = {_kind(log): str(log.version) for log in loggers if _kind(log) in MENDS}
    if ids:
        write_text(run / IDS, json.dumps(_known_ids(run) | ids, indent=1) + "\n")


def log_picture(log: Logger, name: str, picture: Any, step: int) -> None:
    """Give a logger an image, uint8 (height, width, 3), under a name, where it takes any."""
    kind = _kind(log)
    experiment: Any = getattr(log, "experiment", None)
    if kind == "tensorboard":
        experiment.add_image(name, picture, step, dataformats="HWC")
    elif kind == "wandb":
        log.log_image(key=name, images=[picture], step=step)  # type: ignore[attr-defined]
    elif kind == "mlflow":
        experiment.log_image(log.version, picture, key=name, step=step)


def _kind(log: Logger) -> str:
    return {"TensorBoardLogger": "tensorboard", "WandbLogger": "wandb", "MLFlowLogger": "mlflow"}.get(
        type(log).__name__, ""
    )


def _known_ids(run: Path) -> dict[str, str]:
    path = run / IDS
    if not path.is_file():
        return {}
    try:
        ids = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): str(value) for name, value in ids.items()}
    except (ValueError, AttributeError):
        raise InputError(f"{path}: is damaged; remove it, and the loggers begin a new run on their servers") from None


def _tensorboard(run: Path) -> Logger | None:
    """Events beside the metrics file, where TensorBoard is installed."""
    from lightning.pytorch.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(save_dir=run, name="", version="tensorboard")
    except ModuleNotFoundError:
        logger.warning("no TensorBoard events are written: install tensorboard to have them; metrics.csv has it all")
        return None


def _wandb(run: Path) -> Logger:
    from lightning.pytorch.loggers import WandbLogger

    number = _known_ids(run).get("wandb") or token_hex(4)  # its own draw: no generator of a training is touched
    project = os.environ.get("WANDB_PROJECT", PROJECT)
    return WandbLogger(name=run.name, save_dir=run, id=number, project=project, resume="allow")


def _mlflow(run: Path) -> Logger:
    from lightning.pytorch.loggers import MLFlowLogger

    server, place = os.environ.get("MLFLOW_TRACKING_URI"), run.resolve()
    return MLFlowLogger(
        experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT),
        run_name=run.name,
        tracking_uri=server or f"sqlite:///{place / 'mlflow.db'}",
        artifact_location=None if server else (place / "mlflow").as_uri(),
        run_id=_known_ids(run).get("mlflow"),
    )
