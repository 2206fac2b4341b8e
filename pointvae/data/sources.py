"""Which source a name or a path means: the one place to touch to add a named set or a kind of file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pointvae.data.archives import ARCHIVES, is_archive, unpacked
from pointvae.data.arrays import H5_SUFFIXES, open_h5, open_npz
from pointvae.data.card import is_dataset
from pointvae.data.folders import list_shapes, open_folder
from pointvae.data.generated import open_procedural
from pointvae.data.huggingface import open_tables
from pointvae.data.layouts import HUB, SUFFIXES, find_tables, is_tables
from pointvae.data.metadata import TABLE_ENDS
from pointvae.data.named.opening import open_named
from pointvae.data.named.registry import SETS
from pointvae.data.objects import is_object, open_objects
from pointvae.data.readers import READERS
from pointvae.data.source import Source, SourceOptions
from pointvae.errors import InputError
from pointvae.places import here, is_remote, place
from pointvae.refusals import near

PROCEDURAL = "procedural"
PICKLES = (".pt", ".pth", ".pkl", ".pickle")


@contextlib.contextmanager
def open_source(source: Any, options: SourceOptions) -> Iterator[Source]:
    """The plan of a named set, a folder, an archive, a file of arrays or shapes in memory, inside the ``with`` block.

    Raises:
        InputError: there is no such thing, it cannot be read, or it holds no shapes.
    """
    if is_object(source):
        _check_columns("shapes in memory", options)
        yield open_objects(source, options)
        return
    if str(source).startswith(HUB):
        from pointvae.data.hub import open_hub

        yield open_hub(str(source), options)
        return
    named = SETS.get(str(source))
    if named is not None:
        _check_columns(str(source), options)
        with open_named(named, options) as opened:
            yield opened
        return
    if options.from_archive is not None:
        raise InputError(
            f"--from_archive: goes with a named set{near(str(source), SETS)}; your own archive is itself the source"
        )
    if str(source) == PROCEDURAL:
        _check_columns(PROCEDURAL, options)
        yield open_procedural(options)
        return
    path = place(source)
    if is_remote(path) and path.is_file():  # an archive or arrays: one download, then as if it lay here
        with here(path) as copy, open_source(copy, options) as opened:
            yield opened
        return
    if not path.exists():
        hint = near(str(source), [PROCEDURAL, *SETS]) or "; check the spelling"
        raise InputError(
            f"{source}: no such file or folder, nor a named set (procedural, modelnet40, …; `pointvae datasets` "
            f"lists them){hint}"
        )
    if path.is_dir() and is_dataset(path):
        raise InputError(f"{source}: is a dataset folder already; prepare wants the shapes it was made from")
    if path.suffix.lower() in PICKLES:
        raise InputError(
            f"{source}: is a pickle, which can run code when it is loaded, so it is not; if you trust it, load it "
            "yourself and give the shapes: pointvae.prepare({'train': TRAIN, 'test': TEST}, DATASET)"
        )
    if path.is_dir():
        yield _open_directory(path, path.name if is_remote(path) else path.resolve().name, options)
    elif is_archive(path):
        with unpacked(path, (*READERS, *H5_SUFFIXES, *TABLE_ENDS)) as folder:
            yield _open_directory(folder, path.name, options, wrapped=True)
    elif path.suffix.lower() in SUFFIXES:
        yield open_tables(find_tables(path, path.name), options)
    elif path.suffix.lower() == ".npz":
        _check_columns(path.name, options)
        yield open_npz(path, options)
    elif path.suffix.lower() in H5_SUFFIXES:
        _check_columns(path.name, options)
        yield open_h5(path, path.name, options)
    elif path.suffix.lower() in READERS:
        raise InputError(f"{source}: a single shape is not a data set; give the folder that holds the shapes")
    else:
        kinds = ", ".join(("a folder", *ARCHIVES, ".npz", *H5_SUFFIXES, *SUFFIXES))
        raise InputError(f"{source}: not a source that can be read; give {kinds}")


def _open_directory(folder: Path, name: str, options: SourceOptions, wrapped: bool = False) -> Source:
    shapes = [file for file in list_shapes(folder) if not file.lower().endswith(".txt")]
    if not shapes and not is_remote(folder):
        if any(path.suffix.lower() in H5_SUFFIXES for path in folder.rglob("*")):
            _check_columns(name, options)
            return open_h5(folder, name, options)
        if is_tables(folder):
            return open_tables(find_tables(folder, name), options)
    if options.points_column is not None:
        raise InputError(
            f"--points_column {options.points_column}: {name} holds files of shapes, which have no columns"
        )
    return open_folder(folder, name, options, wrapped)


def _check_columns(name: str, options: SourceOptions) -> None:
    """Refuse the choice of a column where there are none."""
    for option in ("label_column", "split_column", "points_column"):
        value = getattr(options, option)
        if value is not None:
            raise InputError(f"--{option} {value}: {name} has no columns to choose from; leave it out")
