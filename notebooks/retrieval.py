# %% [markdown]
# # From a scan to its CAD model
#
# A scanner sees a part from one side, noisily, at whatever heading it lies. In the drawer is the CAD model of that
# part, among many others. Which one is it? This notebook trains an encoder for that question, without labels and
# without a single real scan, and measures it beside chance and beside an encoder that was never trained.
#
# The idea: with **consistency regularization** one may choose what the latent has to ignore. Give it a transformation
# that makes scans of shapes, and it learns codes that a shape and its scans share. It takes less than a minute, without
# a GPU or a download.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import pointvae
from pointvae.corruptions import corrupt
from pointvae.evaluation.features import encode
from pointvae.hub import untrained_twin
from pointvae.models.build import build_model
from pointvae.visualization.grids import cloud_grid

folder = Path(tempfile.mkdtemp(prefix="pointvae-"))
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110})
plt.close(plt.figure())  # wakes Jupyter's drawing, which then shows the figures of `cloud_grid` too

# %% [markdown]
# ## 1. The drawer
#
# Procedural furniture, vessels, vehicles and tools stand for the CAD models; `pointvae prepare FOLDER DATASET` makes the
# same of your own files. The **test** shapes are the drawer: the models below never see them while they train.

# %%
POINTS = 256
pointvae.prepare("procedural", folder / "shapes", shapes_per_class=12, points=512, test_fraction=0.3)
dataset = pointvae.load_dataset(folder / "shapes")
drawer = dataset["test"]
print(dataset)

# %% [markdown]
# ## 2. The scans
#
# Each shape of the drawer is scanned once: `occlusion` keeps what a camera sees from one side, `gaussian` adds noise,
# both from the package's corruptions (those of ModelNet40-C, severities 1 to 5). Then the part is laid down at a random
# heading. Nobody knows the centre and size of a part that was seen by half, so the scan is centred and scaled by what
# it has. The models get 256 points of each.


# %%
def place_again(cloud):
    """Centred on the mean of what is there, the largest norm 1."""
    cloud = cloud - cloud.mean(axis=0)
    return cloud / np.linalg.norm(cloud, axis=1).max()


def scanned(cloud, rng):
    """What a scanner makes of a cloud [N, 3]: one side of it, noisy, at any heading [POINTS, 3]."""
    side = corrupt(corrupt(cloud, "occlusion", int(rng.integers(1, 6)), rng), "gaussian", 2, rng)
    angle = rng.uniform(0, 2 * np.pi)
    about_z = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    kept = side[rng.choice(len(side), POINTS, replace=len(side) < POINTS)]
    return place_again(kept @ about_z.T).astype(np.float32)


models = np.stack([place_again(cloud[:POINTS]) for cloud in drawer.points]).astype(np.float32)
scans = np.stack([scanned(cloud, np.random.default_rng((7, i))) for i, cloud in enumerate(drawer.points)])
picked = [int(np.flatnonzero(drawer.labels == drawer.classes.index(name))[0]) for name in ("chair", "jug", "van", "axe")]
pair = [cloud for i in picked for cloud in (models[i], scans[i])]
cloud_grid(pair, [name for i in picked for name in ("CAD", "scan")], inputs=range(0, 8, 2))

# %% [markdown]
# ## 3. A transformation that makes scans
#
# Training cannot use the test's corruptions as they are - it would be too slow, and a bit too much like the exam. A
# transformation of one's own is a class with one method, on batches of clouds. This one keeps the points on the side
# that faces a random direction, in copies so that their number stays, adds jitter, and centres and scales again. It
# knows nothing of what hides what, so its scans are not those of the test.


# %%
class OneSide(pointvae.Transform):
    """Keep the half of each cloud that faces a random direction, centred and scaled by what is left."""

    def __call__(self, points, mask=None, generator=None):
        direction = torch.randn(len(points), 3, 1, generator=generator)
        facing = (points @ direction).squeeze(2)
        kept = facing.argsort(dim=1, descending=True)[:, : points.shape[1] // 2]
        half = points.gather(1, kept.repeat(1, 2).unsqueeze(2).expand(-1, -1, 3))
        half = half - half.mean(dim=1, keepdim=True)
        return half / half.norm(dim=2).amax(dim=1).view(-1, 1, 1)


scan = [OneSide(), pointvae.RotateUp(180), pointvae.Jitter(0.02)]

# %% [markdown]
# ## 4. Three encoders
#
# - **VAE**: knows whole shapes only;
# - **augmented**: is also given scans, each to be turned back into the whole shape (`target="canonical"`), with no
#   demand that the codes agree: the control;
# - **CR-VAE**: the same, and a shape and its scan are to have the same posterior.
#
# All have as many steps, and the same first weights; before the first step that is the **untrained** encoder.

# %%
parts = {
    "latent_dim": 32,
    "points": POINTS,
    "likelihood_args": {"sigma": 0.05},
    "encoder_args": {"widths": [32, 64, 256]},
    "decoder_args": {"widths": [128, 256]},
}


def agreeing(weight):
    return pointvae.Consistency(pointvae.ELBO(), weight=weight, transforms=scan, target="canonical")


objectives = {"VAE": pointvae.ELBO(), "augmented": agreeing(0.0), "CR-VAE": agreeing(1.0)}
encoders = {}
for name, objective in objectives.items():
    options = {"epochs": 30, "learning_rate": 3e-3, "seed": 0, "accelerator": "cpu"}
    encoders[name] = pointvae.fit(build_model(parts, seed=0), dataset, folder / name, objective, **options).model
encoders["untrained"] = untrained_twin(folder / "VAE")

# %% [markdown]
# ## 5. Search
#
# Every CAD model and every scan gets its posterior mean. For each scan the drawer is sorted by distance to its code. How
# often does the part's own model come first, or among the first five or ten (of all in the drawer)? And how often is
# the first one at least of the right class? `chance` is what lots drawn would give.


# %%
@torch.no_grad()
def codes(model, clouds):
    """Posterior means [n, D], each dimension scaled to the deviation that it has over the drawer."""
    mean = model.eval().posterior(torch.from_numpy(clouds)).mean
    return mean.numpy()


def search(model):
    """The drawer sorted for each scan [n, n]."""
    shelf, asked = codes(model, models), codes(model, scans)
    centre, spread = shelf.mean(axis=0), shelf.std(axis=0) + 1e-9
    shelf, asked = (shelf - centre) / spread, (asked - centre) / spread
    return np.argsort(np.linalg.norm(asked[:, None] - shelf[None], axis=2), axis=1, kind="stable")


orders = {name: search(model) for name, model in encoders.items()}
own = np.arange(len(drawer))[:, None]
print(f"{len(drawer)} CAD models\n{'':11}{'top 1':>8}{'top 5':>8}{'top 10':>8}{'class':>8}")
shares = {}
for name, order in orders.items():
    rank = (order == own).argmax(axis=1)
    shares[name] = [(rank < k).mean() for k in (1, 5, 10)]
    right = (drawer.labels[order[:, 0]] == drawer.labels).mean()
    print(f"{name:11}" + "".join(f"{share:8.2f}" for share in [*shares[name], right]))
shares["chance"] = [k / len(drawer) for k in (1, 5, 10)]
sizes = np.bincount(drawer.labels)
print(f"{'chance':11}" + "".join(f"{share:8.2f}" for share in [*shares["chance"], (sizes**2).sum() / sizes.sum() ** 2]))

# %%
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
for number, (name, values) in enumerate(shares.items()):
    axes.bar(np.arange(3) + 0.16 * (number - 2), values, 0.15, label=name, color="0.75" if name == "chance" else None)
axes.set(xticks=range(3), xticklabels=["top 1", "top 5", "top 10"], ylabel="scans whose model is found")
legend = axes.legend(frameon=False, fontsize=8)

# %%
print(f"95 % interval of a share near a half, over {len(drawer)} scans: ±{1.96 * np.sqrt(0.25 / len(drawer)):.2f}")

# %% [markdown]
# One training seed is one throw, and the interval is wide: trust large gaps and no small one. Chance is far below all
# of them, the untrained encoder is not: half of a shape's points already say much about it. What training adds is the
# difference to that bar.
#
# ## 6. Look at what was found
#
# A scan on the left, in the colours of an input, then the five models that CR-VAE puts first; its own model has a tick.
# Two scans whose model is among the five, and two whose model is not. Where it fails, see what the scan left to be
# seen: from one side and at another heading a van is much like other boxes.

# %%
rank = (orders["CR-VAE"] == own).argmax(axis=1)
rows = [*np.flatnonzero(rank < 5)[[0, -1]], *np.flatnonzero(rank >= 5)[[0, -1]]]
clouds, names = [], []
for i in rows:
    best = orders["CR-VAE"][i, :5]
    clouds += [scans[i], *models[best]]
    names += [f"scan of {drawer.classes[drawer.labels[i]]}"]
    names += [drawer.classes[drawer.labels[j]] + (" ✓" if j == i else "") for j in best]
cloud_grid(clouds, names, columns=6, inputs=range(0, len(names), 6))

# %% [markdown]
# ## With your own parts
#
# Prepare the CAD files (`pointvae prepare meshes data/mine --up y`), train with a transformation that imitates your
# scanner, embed drawer and scans, and sort by distance; `pointvae embed runs/mine scan.ply scan.npz` reads a scan file.
# What to expect: a learned code finds the class and the proportions. Two screws that differ by a millimetre need a
# registration (ICP) of the scan against the first ten candidates; the code's part is to make it ten and not ten thousand.
#
# - Corruptions and what each does: [docs/corruptions.md](../docs/corruptions.md).
# - The mathematics of the term: [docs/mathematics/consistency.md](../docs/mathematics/consistency.md), with pictures in
#   [consistency.ipynb](consistency.ipynb).
