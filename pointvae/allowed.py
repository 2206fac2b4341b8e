"""Which classes a settings file or an option may name: those of this package, and what the command line allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pointvae.errors import InputError
from pointvae.refusals import classes

OPTION = "--allow_classes"


@contextmanager
def only_classes(argv: Sequence[str]) -> Iterator[str | None]:
    """Within the block jsonargparse imports the classes of this package and what the command line allows, alone.

    A name is refused before it is imported: to import a module runs it.

    Args:
        argv: the command line, with options as they are declared.

    Returns:
        Within the block, what ``--allow_classes`` lists, if it is there.

    Raises:
        InputError: it lists what is no module or class.
    """
    import jsonargparse

    allowed = _prefixes(argv)
    jsonargparse.set_parsing_settings(
        instantiate_subclass_spec_in_any=False,
        import_path_denylist=["*"],
        import_path_allowlist=[*_paths(), *allowed],
    )
    try:
        yield ",".join(allowed) or None
    finally:
        jsonargparse.set_parsing_settings(import_path_denylist=allowed)  # the next call allows its own


def _prefixes(argv: Sequence[str]) -> list[str]:
    listed: list[str] = []
    for token, after in zip(argv, [*argv[1:], ""], strict=True):
        name, equals, value = token.partition("=")
        if name == OPTION:
            listed = (value if equals else after).split(",")
    for prefix in listed:
        if not all(part.isidentifier() for part in prefix.split(".")):
            raise InputError(f"{OPTION} {prefix}: must list modules or classes, as mymodule.MyObjective,another")
    return listed


def _paths() -> list[str]:
    """Each class by its short name, ``pointvae.ELBO``, and by those of the modules that hold it."""
    paths = []
    for cls in classes():
        parts = cls.__module__.split(".")
        if parts[0] == "pointvae":
            paths += [".".join([*parts[:length], cls.__qualname__]) for length in range(1, len(parts) + 1)]
    return paths
