"""What the scripts of this folder share: their options, and the one call of `pointvae.prepare` that they make."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import pointvae
from pointvae.errors import InputError


def run(name: str, about: str, archive: str, option: str = "", choices: Sequence[str] = ()) -> None:
    """Read the options, and prepare a named set.

    Args:
        name: of the set, with ``{}`` where the choice belongs.
        about: the script's own text, for ``--help``.
        archive: the name of its archive.
        option: what is to be chosen, such as ``variant``.
        choices: what can be chosen; the last is the default.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = "data/" + name.split("_{}")[0].split("_v{}")[0]
    parser.add_argument("dataset", nargs="?", default=folder, help=f"the dataset folder to write ({folder})")
    if option:
        parser.add_argument(f"--{option}", choices=choices, default=choices[-1], help=f"default: {choices[-1]}")
    parser.add_argument("--points", type=int, default=2048, help="points of each shape")
    parser.add_argument(
        "--from-archive", help=f"{archive}, or the folder it was unpacked into, if it is here already"
    )
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 for one on each core")
    options = parser.parse_args()
    try:
        made = pointvae.prepare(
            name.format(getattr(options, option, "")),
            options.dataset,
            points=options.points,
            jobs=options.jobs,
            from_archive=options.from_archive,
            progress=True,
        )
    except InputError as error:
        parser.error(str(error))
    print(f"{made['dataset']}: {made['shapes']:,} shapes of {len(made['classes'])} classes")
