"""Prepare ShapeNetCore v1 or v2: some 51,300 CAD meshes of 55 categories, y up.

Research and education only, and given to those who ask: without --from-archive this tells the steps to take. Put
all.csv, the list of the official split, beside the archive; without it a split is drawn.
"""

from steps import run

if __name__ == "__main__":
    run("shapenetcore_v{}", __doc__, "ShapeNetCore.v2.zip", option="version", choices=("1", "2"))
