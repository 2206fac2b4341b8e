"""The readers, each as a way from the bytes of a file to accepted or refused; anything else is a finding."""

import functools
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from pointvae.data.rows import Made, Settings, make_row
from pointvae.errors import InputError
from tests.fuzz import mutators as change
from tests.fuzz import seeds
from tests.fuzz.mutators import BYTES, JSON, TEXT, Mutation
from tests.fuzz.seeds import SECRET

SETTINGS = Settings(3, "z", "sphere", 0, normals=False, dtype="float32")
RAW = Settings(2, "z", "none", 0, normals=False, dtype="float32")


class BrokenError(Exception):
    """A property does not hold; the text says which."""


def check_line(text: str, path: Path | None = None) -> None:
    """One line, short enough to be read, that a terminal shows as it is; it names the file."""
    if "\n" in text or "\r" in text or not text.strip():
        raise BrokenError(f"the reason is not one line: {text!r}"[:200])
    if len(text) > 1500:
        raise BrokenError(f"the reason is {len(text)} characters long")
    if path is not None and path.name not in text:
        raise BrokenError(f"the reason does not name the file: {text!r}"[:200])


def check_cloud(points: Any) -> None:
    """Finite numbers, none of which stood in a file beside the one that was read."""
    if not np.isfinite(points).all():
        raise BrokenError("numbers that are not finite were accepted")
    if (points == SECRET).any():
        raise BrokenError("another file was read")


def shape(path: Path, reader: Callable[[Path], Any] | None = None) -> str:
    """A file of one shape, as every verb reads it; and the count of its points, which the main process asks for."""
    from pointvae.data.clouds import count_points
    from pointvae.data.readers import CLOUDS, read_file

    if path.suffix in CLOUDS:
        count_points(path)
    for settings in (SETTINGS, RAW):
        row = make_row(functools.partial(reader or read_file, path), path.name, settings)
        if isinstance(row, Made):
            check_cloud(row.points)
        else:
            check_line(row)
    return "refused" if isinstance(row, str) else "accepted"


def source(path: Path) -> str:
    """A source of many shapes: opened, and every shape read."""
    from pointvae.data import columns
    from pointvae.data.source import SourceOptions
    from pointvae.data.sources import open_source

    columns._arrow.cache_clear()  # one process reads file after file of the same name
    columns._piece.cache_clear()
    used = 0
    try:
        with open_source(path, SourceOptions(test_fraction=0)) as plan:
            for skipped in plan.skipped:
                check_line(skipped["why"])
            for _, count in plan.clouds:
                count()
            for item in plan.items[:16]:
                try:
                    row = make_row(item.load, item.name, RAW)
                except MemoryError:
                    if not plan.isolated:  # else it costs the one file
                        raise
                    continue
                if isinstance(row, Made):
                    used += 1
                    check_cloud(row.points)
                else:
                    check_line(row)
    except InputError as error:
        check_line(str(error), path)
        return "refused"
    return "accepted" if used else "refused"


def refusing(call: Callable[[], Any], path: Path) -> str:
    """What a call gives that may raise an `InputError`, which names the file, and nothing else."""
    try:
        call()
    except InputError as error:
        check_line(str(error), path)
        return "refused"
    return "accepted"


def weights(path: Path) -> str:
    """A run folder: the file is its weights or its configuration, the other one is sound."""
    from pointvae.hub import from_pretrained

    # weights of NaN load, so that an evaluation can tell of them; the pair of files is what may not fit
    return refusing(lambda: from_pretrained(path.parent), path.parent)


def checkpoint(path: Path) -> str:
    from pointvae.training.checkpoint_files import sound_checkpoint

    return refusing(lambda: sound_checkpoint(path.parent.parent), path)


def dataset(path: Path) -> str:
    """A dataset folder: the file is its card or one of its shards."""
    from pointvae.data.dataset import load_dataset

    def load() -> None:
        opened = load_dataset(path.parent)
        for split in opened.splits:
            check_cloud(opened[split].points)

    return refusing(load, path.parent)


def table(path: Path) -> str:
    from pointvae.data.metadata import assign
    from pointvae.data.tables import read_table

    files = ["a.off", "b.off", "c.off"]
    return refusing(lambda: assign(read_table(path.name, (path,)), files, None, None), path)


def protocol(path: Path) -> str:
    from pointvae.evaluation.probing.registry import find_protocol

    return refusing(lambda: find_protocol(str(path)), path)


def settings_file(path: Path) -> str:
    """A YAML file of settings; its refusals name the option, which is what is to be mended."""
    from pointvae import cli
    from pointvae.command import make

    try:
        make("train", cli.VERBS["train"], ["data", "run", "--config", str(path)])
    except InputError as error:
        check_line(str(error))
        return "refused"
    return "accepted"


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        file: the name of the file.
        seeds: makes the sound files.
        mutations: how they are changed.
        read: reads one; it tells whether it was accepted.
        apart: whether every verb reads it in a process apart, where a crash costs the file and nothing else.
        share: how many inputs it gets, of ten.
        around: files that must lie beside it.
    """

    file: str
    seeds: Callable[[], list[bytes]]
    mutations: list[Mutation]
    read: Callable[[Path], str]
    apart: bool = False
    share: int = 10
    around: Callable[[Path], None] | None = None


def _run(folder: Path) -> None:
    from pointvae.hub import save_pretrained
    from pointvae.models.build import build_model

    config = {"encoder": "pointnet", "decoder": "mlp", "likelihood": "chamfer", "latent_dim": 2, "points": 4}
    sizes = {"encoder_args": {"widths": [4, 4]}, "decoder_args": {"widths": [4, 4]}}
    save_pretrained(build_model({**config, **sizes}, 0), folder, {"seed": 0, "points": 4})


def _in_run(name: str) -> Callable[[], list[bytes]]:
    def read() -> list[bytes]:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            _run(Path(folder))
            return [(Path(folder) / name).read_bytes()]

    return read


def _dataset(folder: Path) -> None:
    from pointvae.data.prepare import prepare

    raw = folder / "raw"
    for index, kind in enumerate(("bed", "chair") * 2):
        (raw / kind).mkdir(parents=True, exist_ok=True)
        (raw / kind / f"{index}.off").write_bytes(seeds.QUADS)
    prepare(raw, folder / "set", points=8, jobs=1)
    for file in (folder / "set").iterdir():
        shutil.copy(file, folder / file.name)
    shutil.rmtree(folder / "set")
    shutil.rmtree(raw)


def _in_dataset(pattern: str) -> Callable[[], list[bytes]]:
    def read() -> list[bytes]:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            _dataset(Path(folder))
            return [next(Path(folder).glob(pattern)).read_bytes()]

    return read


def _checkpoints() -> list[bytes]:
    """A sound one, and a pickle that would leave a file behind."""
    import io

    import torch

    found = []
    for content in ({"state": torch.arange(4.0), "step": 3, "name": "a"}, {"state": Canary()}):
        out = io.BytesIO()
        torch.save(content, out)
        found.append(seal(out.getvalue()))
    return found


class Canary:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> Any:
        return (exec, ("import os; os.mkdir('canary')",))


def seal(data: bytes) -> bytes:
    """The checksum that a checkpoint ends with; whoever writes a hostile one writes a right one."""
    import hashlib

    from pointvae.training.checkpoint_files import SEAL

    body = data[:-2] + SEAL.to_bytes(2, "little")
    return body + hashlib.sha256(body).hexdigest().encode()


def resealed(data: bytes, rng: Random) -> bytes:
    """A .zip within which something is changed, sealed again."""
    body = data[:-64][:-2] + b"\0\0"
    changed = change.members(body, rng, {"pkl": BYTES}) if rng.random() < 0.6 else rng.choice(BYTES)(body, rng)
    return seal(changed)


def shard_of_size(data: bytes, rng: Random) -> bytes:
    """A shard of the size that its card tells: bytes changed, none added, its end as it was."""
    body = bytearray(change.overwrite(data, rng) if rng.random() < 0.5 else change.flip(data, rng))
    return bytes(body[: len(data) - 4]) + data[-4:]


YAML = b"""model:
  class_path: PointVAE
  init_args:
    encoder: pointnet
    latent_dim: 8
    likelihood_args: {sigma: 0.05}
objective:
  class_path: Consistency
  init_args:
    base: {class_path: IWAE, init_args: {samples: 2}}
    transforms: [{class_path: RotateUp, init_args: {degrees: 15}}]
    weight: 0.1
points: 16
epochs: 2
"""


def _protocol() -> list[bytes]:
    import dataclasses

    from pointvae.evaluation.probing.registry import PROTOCOLS

    found = []
    for one in PROTOCOLS.values():
        found.append(json.dumps({**dataclasses.asdict(one), "name": "mine"}, default=str).encode())
    return found


def _of(*data: bytes) -> Callable[[], list[bytes]]:
    return lambda: list(data)


SETTING_WORDS = [
    b"subprocess.Popen",
    b"os.system",
    b"!!python/object/apply:os.system [true]",
    b"*a",
    b"&a [*a]",
    b"<<: *a",
]


def name_class(data: bytes, rng: Random) -> bytes:
    """Another class, tag or anchor in place of a word."""
    import re

    place = rng.choice(list(re.finditer(rb"[\w.]+", data)))
    return data[: place.start()] + rng.choice(SETTING_WORDS) + data[place.end() :]


PARQUET = [change.overwrite, change.flip, change.flip, change.double, change.truncate, change.insert, change.move]

TARGETS: dict[str, Target] = {
    "off": Target("shape.off", _of(seeds.OFF, seeds.QUADS), TEXT, shape, True, 14),
    "obj": Target("shape.obj", _of(seeds.OBJ, seeds.PLAIN_OBJ), TEXT, shape, True, 14, seeds.write_secrets),
    "ply": Target("shape.ply", lambda: seeds.mesh_files("ply"), [*TEXT, *BYTES], shape, True, 14),
    "stl": Target("shape.stl", lambda: [seeds.STL, *seeds.mesh_files("stl")], [*TEXT, *BYTES], shape, True, 12),
    "glb": Target(
        "shape.glb", lambda: seeds.mesh_files("glb"), [change.glb] * 6 + BYTES, shape, True, 12, seeds.write_secrets
    ),
    "pcd": Target("shape.pcd", seeds.pcd_files, [*TEXT, *BYTES], shape, True, 12),
    "xyz": Target("shape.xyz", _of(seeds.XYZ), TEXT, shape, True, 10),
    "npy": Target("shape.npy", seeds.npy_files, [change.npy] * 5 + BYTES, shape, True, 12),
    "las": Target("shape.las", lambda: seeds.of_scans(".las"), BYTES, shape, True, 8),
    "laz": Target("shape.laz", lambda: seeds.of_scans(".laz"), BYTES, shape, True, 2),
    "e57": Target("shape.e57", lambda: seeds.of_scans(".e57"), [change.paged] * 8 + BYTES, shape, True, 4),
    "npz": Target("source.npz", seeds.npz_files, [change.members] * 6 + BYTES, source, True, 8),
    "h5": Target("source.h5", seeds.h5_files, BYTES, source, True, 8, seeds.write_secrets),
    "parquet": Target("source.parquet", lambda: seeds.tables_of_rows("parquet"), PARQUET, source, True, 6),
    "arrow": Target("source.arrow", lambda: seeds.tables_of_rows("arrow"), PARQUET, source, True, 6),
    "zip": Target("source.zip", lambda: seeds.archives("zip"), [change.members] * 6 + BYTES, source, False, 4),
    "tar": Target("source.tar", lambda: seeds.archives("tar"), [change.tar] * 6 + BYTES, source, False, 4),
    "tar.gz": Target("source.tar.gz", lambda: seeds.archives("tgz"), [change.tar] * 6 + BYTES, source, False, 3),
    "table.csv": Target("metadata.csv", _of(seeds.TABLES["metadata.csv"]), TEXT, table, False, 5),
    "table.tsv": Target("metadata.tsv", _of(seeds.TABLES["metadata.tsv"]), TEXT, table, False, 2),
    "table.json": Target("metadata.json", _of(seeds.TABLES["metadata.json"]), JSON, table, False, 5),
    "table.jsonl": Target("metadata.jsonl", _of(seeds.TABLES["metadata.jsonl"]), TEXT, table, False, 3),
    "card": Target("README.md", _in_dataset("README.md"), TEXT, dataset, False, 5, _dataset),
    "shard": Target(
        "train-00000-of-00001.parquet", _in_dataset("train-*"), [shard_of_size], dataset, False, 5, _dataset
    ),
    "weights": Target(
        "model.safetensors", _in_run("model.safetensors"), [change.tensors, *BYTES], weights, False, 4, _run
    ),
    "config.json": Target("config.json", _in_run("config.json"), JSON, weights, False, 4, _run),
    "checkpoint": Target("checkpoints/last.ckpt", _checkpoints, [resealed], checkpoint, False, 4),
    "protocol": Target("mine.json", _protocol, JSON, protocol, False, 3),
    "settings": Target("settings.yaml", _of(YAML), [*TEXT, name_class, name_class], settings_file, False, 1),
}
"""Every reader by its name in the table of results."""


def produce(target: Target, sound: list[bytes], seed: str) -> bytes:
    """The input of a seed, the same on every machine."""
    rng = Random(seed)
    return change.mutate(rng.choice(sound), target.mutations, rng)


@contextmanager
def place(target: Target, folder: Path) -> Iterator[Path]:
    """Where the file lies, with what must lie around it."""
    path = folder / target.file
    path.parent.mkdir(parents=True, exist_ok=True)
    if target.around is not None:
        target.around(folder)
    yield path
