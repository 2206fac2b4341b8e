"""Encoders, decoders, likelihoods, and the models made of them."""

from pointvae.models.ladder import LadderPointVAE
from pointvae.models.vae import PointVAE

__all__ = ["LadderPointVAE", "PointVAE"]
