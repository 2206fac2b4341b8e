"""What a named set is: data about a release, and the function that reads its layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pointvae.data.named.release import Release
from pointvae.data.sampling import Up
from pointvae.data.source import Source, SourceOptions


@dataclass(frozen=True)
class Archive:
    """The file that a release is.

    Attributes:
        file: its name, also in the cache.
        urls: where it is, in the order in which they are tried.
        sha256: its published SHA-256; None where nobody has published it.
        md5: its published MD5, which guards against accidents only; None where nobody has published it.
        bytes: its length, where that is published.
    """

    file: str
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    md5: str | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class NamedSet:
    """One set that is given by name.

    Attributes:
        name: as it is typed.
        title: one line about it.
        classes: how many there are.
        splits: shapes of each split; empty where the release says none, or another number in each copy.
        up: its up axis.
        licence: what may be done with it, in a few words.
        research_only: whether that is research alone.
        citation: whom to cite.
        homepage: where it is described.
        archive: the file that it is.
        read: from the files of the release to its shapes.
        steps: for a gated set, how a person comes by the archive, step by step; empty where it can be fetched.
    """

    name: str
    title: str
    classes: int
    splits: Mapping[str, int]
    up: Up
    licence: str
    research_only: bool
    citation: str
    homepage: str
    archive: Archive
    read: Callable[[NamedSet, Release, SourceOptions], Source]
    steps: tuple[str, ...] = field(default=())
