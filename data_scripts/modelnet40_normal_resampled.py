"""Download and prepare ModelNet40 as PointNet++ released it: 12,311 clouds of 10,000 points, y up.

Research use only. Its points are thinned here; its normals are not read.
"""

import argparse

import pointvae
from pointvae.errors import InputError


def main() -> None:
    """Read the options, and prepare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "dataset", nargs="?", default="data/modelnet40_normal_resampled", help="the dataset folder to write"
    )
    parser.add_argument("--points", type=int, default=2048, help="points of each shape")
    parser.add_argument(
        "--from-archive",
        help="modelnet40_normal_resampled.zip, or the folder it was unpacked into, if it is here already",
    )
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 for one on each core")
    options = parser.parse_args()
    try:
        made = pointvae.prepare(
            "modelnet40_normal_resampled",
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
