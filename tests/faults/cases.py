"""What is killed: trainings of every objective, preparations, a refinement, embeddings and an evaluation."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MODEL: dict[str, Any] = {
    "latent_dim": 6,
    "points": 16,
    "encoder_args": {"widths": [8, 16]},
    "decoder_args": {"widths": [16]},
    "likelihood_args": {"sigma": 0.1},
}
LADDER = {"latent_dim": 12, "points": 16, "anchors": [2], "local_dims": [2], "neighbours": 3, "width": 8}
OBJECTIVES = ("elbo", "cr", "iwae", "ladder", "se", "avae", "triplet")
SPENT = ("points_per_second", "seconds")  # what no two runs share
SLOW = ("probe_protocols", "corruptions", "attacks")  # parts of an evaluation that take nine tenths of its time
ONE_PROCESS = {"accelerator": "cpu"}


@dataclass(frozen=True)
class Case:
    """Work that goes on when it is begun again.

    Attributes:
        name: how it is called.
        verb: of the command line.
        begin: does the work in a folder, from the start or from where it was; ends with the process it runs in.
        made: what stands in the folder at the end, without what no two runs share.
        kills: how many of a hundred it gets; the verbs beside train and prepare get theirs beside the hundred.
        like: the name of the case whose uninterrupted result it must have, if that is not its own.
    """

    name: str
    verb: str
    begin: Callable[[Path, Path], None]
    made: Callable[[Path], dict[str, Any]]
    kills: int
    like: str = ""


def sources(root: Path) -> None:
    """The data that all cases work on: clouds prepared in shards, meshes, and a trained run."""
    from pointvae import fit, prepare
    from pointvae.models.build import build_model

    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {"classes": np.array(["bed", "chair"])}
    for split, count in (("train", 60), ("test", 20)):
        arrays[f"{split}_points"] = rng.normal(size=(count, 20, 3)).astype(np.float32)
        arrays[f"{split}_labels"] = (np.arange(count) % 2).astype(np.uint8)
        arrays[f"{split}_names"] = np.array([f"{split}_{index}" for index in range(count)])
    np.savez(root / "clouds.npz", **arrays)
    prepare(root / "clouds.npz", root / "set", shard_size=7)
    for index in range(24):
        path = root / "meshes" / ("flat" if index % 2 else "tall") / f"shape_{index:02d}.off"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 {1 + index}\n3 0 2 1\n3 0 1 3\n3 1 2 3\n3 2 0 3\n")
    fit(build_model(MODEL, 0), root / "set", root / "trained", epochs=2, batch_size=8, **ONE_PROCESS)


def cases() -> list[Case]:
    """All of them; the kills of train and prepare add up to a hundred."""
    made: list[Case] = []
    for name in OBJECTIVES:
        for loading, processes, kills in (("memory", 1, 4), ("stream", 1, 4), ("stream", 2, 4)):
            own = f"train-{name}-{loading}-{processes}"
            like = f"train-{name}-memory-1" if processes == 1 else own
            made.append(Case(own, "train", _train(name, loading, processes), run_folder, kills, like))
    for jobs, kills in ((1, 10), (2, 6)):
        made.append(Case(f"prepare-jobs-{jobs}", "prepare", _prepare(jobs), whole_folder, kills, "prepare-jobs-1"))
    made.append(Case("refine", "refine", _refine, run_folder, 5))
    made += [Case(f"embed-{kind}", "embed", _embed(kind), embedded, 5) for kind in ("npz", "parquet")]
    made.append(Case("evaluate", "evaluate", _evaluate, evaluated, 5))
    return made


def _objective(name: str) -> Any:
    from pointvae import ELBO, IWAE, Consistency, SelfConsistency, SmoothEncoder, Triplet

    made: dict[str, Callable[[], Any]] = {
        "elbo": ELBO,
        "cr": lambda: Consistency(weight=0.5),
        "iwae": lambda: IWAE(samples=3),
        "ladder": lambda: Consistency(ELBO(beta=0.5), weight=0.1),
        "se": SmoothEncoder,
        "avae": SelfConsistency,
        "triplet": Triplet,
    }
    return made[name]()


def _train(name: str, loading: str, processes: int) -> Callable[[Path, Path], None]:
    def begin(root: Path, folder: Path) -> None:
        from pointvae import fit
        from pointvae.models.build import build_model

        settings: dict[str, Any] = {"epochs": 2, "loading": loading, "checkpoint_every": 2, **ONE_PROCESS}
        other = _become_two() if processes > 1 else 0
        if processes > 1:
            settings |= {"devices": str(processes), "strategy": "ddp"}
        model = build_model(LADDER, 0, "LadderPointVAE") if name == "ladder" else build_model(MODEL, 0)
        fit(
            model,
            root / "set",
            folder / "run",
            _objective(name),
            resume=True,
            batch_size=8 // processes,
            **settings,
        )
        if other and os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]):
            raise RuntimeError("the second process failed")

    return begin


def _become_two() -> int:
    """Another process beside this one, in its group, as a launcher starts them; 0 in that one."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    world = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "GROUP_RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    other = os.fork()
    rank = 0 if other else 1
    world |= {"TORCHELASTIC_RUN_ID": "kills", "RANK": rank, "LOCAL_RANK": rank}
    os.environ.update({key: str(value) for key, value in world.items()})
    return other


def _prepare(jobs: int) -> Callable[[Path, Path], None]:
    def begin(root: Path, folder: Path) -> None:
        from pointvae import prepare

        prepare(root / "meshes", folder / "set", points=64, shard_size=2, jobs=jobs)

    return begin


def _refine(root: Path, folder: Path) -> None:
    from pointvae import refine

    settings: dict[str, Any] = {"shapes": 56, "batch_size": 8, "epochs": 2, "checkpoint_every": 2, **ONE_PROCESS}
    refine(root / "trained", folder / "run", resume=True, **settings)


def _embed(kind: str) -> Callable[[Path, Path], None]:
    def begin(root: Path, folder: Path) -> None:
        from pointvae.evaluation.embedding import embed_to

        embed_to(root / "trained", root / "set", folder / f"codes.{kind}")

    return begin


def _evaluate(root: Path, folder: Path) -> None:
    from pointvae.evaluation.parts import PARTS
    from pointvae.evaluation.runs import evaluate_run

    parts = [name for name in PARTS if name not in SLOW]
    evaluate_run(root / "trained", root / "set", out=folder / "evaluation", quick=True, jobs=1, parts=parts)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if key not in SPENT} for row in csv.DictReader(file)]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_folder(folder: Path) -> dict[str, Any]:
    """The bytes of a run's weights and facts, and the rows of its figures."""
    run = folder / "run"
    made: dict[str, Any] = {name: _sha256(run / name) for name in ("model.safetensors", "config.json", "README.md")}
    return made | {name: _rows(run / name) for name in ("metrics.csv", "kl_per_dimension.csv")}


def whole_folder(folder: Path) -> dict[str, Any]:
    """The bytes of all files of a dataset folder, hidden ones too."""
    return {path.name: _sha256(path) for path in sorted((folder / "set").iterdir())}


def embedded(folder: Path) -> dict[str, Any]:
    """The bytes of the file."""
    return {path.name: _sha256(path) for path in sorted(folder.glob("codes.*"))}


def evaluated(folder: Path) -> dict[str, Any]:
    """The figures of an evaluation, digit for digit, but the seconds it took."""
    made = json.loads((folder / "evaluation" / "metrics.json").read_text())
    arrays = np.load(folder / "evaluation" / "evaluation.npz", allow_pickle=False)
    digests = {
        name: hashlib.sha256(np.ascontiguousarray(arrays[name]).tobytes()).hexdigest()
        for name in arrays.files
        if name != "facts.json"
    }
    names = sorted(path.name for path in (folder / "evaluation").iterdir())
    return {"figures": {key: value for key, value in made.items() if key not in SPENT}, **digests, "files": names}
