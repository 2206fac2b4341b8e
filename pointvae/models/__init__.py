"""Encoders, decoders, likelihoods, and the models made of them."""

from pointvae.models.vae import PointVAE

__all__ = ["PointVAE"]
