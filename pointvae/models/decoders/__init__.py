"""Decoders: latents to output points."""

from pointvae.models.decoders.base import DECODERS, Decoder
from pointvae.models.decoders.folding import FoldingDecoder
from pointvae.models.decoders.mlp import MLPDecoder

__all__ = ["DECODERS", "Decoder", "FoldingDecoder", "MLPDecoder"]
