"""Which source a name or a path means: the one place to touch to add a named set or a kind of file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from pointvae.data.arrays import H5_SUFFIXES, open_h5, open_npz
from pointvae.data.source import Source, SourceOptions
from pointvae.errors import InputError


def _procedural(options: SourceOptions) -> Source:
    from pointvae.data.generated import open_procedural

    return open_procedural(options)


NAMED: dict[str, Callable[[SourceOptions], Source]] = {"procedural": _procedural}
"""Sources that are given by name: what makes each of them."""


@contextlib.contextmanager
def open_source(source: str | Path, options: SourceOptions) -> Iterator[Source]:
    """The plan of a named set, a folder, an archive or a file of arrays, valid inside the ``with`` block.

    Raises:
        InputError: there is no such thing, it cannot be read, or it holds no shapes.
    """
    named = NAMED.get(str(source))
    if named is not None:
        yield named(options)
        return
    path = Path(source)
    if not path.exists():
        raise InputError(
            f"{source}: no such file or folder, nor a named set ({', '.join(sorted(NAMED))}); check the spelling"
        )
    suffix = path.suffix.lower()
    if suffix == ".npz":
        yield open_npz(path, options)
    elif suffix in H5_SUFFIXES:
        yield open_h5(path, options)
    else:
        raise InputError(f"{source}: not a source that can be read")
