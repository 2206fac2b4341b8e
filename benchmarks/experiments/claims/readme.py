"""What README.md says of the rows, and docs/evaluation.md where it cites them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import modelnet40
from claims.measured import PLACES, mean, modelnet, points, ratio, speed_row
from claims.words import span, whether
from methods import METHODS
from runs import read_rows

BASES = (("cr-vae", "vae-aug"), ("cr-beta-vae", "beta-vae"), ("cr-iwae", "iwae"), ("cr-ladder", "ladder"))
"""Consistency over each of the bases, and its control."""


def sentences() -> Iterator[str]:
    """The README's."""
    rows = read_rows(modelnet40.RESULTS)
    shown = {name: f"{int(rows[-1][name]):,}" for name in ("n_train", "n_test", "points", "epochs")}
    assert all(f"{int(row[name]):,}" == value for row in rows for name, value in shown.items())
    yield f"all {shown['n_train']} training and {shown['n_test']} test shapes, labels unused in training"
    yield f"{shown['points']} points, 256 latent dimensions, {shown['epochs']} epochs, the same number of epochs for"
    lifted = {
        config: [modelnet(config, *place) - modelnet("untrained", *place) for place in PLACES]
        for config in ("vae", "cr-vae")
    }
    yield f"the plain VAE lifts it by {span(lifted['vae'])} points, `cr-vae` by {span(lifted['cr-vae'])}."
    gains = {place: modelnet("cr-vae", *place) - modelnet("vae-aug", *place) for place in PLACES}
    left_alone = ("posterior_mean", "none")
    yield whether(
        "So it helps under rotation and in the encoder's feature, by about a point; the aligned posterior mean it "
        "leaves alone.",
        all(0.5 <= gain < 1.5 for place, gain in gains.items() if place != left_alone)
        and abs(gains[left_alone]) < 0.5,
    )
    yield f"The same for {len(METHODS)} configurations on procedural shapes"
    rotated = [points(method, control, "mean_rotated") for method, control in BASES]
    shares = [mean(method, "consistency_gap") / mean(control, "consistency_gap") for method, control in BASES]
    yield (
        f"by {min(rotated):.1f} to {max(rotated):.1f} points over its control and narrows the gap between a shape's "
        f"code and its turned copy's, {whether('mostly to less than half', sum(s < 0.5 for s in shares) > 2)}; the "
        f"hierarchical model beats the flat bound by {mean('ladder', 'bound') - mean('vae', 'bound'):.2f} nats per "
        "point"
    )
    yield fast()


def fast() -> str:
    """The figures of speed."""
    return (
        f"a whole PointNet CR-VAE step {ratio('pointnet'):.0f} times as fast in "
        f"1/{float(speed_row('pointnet')['memory_ratio']):.0f} of the memory, a DGCNN encoder step "
        f"{ratio('dgcnn-conv2d'):.0f} times as fast as Conv2d on edges and {ratio('dgcnn-pyg'):.0f} times as fast as "
        f"torch_geometric's EdgeConv, Chamfer distance with its gradient {ratio('chamfer'):.0f} times as fast as "
        f"torch.cdist, preparing large meshes {ratio('prepare'):.0f} times as fast as trimesh's loader and sampler"
    )


def cited() -> Iterator[str]:
    """The example of docs/evaluation.md."""

    def told(config: str) -> str:
        column = "untrained_accuracy" if config == "untrained" else "accuracy"
        found = {
            row["seed"]: 100 * float(row[column])
            for row in read_rows(modelnet40.RESULTS)
            if (row["feature"], row["rotation"]) == ("posterior_mean", "none")
            and config in (row["config"], "untrained")
        }
        return f"{np.mean(list(found.values())):.1f} ± {np.std(list(found.values()), ddof=1):.1f} %"

    yield f"Linear-SVM accuracy on the frozen posterior mean {told('cr-vae')} (mean and standard deviation"
    yield f"untrained {told('untrained')})"
