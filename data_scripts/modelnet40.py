"""Download and prepare ModelNet40: 12,311 CAD meshes of 40 classes, z up.

Research use only. Wu et al., 3D ShapeNets, CVPR 2015; https://modelnet.cs.princeton.edu
"""

from steps import run

if __name__ == "__main__":
    run("modelnet40", __doc__, "ModelNet40.zip")
