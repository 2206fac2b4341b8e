"""Which of several training processes this one is, and who started them, before Lightning has told any of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pointvae.errors import InputError


@dataclass(frozen=True)
class Launcher:
    """What started the processes of one training, all at once and from outside.

    Attributes:
        name: ``torchrun`` or ``srun``.
        rank: which of all processes this one is.
        local_rank: which of those on its machine.
        devices: processes on each machine.
        num_nodes: machines.
    """

    name: str
    rank: int
    local_rank: int
    devices: int
    num_nodes: int


def launcher() -> Launcher | None:
    """Who started this process from outside; None for a plain start, and where Lightning starts the others itself.

    The rule is Lightning's: torchrun may run within SLURM, and a SLURM shell (a job named ``bash`` or
    ``interactive``) starts nothing.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        world, devices = _number("WORLD_SIZE", 1), _number("LOCAL_WORLD_SIZE", 1)
        return Launcher("torchrun", _number("RANK", 0), _number("LOCAL_RANK", 0), devices, max(1, world // devices))
    if "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        tasks, nodes = _number("SLURM_NTASKS", 1), _number("SLURM_NNODES", 1)
        devices = _number("SLURM_NTASKS_PER_NODE", max(1, tasks // nodes))
        return Launcher("srun", _number("SLURM_PROCID", 0), _number("SLURM_LOCALID", 0), devices, nodes)
    return None


def _number(name: str, absent: int) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdigit() else absent


def is_main_process() -> bool:
    """Whether this process writes files and speaks: the only one, or the first of those a launcher started."""
    outside = launcher()
    if outside is not None:
        return outside.rank == 0
    return all(_number(name, 0) == 0 for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))


def tells_faults() -> bool:
    """Whether this process says why it stops: the first on its machine, since others may have faults of their own."""
    outside = launcher()
    return outside.local_rank == 0 if outside is not None else _number("LOCAL_RANK", 0) == 0


def starts_alone() -> bool:
    """Whether this process began before there was a main one to look at the run folder for it.

    Lightning starts its processes once the main one has looked, and written; launchers start all at the same time.
    """
    return launcher() is not None or is_main_process()


def is_lost_process(error: RuntimeError) -> bool:
    """Whether torch failed because a process that it spoke with is no more."""
    from torch import distributed

    return "gloo/transport" in str(error) or (distributed.is_available() and isinstance(error, distributed.DistError))


def as_launched(machine: Mapping[str, Any]) -> dict[str, Any]:
    """Lightning's settings, with the devices and machines of the launcher where one started this process.

    Raises:
        InputError: other numbers were asked for, or SLURM has several tasks and none of them was started.
    """
    outside = launcher()
    if outside is None:
        return dict(machine)
    if outside.name == "srun" and outside.devices * outside.num_nodes > 1 and "SLURM_STEP_ID" not in os.environ:
        raise InputError(
            f"SLURM has {outside.devices * outside.num_nodes} tasks for this job, but srun did not start this one, "
            "which would wait for the others for ever; write srun before the command"
        )
    devices, nodes = str(machine["devices"]), int(machine["num_nodes"])
    listed = len(devices.split(",")) if "," in devices else None
    if devices not in ("1", "auto", "-1", str(outside.devices)) and listed != outside.devices:
        raise InputError(
            f"--devices {devices}: {outside.name} started {outside.devices} on each machine; leave --devices out"
        )
    if nodes not in (1, outside.num_nodes):
        raise InputError(f"--num-nodes {nodes}: {outside.name} started {outside.num_nodes}; leave --num-nodes out")
    kept = devices if listed else outside.devices
    return {**machine, "devices": kept, "num_nodes": outside.num_nodes}
