"""Download and prepare ModelNet40 as PointNet released it: 12,308 clouds of 2,048 points, y up.

Research use only. Three shapes fewer than the meshes, and other points: do not compare figures across releases.
"""

from steps import run

if __name__ == "__main__":
    run("modelnet40_hdf5_2048", __doc__, "modelnet40_ply_hdf5_2048.zip")
