# %% [markdown]
# # From shapes to latents in a few minutes
#
# This notebook makes a small set of 3D shapes, learns a vector for each of them twice - with a plain variational
# auto-encoder (VAE) and with a consistency-regularized one (CR-VAE) - and looks at what the two have learned. It
# needs no downloads, no GPU and about a minute of computing.
#
# A shape is a **point cloud**: a few hundred points drawn from its surface, in any order. The encoder turns a cloud
# into a Gaussian over 32 numbers, the *posterior*; its mean is the shape's vector, its *latent*. The decoder turns
# such numbers back into a cloud. No label is used to train either.

# %%
import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import pointvae
from pointvae.evaluation.features import encode
from pointvae.evaluation.latents import consistency_gaps, describe_latents
from pointvae.evaluation.probes import probe_run
from pointvae.evaluation.reconstruction import reconstruct
from pointvae.evaluation.views import View
from pointvae.geometry.distances import chamfer_distance
from pointvae.models.build import build_model
from pointvae.visualization.grids import cloud_grid, reconstruction_grid

folder = Path(tempfile.mkdtemp(prefix="pointvae-"))  # name a folder of your own here to keep what is made
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110})

# %% [markdown]
# ## 1. Prepare
#
# `prepare` takes a folder of meshes or scans, an archive, or arrays. Here it takes the shapes that come with the
# package: furniture, vessels, vehicles and tools, each built from random measures. It draws points from every
# surface, centres each cloud, scales it into the unit sphere, and writes a *dataset folder*, which is Parquet files
# with a card.
#
# The same in a shell: `pointvae prepare procedural shapes --shapes_per_class 30 --points 512`

# %%
made = pointvae.prepare("procedural", folder / "shapes", shapes_per_class=30, points=512)
dataset = pointvae.load_dataset(folder / "shapes")
train, test = dataset["train"], dataset["test"]
print(dataset)
print("one shape:", test.names[0], test.points[0].shape, test.points.dtype)

# %% [markdown]
# ## 2. Look
#
# Always look before training. A cloud is an array [points, 3], and z points up:

# %%
first = [int(np.flatnonzero(test.labels == label)[0]) for label in range(len(test.classes))]
figure = plt.figure(figsize=(9, 3))
for column, name in enumerate(("airplane", "chair", "teapot")):
    place = figure.add_subplot(1, 3, column + 1, projection="3d", title=name)
    x, y, z = test.points[first[test.classes.index(name)]].T
    place.scatter(x, y, z, s=2)
    place.set(xlabel="x", ylabel="y", zlabel="z")
    place.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1), xticks=(-1, 0, 1), yticks=(-1, 0, 1), zticks=(-1, 0, 1))
    place.set_box_aspect((1, 1, 1), zoom=0.85)

# %% [markdown]
# The first test shape of each class. Some classes are easy to tell apart, others (jug and mug, shovel and rake, car
# and van) are meant not to be.

# %%
cloud_grid(test.points[first], test.classes)

# %% [markdown]
# ## 3. Train two models with one budget
#
# Both models have the same parts, start from the same weights, and see the same number of batches. They differ in the
# objective alone:
#
# - `ELBO`: reconstruct each cloud from its latent, and keep the posterior near the prior N(0, I);
# - `Consistency`: the same for each cloud **and** for a copy turned about the up axis, plus the divergence
#   KL(posterior of the copy ‖ posterior of the original), which is to be small. With `target="canonical"` the turned
#   copy must reconstruct the *unturned* original, so that nothing asks the latent to remember the heading;
#   `target="transformed"`, the paper's, has it reconstruct itself.
#
# A step of CR-VAE handles two clouds for each shape and takes about twice as long; one budget means equal steps here.
# These are toy sizes. `configs/*.yaml` holds settings for real data.

# %%
parts = {
    "encoder": "pointnet",
    "decoder": "mlp",
    "likelihood": "chamfer",
    "latent_dim": 32,
    "points": 256,
    "encoder_args": {"widths": [32, 64, 256]},
    "decoder_args": {"widths": [256, 512]},
    "likelihood_args": {"sigma": 0.05},
}
turns = [pointvae.RotateUp(degrees=180)]
objectives = {
    "VAE": pointvae.ELBO(),
    "CR-VAE": pointvae.Consistency(pointvae.ELBO(), weight=1.0, transforms=turns, target="canonical"),
}
runs = {}
for name, objective in objectives.items():
    model = build_model(parts, seed=0)
    runs[name] = pointvae.fit(
        model, dataset, folder / name, objective, epochs=15, learning_rate=3e-3, seed=0, accelerator="cpu"
    )
sorted(path.name for path in runs["VAE"].path.iterdir())

# %% [markdown]
# `fit` writes a *run folder*: weights (safetensors, never a pickle), the complete configuration, a model card and
# `metrics.csv`, one row an epoch. It held out a tenth of the train split to watch; the test split was not read.
#
# ## 4. Read the curves
#
# Four curves on held-out shapes, and what each tells:
#
# - **reconstruction error** `cd_l2_mean`: mean squared distance to the nearest point, both directions added;
# - **KL to the prior**, in nats a shape: how much the latent says about its shape. Near zero, it says nothing;
# - **active units**: how many of the 32 dimensions vary from shape to shape at all;
# - **spread of the posterior**: its mean standard deviation.
#
# The last three stand beside the first because a consistency loss is trivially small for a latent that says nothing.


# %%
def curve(run, column):
    """Epochs and values of one column of metrics.csv."""
    with (run.path / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row[column]]
    return [int(row["epoch"]) for row in rows], [float(row[column]) for row in rows]


shown = {
    "val/cd_l2_mean": "reconstruction error (cd_l2_mean)",
    "val/kl": "KL to the prior (nats a shape)",
    "val/active_units": "active units (of 32)",
    "val/posterior_std": "mean posterior standard deviation",
}
figure, axes = plt.subplots(2, 2, figsize=(9, 5.4), sharex=True, layout="constrained")
for place, (column, title) in zip(axes.flat, shown.items()):
    for name, run in runs.items():
        place.plot(*curve(run, column), label=name)
    place.set_title(title, fontsize=10)
    place.set_ylim(bottom=0)
axes[0, 0].legend(frameon=False)
for place in axes[1]:
    place.set(xlabel="epoch", xticks=range(0, 16, 5))

# %% [markdown]
# ## 5. The posterior of a shape
#
# `posterior` gives a `torch.distributions` object: one Gaussian for each cloud of the batch. The mean is the latent;
# the standard deviation says how sure the encoder is of each number. Below, one shape is turned about the up axis
# step by step: how far does its latent move, measured in those standard deviations?


# %%
def turned(cloud, degrees):
    """A cloud [N, 3] turned about the up axis."""
    angle = np.deg2rad(degrees)
    about_z = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return (cloud @ about_z.T).astype(np.float32)


chosen = test.classes.index("chair")
shape = test.points[first[chosen]][:256]
angles = np.arange(0, 361, 15)
headings = torch.from_numpy(np.stack([turned(shape, angle) for angle in angles]))
figure, place = plt.subplots(figsize=(6, 3.4), layout="constrained")
for name, run in runs.items():
    with torch.no_grad():
        q = run.model.posterior(headings)
    moved = (q.mean - q.mean[0]) / q.stddev[0]
    place.plot(angles, moved.square().mean(dim=1).sqrt(), label=name)
place.set(xlabel=f"turn of a {test.classes[chosen]} about the up axis (degrees)", ylabel="move of the latent (std)")
place.set_xticks(range(0, 361, 90))
place.legend(frameon=False)
q

# %% [markdown]
# ## 6. The consistency gap
#
# The same question over all test shapes, as the number that CR-VAE trains for: KL( q(z | turned) ‖ q(z | as it was) )
# in nats, one random heading a shape, the same headings for both models. CR-VAE should have the smaller gap; the
# columns beside it show whether it got there honestly - by agreeing, and not by saying less (`active_units`, `kl`) or
# by being less sure (`posterior_std`).

# %%
view = View(points=256)  # the same 256 of each shape's points for every model
gaps = {name: consistency_gaps(run.model, test, turns[0], view) for name, run in runs.items()}
codes = {name: encode(run.model, test, view) for name, run in runs.items()}
print(f"{'':8}{'median gap':>12}{'active_units':>14}{'kl':>8}{'posterior_std':>15}")
for name in runs:
    told = describe_latents(codes[name])
    print(
        f"{name:8}{np.median(gaps[name]):12.1f}{told['active_units']:14d}"
        f"{told['kl']:8.1f}{told['posterior_std']:15.2f}"
    )

figure, place = plt.subplots(figsize=(6, 3), layout="constrained")
bins = np.geomspace(0.1, 1000, 41)
for name, gap in gaps.items():
    place.hist(gap.clip(bins[0], bins[-1]), bins, alpha=0.6, label=name)
place.set(xscale="log", xlabel="consistency gap under a random heading (nats)", ylabel="test shapes")
legend = place.legend(frameon=False)

# %% [markdown]
# ## 7. Reconstructions
#
# Six test shapes above what the VAE makes of their latents, each with its error. After a minute of training the gross
# shape is there and thin parts are not. A better reconstruction is not a better latent: look at both.

# %%
picked = first[3:33:5]
inputs = test.points[picked][:, :256]
outputs = reconstruct(runs["VAE"].model, inputs)
reconstruction_grid(inputs, outputs.points, [test.names[i] for i in picked], outputs.cd_l2_mean)

# %% [markdown]
# Now the same shapes, each turned by 120 degrees, through the CR-VAE. With the canonical target it is asked to give
# back the unturned shape, that is, to tell from the shape alone how it used to stand; the errors are those to the
# unturned shapes. Where the shapes of a class share a heading, the decoder gives that.

# %%
away = np.stack([turned(cloud, 120) for cloud in inputs])
outputs = reconstruct(runs["CR-VAE"].model, away).points
errors = chamfer_distance(torch.from_numpy(outputs), torch.from_numpy(inputs)).tolist()
reconstruction_grid(away, outputs, [test.names[i] for i in picked], errors)

# %% [markdown]
# ## 8. Can classes be read off the latents?
#
# A linear SVM on frozen features, its one parameter chosen by cross-validation on the train split, the test split
# scored once. Two features: the posterior mean, and what the encoder holds before the posterior head. **Beside each
# stands the same encoder before training**, because random features do surprisingly well and a figure without that
# floor says little. `rotation="z"` turns every shape, train and test, to a heading of its own.
#
# The intervals are 95 % over test shapes. There are few of those here, and one seed: differences of a few points mean
# nothing yet.

# %%
print(f"{'model':8}{'shapes':9}{'feature':16}{'accuracy':>9}{'interval':>15}{'untrained':>11}")
for name, run in runs.items():
    for rotation, shapes in (("none", "aligned"), ("z", "turned")):
        result = probe_run(run.path, folder / "shapes", rotation=rotation)
        for figures in result["probes"]:
            low, high = figures["accuracy_interval"]
            print(
                f"{name:8}{shapes:9}{figures['feature']:16}{figures['accuracy']:9.3f}"
                f"{f'{low:.2f} to {high:.2f}':>15}{figures['untrained_accuracy']:11.3f}"
            )
print("protocol", result["protocol"])

# %% [markdown]
# ## 9. Embed to numpy
#
# From here on it is arrays: one vector a shape, to cluster, to search, to feed to any classifier. `from_pretrained`
# reads a run folder back, in evaluation mode.
#
# The same in a shell: `pointvae embed RUN INPUT latents.npz`

# %%
model = pointvae.from_pretrained(folder / "CR-VAE")
with torch.no_grad():
    latents = model.posterior(torch.from_numpy(test.points[:, :256])).mean.numpy()
np.savez(folder / "latents.npz", latents=latents, labels=test.labels, names=np.array(test.names))
latents.shape, latents.dtype

# %% [markdown]
# Nearest neighbours, for instance: a shape on the left, and the five others whose latents are nearest to its own.
# Where they are of another class, one sees what the latent takes for alike.

# %%
queries = [first[test.classes.index(name)] for name in ("airplane", "chair", "goblet")]
order = []
for query in queries:
    distance = np.linalg.norm(latents - latents[query], axis=1)
    order += np.argsort(distance, kind="stable")[:6].tolist()
cloud_grid(test.points[order], [test.names[i] for i in order], columns=6)

# %% [markdown]
# ## Where to go next
#
# - **Your own shapes**: `pointvae prepare FOLDER DATASET --up y`, where each class is a folder (`--up` names the axis
#   that points up in your files); then `pointvae inspect DATASET --picture shapes.png`.
# - **Longer training, larger models**: `pointvae train DATASET RUN --config configs/cr-vae.yaml --epochs 100`;
#   encoders `pointnet`, `dgcnn`, `foldingnet`, decoders `mlp`, `folding`, likelihoods `chamfer`, `mixture`.
# - **What the terms mean**: [docs/mathematics](../docs/mathematics/README.md).
# - **What the figures mean**: [docs/evaluation.md](../docs/evaluation.md).
# - **When something goes wrong**: [docs/faq.md](../docs/faq.md).
