"""The latents of shapes laid out in the plane, coloured by class, with some of the shapes drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from pointvae.data.picture import project
from pointvae.errors import InputError
from pointvae.visualization.clouds import Frame
from pointvae.visualization.colours import class_colours
from pointvae.writing import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Method = Literal["pca", "tsne"]
TSNE_LIMIT = 3000

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]


def flatten_latents(latents: Floats, method: Method = "pca", *, seed: int = 0) -> npt.NDArray[np.float64]:
    """Places (n, 2) of latents (n, D), the larger extent filling [-1, 1].

    Args:
        latents: the codes.
        method: ``pca``, the two directions of largest variance, or ``tsne`` (van der Maaten & Hinton 2008), which
            keeps neighbours together and nothing else, for at most 3,000 shapes.
        seed: of t-SNE.

    Raises:
        InputError: the method is unknown, or there are too many shapes for t-SNE.
    """
    if method not in ("pca", "tsne"):
        raise InputError(f"latent map: unknown method {method!r}; choose from pca, tsne")
    if method == "tsne" and len(latents) > TSNE_LIMIT:
        raise InputError(f"latent map: {len(latents)} shapes are too many for tsne; take {TSNE_LIMIT} or use pca")
    centred = np.asarray(latents, np.float64) - latents.mean(axis=0, dtype=np.float64)
    places = _pca(centred)
    if method == "tsne" and len(latents) > 3 and np.ptp(places) > 1e-9:
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(latents) - 1) / 3)
        start = (places / places[:, 0].std() * 1e-4).astype(np.float32)
        embedding = TSNE(perplexity=perplexity, init=start, random_state=seed, learning_rate="auto")
        made = embedding.fit_transform(centred.astype(np.float32)).astype(np.float64)
        places = _pca(made - made.mean(axis=0))  # turned so that its length lies across
    places = places - (places.max(axis=0) + places.min(axis=0)) / 2
    filled: npt.NDArray[np.float64] = places / max(float(np.abs(places).max()), 1e-12)
    return filled


def _pca(centred: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scores on the first two principal axes (n, 2); each axis points where its largest weight is positive."""
    if centred.shape[1] < 2:
        centred = np.pad(centred, ((0, 0), (0, 2 - centred.shape[1])))
    _, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors[:, :-3:-1]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    scores: npt.NDArray[np.float64] = centred @ (axes * signs)
    return scores


def spread_out(places: Floats, labels: Labels | None, count: int, gap: float) -> list[int]:
    """Shapes to draw in, none within ``gap`` of another: each class's most central first, then any that fit."""
    order: list[int] = []
    if labels is not None:
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            middle = np.median(places[members], axis=0)
            order.append(int(members[np.linalg.norm(places[members] - middle, axis=1).argmin()]))
    rest = np.argsort(-np.linalg.norm(places, axis=1), kind="stable")
    chosen: list[int] = []
    for index in [*order, *rest.tolist()]:
        far = all(np.abs(places[index] - places[other]).max() >= gap for other in chosen)
        if far and len(chosen) < count:
            chosen.append(index)
    return chosen


def latent_map_figure(
    places: Floats,
    labels: Labels | None,
    classes: Sequence[str],
    clouds: Floats | None = None,
    *,
    title: str = "",
    thumbnails: int = 40,
) -> Figure:
    """A figure of the map.

    Args:
        places: where each shape stands (n, 2).
        labels: index of its class (n,), if any.
        classes: their names, for the legend.
        clouds: the shapes (n, N, 3), some of which are drawn in.
        title: the line above.
        thumbnails: at most so many shapes are drawn in.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8), dpi=120, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    colours = np.array(class_colours(max(len(classes), 1)))
    dots = np.full(len(places), "#4a76b8") if labels is None else colours[labels]
    axes.scatter(places[:, 0], places[:, 1], c=dots, s=12, linewidths=0, alpha=0.65)
    if clouds is not None:
        size = 0.055
        for index in spread_out(places, labels, thumbnails, 2.2 * size):
            frame = Frame.of(clouds[index])
            flat, _ = project((clouds[index] - frame.centre) / frame.radius)
            thumb = places[index] + size * flat
            box = {"facecolor": "white", "edgecolor": dots[index], "linewidth": 0.8, "alpha": 0.75, "zorder": 2}
            axes.add_patch(_square(places[index], 1.05 * size, box))
            axes.scatter(thumb[:, 0], thumb[:, 1], c=dots[index], s=0.9, linewidths=0, zorder=3)
    axes.set(xlim=(-1.08, 1.08), ylim=(-1.08, 1.08), aspect="equal", title=title)
    axes.set_axis_off()
    if labels is not None:
        present = np.unique(labels)
        handles = [
            axes.scatter([], [], c=colours[label], s=28, label=str(classes[label]), linewidths=0) for label in present
        ]
        columns = min(8, max(1, len(handles)))
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    return figure


def _square(centre: Floats, half: float, style: dict[str, Any]) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((centre[0] - half, centre[1] - half), 2 * half, 2 * half, **style)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png")
