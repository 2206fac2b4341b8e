"""Who started a process; and trainings by Lightning, torchrun and srun: all the same, and none of them hangs."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pointvae import InputError, prepare
from pointvae.processes import Launcher, as_launched, is_main_process, launcher, starts_alone, tells_faults
from tests.ranks import free_port
from tests.training.test_distributed import WITHOUT_EFFECT

KNOWN = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID")
PLAIN = {name: value for name, value in os.environ.items() if name not in KNOWN and not name.startswith("SLURM_")}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "RANK": "2", "LOCAL_RANK": "0"}
MACHINE = {"accelerator": "cpu", "devices": "1", "strategy": "auto", "num_nodes": 1, "precision": "32-true"}


def slurm(rank: int, **more: str) -> dict[str, str]:
    """What srun tells the tasks of a job of two."""
    told = {"NTASKS": 2, "NTASKS_PER_NODE": 2, "NNODES": 1, "PROCID": rank, "LOCALID": rank, "NODEID": 0}
    told |= {"JOB_ID": 4711, "STEP_ID": 0, "JOB_NAME": "train", "NODELIST": "127.0.0.1"}
    return {f"SLURM_{name}": str(value) for name, value in told.items()} | more


@pytest.fixture
def told(monkeypatch):
    """Sets the environment to what a launcher tells, and nothing else."""

    def tell(**values: str) -> None:
        for name in [name for name in os.environ if name not in PLAIN]:
            monkeypatch.delenv(name)
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return tell


@pytest.mark.parametrize(
    ("values", "main", "tells", "alone"),
    [
        ({}, True, True, True),
        ({"X": "1"}, True, True, True),
        ({"LOCAL_RANK": "0"}, True, True, True),
        ({"LOCAL_RANK": "1"}, False, False, False),
        ({"NODE_RANK": "1"}, False, True, False),
        ({"RANK": "1"}, False, True, False),
        (TORCHRUN, False, True, True),
        (TORCHRUN | {"RANK": "0"}, True, True, True),
        (TORCHRUN | {"RANK": "3", "LOCAL_RANK": "1"}, False, False, True),
        (slurm(0), True, True, True),
        (slurm(1), False, False, True),
        (slurm(1, SLURM_JOB_NAME="interactive"), True, True, True),
        (slurm(1, SLURM_JOB_NAME="bash", LOCAL_RANK="1"), False, False, False),
        (slurm(1) | TORCHRUN | {"RANK": "0"}, True, True, True),
    ],
)
def test_a_process_knows_its_place(told, values, main, tells, alone):
    told(**values)
    assert (is_main_process(), tells_faults(), starts_alone()) == (main, tells, alone)


def test_devices_and_machines_are_those_of_the_launcher(told):
    told()
    assert launcher() is None and as_launched(MACHINE | {"devices": "7"}) == MACHINE | {"devices": "7"}
    told(**TORCHRUN)
    assert launcher() == Launcher("torchrun", 2, 0, 2, 2)
    assert (
        as_launched(MACHINE) == as_launched(MACHINE | {"devices": "auto"}) == MACHINE | {"devices": 2, "num_nodes": 2}
    )
    assert as_launched(MACHINE | {"devices": "1,3"})["devices"] == "1,3"
    told(**slurm(1))
    assert launcher() == Launcher("srun", 1, 1, 2, 1)
    assert as_launched(MACHINE) == MACHINE | {"devices": 2}
    told(SLURM_NTASKS="8", SLURM_NNODES="2")
    assert launcher() == Launcher("srun", 0, 0, 4, 2)


@pytest.mark.parametrize(
    ("values", "asked", "message"),
    [
        (TORCHRUN, {"devices": "3"}, "--devices 3: torchrun started 2 on each machine; leave --devices out"),
        (TORCHRUN, {"devices": "0,1,2"}, "--devices 0,1,2: torchrun started 2 on each machine; leave --devices out"),
        (TORCHRUN, {"num_nodes": 3}, "--num-nodes 3: torchrun started 2; leave --num-nodes out"),
        (slurm(0), {"devices": "4"}, "--devices 4: srun started 2 on each machine; leave --devices out"),
        ({"SLURM_NTASKS": "2"}, {}, "srun did not start this one"),
    ],
)
def test_other_numbers_than_the_launchers_are_refused(told, values, asked, message):
    told(**values)
    with pytest.raises(InputError, match=message):
        as_launched(MACHINE | asked)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Path:
    dataset = tmp_path_factory.mktemp("data") / "set"
    prepare("procedural", dataset, points=64, shapes_per_class=5)
    return dataset


TRAIN = [sys.executable, "-m", "pointvae.cli", "train"]
RUN = [sys.executable, "-m", "torch.distributed.run"]
SMALL = ["--epochs", "2", "--points", "32", "--model.latent_dim", "8", "--accelerator", "cpu", "--json"]


def start(command: list[str], run: Path, size: int, *more: str, **told: str) -> subprocess.Popen[str]:
    at = command.index("train") + 1
    options = [
        str(run.parent.parent / "set"),
        str(run),
        *SMALL,
        "--precision",
        "64-true",
        "--batch_size",
        str(size),
        *more,
    ]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*command[:at], *options], stdout=pipe, stderr=pipe, text=True, env=PLAIN | {"OMP_NUM_THREADS": "1"} | told
    )


def by_lightning(run: Path, size: int, *more: str) -> list[subprocess.Popen[str]]:
    return [start(TRAIN, run, size, "--devices", "2", *more)]


def by_torchrun(run: Path, size: int, *more: str) -> list[subprocess.Popen[str]]:
    options = ["--nproc-per-node", "2", "--master-port", str(free_port()), "-m", "pointvae.cli", "train"]
    return [start([*RUN, *options], run, size, *more)]


def by_two_torchruns(run: Path, size: int, *more: str) -> list[subprocess.Popen[str]]:
    meet = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}", "--rdzv-id", "x"]
    options = ["--nnodes", "2", "--nproc-per-node", "1", *meet, "-m", "pointvae.cli", "train"]
    return [start([*RUN, *options], run, size, *more) for _ in range(2)]


def by_srun(run: Path, size: int, *more: str) -> list[subprocess.Popen[str]]:
    port = str(free_port())
    return [start(TRAIN, run, size, *more, MASTER_PORT=port, **slurm(rank)) for rank in range(2)]


@pytest.fixture(scope="module")
def place(shapes) -> Path:
    """Where runs go: in a folder beside the shapes."""
    return shapes.parent / "runs"


@pytest.fixture(scope="module")
def one(place) -> Path:
    process = start(TRAIN, place / "one", 16)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    return place / "one"


@pytest.mark.slow
@pytest.mark.parametrize("begin", [by_lightning, by_torchrun, by_two_torchruns, by_srun])
def test_two_processes_train_the_run_of_one_and_one_of_them_speaks(one, place, begin):
    run = place / begin.__name__
    processes = begin(run, 8)
    outs, errs = zip(*(process.communicate(timeout=200) for process in processes), strict=True)
    assert [process.returncode for process in processes] == [0] * len(processes), errs
    spoken = [json.loads(out) for out in outs if out.strip()]
    assert len(spoken) == 1 and spoken[0]["epochs"] == 2
    assert "".join(errs).count("epoch 2 of 2") == 1
    expected, found = load_file(one / "model.safetensors"), load_file(run / "model.safetensors")
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        atol = 1e-4 if name in WITHOUT_EFFECT else 1e-9
        assert (found[name] - value).abs().max() <= atol, name
    rows = [list(csv.DictReader((at / "metrics.csv").read_text().splitlines())) for at in (one, run)]
    assert len(rows[0]) == len(rows[1]) == 2
    for name in rows[0][1].keys() - {"points_per_second"}:  # means of the epoch and held-out figures
        assert float(rows[1][1][name]) == pytest.approx(float(rows[0][1][name]), rel=1e-4), name


@pytest.mark.slow
@pytest.mark.parametrize("begin", [by_torchrun, by_srun])
def test_a_refusal_is_told_once_and_nobody_waits(one, place, begin):
    before = sorted((p, p.stat().st_mtime_ns) for p in one.rglob("*"))
    processes = begin(one, 8)
    errs = "".join(process.communicate(timeout=100)[1] for process in processes)
    assert errs.count("pointvae: error: ") == errs.count("already holds a run") == 1
    assert [process.returncode for process in processes] == (
        [1] if begin is by_torchrun else [2, 2]
    )  # torchrun's own
    assert sorted((p, p.stat().st_mtime_ns) for p in one.rglob("*")) == before


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
def test_a_process_that_dies_ends_the_run_with_a_line_that_says_how_to_go_on(place):
    run = place / "dead"
    (main,) = by_lightning(run, 8, "--epochs", "10000")
    while not (run / "metrics.csv").is_file() or len((run / "metrics.csv").read_text().splitlines()) < 3:
        assert main.poll() is None, main.communicate()
        time.sleep(0.2)
    os.kill(children(main.pid)[0], signal.SIGKILL)
    _, said = main.communicate(timeout=60)
    assert main.returncode == 2 and "Traceback" not in said
    last = said.splitlines()[-1]
    assert last.startswith(f"pointvae: error: {run}: another of its 2 processes ended, and this one with it;")
    assert "--resume goes on from the last checkpoint, after step " in last


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(place):
    first = by_lightning(place / "more", 8)[0]
    assert first.communicate(timeout=200) and first.returncode == 0
    then = start(TRAIN, place / "more", 8, "--epochs", "3", "--resume")
    out, said = then.communicate(timeout=200)
    assert then.returncode == 0, said
    assert json.loads(out)["epochs"] == 3
    assert len((place / "more" / "metrics.csv").read_text().splitlines()) == 4


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_asked_of_one_process_both_stop_after_the_same_step_with_a_checkpoint(place, rank, number):
    run = place / f"stopped-{rank}-{number.name}"
    (main,) = by_lightning(run, 8, "--epochs", "10000", "--checkpoint_every", "0")
    while not (run / "metrics.csv").is_file() or len((run / "metrics.csv").read_text().splitlines()) < 3:
        assert main.poll() is None, main.communicate()
        time.sleep(0.2)
    os.kill(main.pid if rank == 0 else children(main.pid)[0], number)
    _, said = main.communicate(timeout=60)
    assert main.returncode == 2 and "Traceback" not in said, said
    step = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert f"--resume goes on from the last checkpoint, after step {step}" in said.splitlines()[-1]
