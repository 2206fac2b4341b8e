"""Places of latents in the plane: PCA always, UMAP where it is installed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from pointvae.visualization.latent_map import flatten_latents

Floats = npt.NDArray[np.float32]

MIN_UMAP = 20
"""Fewer shapes have no neighbourhoods to keep."""


@dataclass(frozen=True, eq=False)
class Map:
    """A map of n shapes.

    Attributes:
        name: of the method.
        note: what it keeps, for the reader.
        places: where each shape stands (n, 2), the larger extent filling [-1, 1].
        axes: (D + 1, 2), which take a latent and a 1 to its place; None where the method gives no such map.
    """

    name: str
    note: str
    places: npt.NDArray[np.float64]
    axes: npt.NDArray[np.float64] | None = None


def pca_map(latents: Floats) -> Map:
    """The two directions of largest variance of latents (n, D)."""
    places: npt.NDArray[np.float64] = flatten_latents(latents)
    rows = np.pad(latents.astype(np.float64), ((0, 0), (0, 1)), constant_values=1.0)
    axes = np.linalg.lstsq(rows, places, rcond=None)[0]  # exact: the map is affine
    note = "the two directions along which the latents vary most"
    return Map("PCA", note, places, np.asarray(axes, np.float64))


def umap_map(latents: Floats, *, seed: int = 0) -> Map:
    """UMAP of latents (n, D); needs umap-learn.

    Source: McInnes, Healy & Melville, "UMAP: Uniform Manifold Approximation and Projection", 2018.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TensorFlow, which is not needed, and of threads, which a seed forbids
        from umap import UMAP

        made = UMAP(random_state=seed, n_neighbors=min(15, len(latents) - 1)).fit_transform(latents)
    places: npt.NDArray[np.float64] = np.asarray(made, np.float64)
    places = places - (places.max(axis=0) + places.min(axis=0)) / 2
    note = "keeps neighbours together; sizes of groups and distances between them mean little"
    return Map("UMAP", note, places / max(float(np.abs(places).max()), 1e-12))


def latent_maps(latents: Floats, *, umap: bool | None = None, seed: int = 0) -> list[Map]:
    """PCA, and UMAP where it is installed, for twenty shapes or more.

    Args:
        latents: the codes (n, D).
        umap: False for none.
        seed: of UMAP.
    """
    maps = [pca_map(latents)]
    if umap is not False and len(latents) >= MIN_UMAP and find_spec("umap") is not None:
        maps.append(umap_map(latents, seed=seed))
    return maps
