"""Small made-up shapes and models that the tests of this folder share."""

import numpy as np

from pointvae.data.dataset import Shapes
from pointvae.models.build import build_model
from pointvae.models.vae import PointVAE

CLASSES = ["ball", "plate", "stick"]
STRETCH = np.array([[1, 1, 1], [1, 1, 0.05], [0.05, 0.05, 1]], np.float32)


def make_shapes(n: int = 12, points: int = 40, seed: int = 0, classes: int = 3) -> Shapes:
    """Balls, plates and sticks in turn."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n, dtype=np.int64) % classes
    clouds = rng.standard_normal((n, points, 3)).astype(np.float32) * STRETCH[labels, None]
    clouds /= np.linalg.norm(clouds, axis=2).max(axis=1)[:, None, None]
    names = [f"{CLASSES[label]}_{i:03d}" for i, label in enumerate(labels)]
    return Shapes(clouds, labels, names, CLASSES[:classes])


def make_model(latent_dim: int = 8, points: int = 24, seed: int = 0) -> PointVAE:
    """A PointNet VAE of a few hundred weights."""
    config = {
        "latent_dim": latent_dim,
        "points": points,
        "encoder_args": {"widths": (16, 32)},
        "decoder_args": {"widths": (32,)},
    }
    return build_model(config, seed).eval()
