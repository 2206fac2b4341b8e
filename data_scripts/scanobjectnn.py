"""Download (13 GB) and prepare a variant of ScanObjectNN: scanned objects of 15 classes, y up.

Research use only. The authors ask that you accept their terms first: https://hkust-vgd.github.io/scanobjectnn. All
variants lie in one archive, which is downloaded once.
"""

import argparse

import pointvae
from pointvae.errors import InputError

VARIANTS = ("obj_only", "obj_bg", "pb_t25", "pb_t25_r", "pb_t50_r", "pb_t50_rs")


def main() -> None:
    """Read the options, and prepare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", default="data/scanobjectnn", help="the dataset folder to write")
    parser.add_argument("--points", type=int, default=2048, help="points of each shape")
    parser.add_argument("--variant", choices=VARIANTS, default="pb_t50_rs", help="pb_t50_rs is the hardest")
    parser.add_argument(
        "--from-archive", help="h5_files.zip, or the folder it was unpacked into, if it is here already"
    )
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 for one on each core")
    options = parser.parse_args()
    try:
        made = pointvae.prepare(
            f"scanobjectnn_{options.variant}",
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
