"""Download and prepare ModelNet40 as PointNet++ released it: 12,311 clouds of 10,000 points, y up.

Research use only. Its points are thinned here; its normals are not read.
"""

from steps import run

if __name__ == "__main__":
    run("modelnet40_normal_resampled", __doc__, "modelnet40_normal_resampled.zip")
