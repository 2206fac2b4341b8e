"""Download (13 GB) and prepare a variant of ScanObjectNN: scanned objects of 15 classes, y up.

Research use only. The authors ask that you accept their terms first: https://hkust-vgd.github.io/scanobjectnn. All
variants lie in one archive, which is downloaded once.
"""

from steps import run

if __name__ == "__main__":
    run(
        "scanobjectnn_{}",
        __doc__,
        "h5_files.zip",
        option="variant",
        choices=("obj_only", "obj_bg", "pb_t25", "pb_t25_r", "pb_t50_r", "pb_t50_rs"),
    )
