"""Prepare ShapeNetCore v1 or v2: some 51,300 CAD meshes of 55 categories, y up.

Research and education only, and given to those who ask: without --from-archive this tells the steps to take. Put
all.csv, the list of the official split, beside the archive; without it a split is drawn.
"""

import argparse

import pointvae
from pointvae.errors import InputError


def main() -> None:
    """Read the options, and prepare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", default="data/shapenetcore", help="the dataset folder to write")
    parser.add_argument("--points", type=int, default=2048, help="points of each shape")
    parser.add_argument("--version", choices=("1", "2"), default="2", help="of ShapeNetCore")
    parser.add_argument(
        "--from-archive", help="ShapeNetCore.v2.zip, or a folder, also one with a .zip for each category"
    )
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 for one on each core")
    options = parser.parse_args()
    try:
        made = pointvae.prepare(
            f"shapenetcore_v{options.version}",
            options.dataset,
            points=options.points,
            jobs=options.jobs,
            from_archive=options.from_archive,
            progress=True,
        )
    except InputError as error:
        parser.error(str(error))
    print(f"{made['dataset']}: {made['shapes']:,} shapes of {len(made['classes'])} classes")


if __name__ == "__main__":
    main()
