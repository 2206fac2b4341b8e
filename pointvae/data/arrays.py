"""Sources that are arrays already: .npz in the layout of ModelNet40's, PointNet's .h5, or plain points/labels."""

from __future__ import annotations

import functools
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data.child import GIB, Arrays
from pointvae.data.isolation import Limits, shared
from pointvae.data.sampling import Geometry
from pointvae.data.source import SPLITS, Item, Source, SourceOptions, draw_split, fingerprint
from pointvae.errors import InputError

H5_SUFFIXES = (".h5", ".hdf5")

SWOLLEN = 16
"""How many times the size of a file its arrays may take in memory, if that is more than `Limits` has."""

SLOWEST = 4 << 20
"""Bytes of a file that are read in a second at least."""


@dataclass(frozen=True, eq=False)
class Block:
    """Clouds of one file and split: points [n, N, 3], labels [n], names [n]; split None if it is to be drawn."""

    where: str
    split: str | None
    points: npt.NDArray[Any]
    labels: npt.NDArray[np.int64] | None
    names: list[str]


def open_npz(path: Path, options: SourceOptions) -> Source:
    """The clouds of an .npz: ``train_points``, ``test_points`` … or ``points``, with labels, names and classes.

    Raises:
        InputError: not an .npz, arrays of Python objects, a missing array, or one of the wrong shape or type.
    """
    arrays = _apart(path, _load_npz)
    classes = _classes(path, arrays)
    found = [split for split in SPLITS if f"{split}_points" in arrays]
    if found:
        blocks = [_block(str(path), arrays, f"{split}_", split) for split in found]
    elif "points" in arrays:
        blocks = [_block(str(path), arrays, "", None)]
    else:
        raise InputError(
            f"{path}: has no array 'points' and no 'train_points' (it has {', '.join(sorted(arrays)) or 'none'}); "
            "name the clouds [n, N, 3] so"
        )
    return _source(path.name, blocks, classes, [(path.name, path.stat().st_size)], options)


def open_h5(path: Path, name: str, options: SourceOptions) -> Source:
    """The clouds of one .h5 file or of a folder of them: ``data`` [n, N, 3] and ``label`` [n] or [n, 1].

    A file whose name holds ``train`` or ``test`` belongs to that split; class names come from
    ``shape_names.txt`` beside the files.

    Raises:
        InputError: not HDF5, a missing array, or one of the wrong shape or type.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix.lower() in H5_SUFFIXES)
    listing = files[0].parent / "shape_names.txt"
    classes = listing.read_text(encoding="utf-8").split() if listing.is_file() else None
    root = path if path.is_dir() else path.parent
    return gather_h5({file.relative_to(root).as_posix(): file for file in files}, name, classes, options)


def gather_h5(files: Mapping[str, Path], name: str, classes: list[str] | None, options: SourceOptions) -> Source:
    """The clouds of several .h5 files, given by their names within the source; all are read at once."""
    blocks = [_read_h5(file) for file in files.values()]
    if any(block.split for block in blocks) and not all(block.split for block in blocks):
        odd = next(block.where for block in blocks if not block.split)
        raise InputError(f"{odd}: neither 'train' nor 'test' is in the file's name, as it is in others; rename it")
    return _source(name, blocks, classes, [(file, path.stat().st_size) for file, path in files.items()], options)


def _read_h5(path: Path) -> Block:
    arrays = _apart(path, _load_h5)
    if "data" not in arrays:
        raise InputError(f"{path}: has no array 'data'; name the clouds [n, N, 3] so, as PointNet's files do")
    renamed = {"points": arrays["data"]}
    if "label" in arrays:
        renamed["labels"] = arrays["label"]
    words = re.findall(r"train|validation|valid|val|test", path.stem.lower())
    split = {"val": "validation", "valid": "validation"}.get(words[-1], words[-1]) if words else None
    block = _block(str(path), renamed, "", split)
    return Block(block.where, split, block.points, block.labels, [f"{path.stem}/{n}" for n in block.names])


def _apart(path: Path, load: Callable[[Path], Arrays]) -> Arrays:
    """The arrays of a file, read in a process apart, which a file that lies may end, hang or swell.

    Raises:
        InputError: it cannot be read, or takes more than `Limits` or `SWOLLEN` times its size.
    """
    size = path.stat().st_size
    plain = Limits()
    limits = Limits(max(plain.seconds, size / SLOWEST), max(plain.memory, SWOLLEN * size / GIB))
    found = shared(limits).arrays(functools.partial(load, path.absolute()))
    if isinstance(found, str):
        raise InputError(f"{path}: {found.partition(';')[0]}; fetch or save it anew")
    for name, array in found.items():
        if not _is_text(array):
            raise InputError(f"{path}: '{name}' holds what is no text; save it anew")
    return found


def _is_text(array: npt.NDArray[Any]) -> bool:
    """Whether what calls itself text is: numpy believes any number to be a letter. True of numbers."""
    if array.dtype.kind == "S":
        return array.tobytes().isascii()
    if array.dtype.kind != "U":
        return True
    codes = np.frombuffer(array.tobytes(), np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
    return bool(((codes < 0xD800) | ((codes > 0xDFFF) & (codes <= 0x10FFFF))).all())


def _load_npz(path: Path) -> Arrays:
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: cannot be read as .npz (it is cut short or not one); save it with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: _plain(path, name, archive[name]) for name in archive.files}
    except (InputError, MemoryError):
        raise
    except Exception as error:  # of zipfile, zlib and numpy's parser of headers, of many kinds
        if "pickle" in str(error):
            raise InputError(
                f"{path}: holds arrays of Python objects, which are never loaded; save numbers"
            ) from error
        raise InputError(
            f"{path}: cannot be read as .npz ({_brief(error)}); save it anew with numpy.savez"
        ) from error


def _load_h5(path: Path) -> Arrays:
    """The arrays ``data`` and ``label``, if they stand in the file itself: it may refer to any other file."""
    import h5py

    arrays: Arrays = {}
    try:
        with h5py.File(path, "r") as file:
            for name in ("data", "label"):
                link = file.get(name, getlink=True)
                if link is None:
                    continue
                if not isinstance(link, h5py.HardLink):
                    raise InputError(f"{path}: '{name}' is a link, which is not followed; store the array itself")
                found = file[name]
                if not isinstance(found, h5py.Dataset) or found.shape is None:
                    raise InputError(f"{path}: '{name}' is not an array; store numbers [n, N, 3] and labels [n]")
                if found.external or found.is_virtual:
                    raise InputError(f"{path}: '{name}' stands in other files, which are not opened; store it here")
                if found.dtype.kind not in "fiu":
                    raise InputError(f"{path}: '{name}' is {found.dtype} {list(found.shape)}; it must be numbers")
                arrays[name] = _plain(path, name, np.asarray(found))
    except (InputError, MemoryError):
        raise
    except Exception as error:  # of HDF5, of many kinds
        raise InputError(f"{path}: cannot be read as HDF5 ({_brief(error)}); fetch or save it anew") from error
    return arrays


def _plain(path: Path, name: str, array: Any) -> npt.NDArray[Any]:
    """An array of a type that travels between processes: numbers or text."""
    if not isinstance(array, np.ndarray):  # a member of the .npz that is no .npy
        raise InputError(f"{path}: '{name}' is no array; save it with numpy.savez")
    found: npt.NDArray[Any] = array.astype(np.float64) if array.dtype.kind == "f" and array.itemsize > 8 else array
    if found.dtype.kind not in "fiubUS" or not found.dtype.itemsize:
        raise InputError(f"{path}: '{name}' is {_kind(found)}; it must be numbers or text")
    return found


def _brief(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:120]


def _classes(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> list[str] | None:
    if "classes" not in arrays:
        return None
    classes = arrays["classes"]
    if classes.ndim != 1 or classes.dtype.kind not in "US":
        raise InputError(f"{path}: 'classes' is {_kind(classes)}; it must be text [C]")
    return [str(name) for name in classes.astype(str)]


def _block(where: str, arrays: Mapping[str, npt.NDArray[Any]], prefix: str, split: str | None) -> Block:
    points = arrays[f"{prefix}points"]
    if points.ndim != 3 or points.shape[2] != 3 or points.dtype.kind not in "fiu":
        raise InputError(f"{where}: '{prefix}points' is {_kind(points)}; clouds must be numbers [n, N, 3]")
    labels = arrays.get(f"{prefix}labels")
    if labels is not None:
        labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
        if labels.shape != (len(points),) or labels.dtype.kind not in "iu":
            raise InputError(f"{where}: '{prefix}labels' is {_kind(labels)}; it must be integers [{len(points)}]")
        labels = labels.astype(np.int64)
        if len(labels) and labels.min() < 0:
            raise InputError(f"{where}: '{prefix}labels' holds {labels.min()}; labels count from 0")
    names = arrays.get(f"{prefix}names")
    if names is None:
        listed = [f"{split or 'shape'}_{index:06d}" for index in range(len(points))]
    elif names.shape != (len(points),) or names.dtype.kind not in "US":
        raise InputError(f"{where}: '{prefix}names' is {_kind(names)}; it must be text [{len(points)}]")
    else:
        listed = [str(name) for name in names.astype(str)]
    return Block(where, split, points, labels, listed)


def _source(
    name: str, blocks: list[Block], classes: list[str] | None, sizes: list[tuple[str, int]], options: SourceOptions
) -> Source:
    labelled = [block.labels is not None for block in blocks]
    if any(labelled) != all(labelled):
        odd = blocks[labelled.index(False)]
        raise InputError(f"{odd.where}: the {odd.split or ''} clouds have no labels, others have; label all or none")
    highest = [int(block.labels.max()) for block in blocks if block.labels is not None and len(block.labels)]
    top = max(highest, default=-1)
    if classes is None:
        classes = [str(label) for label in range(top + 1)]
    elif top >= len(classes):
        raise InputError(f"{name}: a label is {top}, but there are only {len(classes)} class names, counted from 0")
    if not all(labelled):
        classes = []
    counts = {block.points.shape[1] for block in blocks if len(block.points)}
    items = []
    clouds: list[tuple[str, Callable[[], int | None]]] = []
    for block in blocks:
        labels = None if block.labels is None else block.labels.tolist()
        if block.split:
            splits = [block.split] * len(block.names)
        else:
            splits = draw_split(block.names, labels, classes, options)
        for row, (shape, split) in enumerate(zip(block.names, splits, strict=True)):
            load = functools.partial(_row, block.points, row)
            items.append(Item(shape, split, None if labels is None else labels[row], load))
            clouds.append((shape, functools.partial(int, block.points.shape[1])))
    return Source(
        name=name,
        kind="arrays",
        classes=classes,
        items=items,
        fingerprint=fingerprint(sizes),
        points=max(counts, default=0),
        parallel=False,
        options={} if all(block.split for block in blocks) else {"test_fraction": options.test_fraction},
        clouds=clouds,
    )


def _row(points: npt.NDArray[Any], row: int) -> Geometry:
    return Geometry(points[row].astype(np.float64))


def _kind(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype} {list(array.shape)}"
