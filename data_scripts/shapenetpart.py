"""Download and prepare ShapeNetPart: 16,881 clouds of 16 categories, y up, with a validation split.

Research and education only. The label is the category; the labels of parts are not read. Its clouds have different
counts of points: if one has fewer than asked for, you are told how many it has.
"""

import argparse

import pointvae
from pointvae.errors import InputError


def main() -> None:
    """Read the options, and prepare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", default="data/shapenetpart", help="the dataset folder to write")
    parser.add_argument("--points", type=int, default=1024, help="points of each shape")
    parser.add_argument(
        "--from-archive",
        help="shapenetcore_partanno_segmentation_benchmark_v0_normal.zip, or its folder, if it is here already",
    )
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 for one on each core")
    options = parser.parse_args()
    try:
        made = pointvae.prepare(
            "shapenetpart",
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
