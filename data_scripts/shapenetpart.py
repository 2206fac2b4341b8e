"""Download and prepare ShapeNetPart: 16,881 clouds of 16 categories, y up, with a validation split.

Research and education only. The label is the category; the labels of parts are not read. Its clouds have different
counts of points: if one has fewer than asked for, you are told how many it has.
"""

from steps import run

if __name__ == "__main__":
    run("shapenetpart", __doc__, "shapenetcore_partanno_segmentation_benchmark_v0_normal.zip")
