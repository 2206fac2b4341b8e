"""Download and prepare ModelNet10: 4,899 CAD meshes of 10 classes, z up, aligned by hand.

Research use only. Wu et al., 3D ShapeNets, CVPR 2015; https://modelnet.cs.princeton.edu
"""

from steps import run

if __name__ == "__main__":
    run("modelnet10", __doc__, "ModelNet10.zip")
