"""Encoders: clouds to features."""

from pointvae.models.encoders.base import ENCODERS, Encoder
from pointvae.models.encoders.dgcnn import DGCNN
from pointvae.models.encoders.foldingnet import FoldingNet
from pointvae.models.encoders.frame_averaging import FrameAveraging
from pointvae.models.encoders.pointnet import PointNet

__all__ = ["DGCNN", "ENCODERS", "Encoder", "FoldingNet", "FrameAveraging", "PointNet"]
