"""Vectors from 3D shapes: point-cloud variational auto-encoders under consistency regularization."""

from pointvae.errors import InputError
from pointvae.version import __version__

__all__ = ["InputError", "__version__"]
