"""Download and prepare ModelNet10: 4,899 CAD meshes of 10 classes, z up, aligned by hand.

Research use only. Wu et al., 3D ShapeNets, CVPR 2015; https://modelnet.cs.princeton.edu
"""

import argparse

import pointvae
from pointvae.errors import InputError


def main() -> None:
    """Read the options, and prepare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", default="data/modelnet10", help="the dataset folder to write")
    parser.add_argument("--points", type=int, default=2048, help="points of each shape")
    parser.add_argument(
        "--from-archive", help="ModelNet10.zip, or the folder it was unpacked into, if it is here already"
    )
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 for one on each core")
    options = parser.parse_args()
    try:
        made = pointvae.prepare(
            "modelnet10",
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
