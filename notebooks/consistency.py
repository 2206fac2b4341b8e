# %% [markdown]
# # Consistency regularization, in pictures
#
# An encoder turns a shape `x` into a Gaussian `q(z|x)`, its *posterior*: a place in latent space, the mean, and how
# sure the encoder is of it, the standard deviations. Turn the shape a little, and it is the same shape to you. To a
# plain variational auto-encoder it is another cloud, and it answers with another Gaussian. Consistency regularization
# (Sinha & Dieng, NeurIPS 2021) adds one term to the training, which asks the two Gaussians to agree:
#
# - `R = KL( q(z|t(x)) ‖ q(z|x) )`, with `t` a random transformation: here, a turn about the up axis.
#
# This notebook shows what that term does to `q(z|x)`, and how one tells whether it did so honestly. It takes about
# half a minute, without a GPU or a download.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Ellipse
from torch.distributions import Normal, kl_divergence

import pointvae
from pointvae.evaluation.features import encode
from pointvae.evaluation.latents import describe_latents
from pointvae.models.build import build_model
from pointvae.visualization.grids import cloud_grid

folder = Path(tempfile.mkdtemp(prefix="pointvae-"))
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110})
COLOURS = {"VAE": "#4a76b8", "augmented": "#b8862b", "CR-VAE": "#b8434a", "blunt": "#808080"}

# %% [markdown]
# ## 1. What is to agree
#
# One shape at eight headings. For most questions - what is it, what is it like - these are the same thing.


# %%
def turned(cloud, degrees):
    """A cloud [N, 3] turned about the up axis."""
    angle = np.deg2rad(degrees)
    about_z = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return (cloud @ about_z.T).astype(np.float32)


pointvae.prepare("procedural", folder / "shapes", shapes_per_class=8, points=256, test_fraction=0.25)
dataset = pointvae.load_dataset(folder / "shapes")
test = dataset["test"]
first = {name: int(np.flatnonzero(test.labels == label)[0]) for label, name in enumerate(test.classes)}
plt.close(plt.figure())  # wakes Jupyter's drawing, which then shows the figure of `cloud_grid` too
angles = range(0, 360, 45)
cloud_grid([turned(test.points[first["chair"]], angle) for angle in angles], [f"{angle}°" for angle in angles])

# %% [markdown]
# ## 2. The divergence, and why its order matters
#
# Agreement of two Gaussians is measured by the Kullback-Leibler divergence, in nats. It is **not** symmetric. Below, one
# dimension: `o` is the posterior of the original, `t` that of the turned copy. The term is `KL(t ‖ o)`: the distance of
# the means counts in units of the *original's* deviation. So there are three ways to make it small:
#
# 1. move the means together, which is what one wants;
# 2. make the original less sure of itself - a wide `o` forgives any distance;
# 3. say nothing at all: if every shape gets the same Gaussian, the divergence is zero.
#
# The other terms of the loss have to prevent 2 and 3, and we have to look whether they did.

# %%
cases = {"as it is": (0.0, 0.3, 1.0, 0.3), "1. means agree": (0.0, 0.3, 0.2, 0.3), "2. less sure": (0.0, 0.9, 1.0, 0.9)}
line = torch.linspace(-2.5, 3.5, 301)
figure, axes = plt.subplots(1, 3, figsize=(9, 2.3), sharey=True, layout="constrained")
for place, (title, (m_o, s_o, m_t, s_t)) in zip(axes, cases.items()):
    original, copy = Normal(m_o, s_o), Normal(m_t, s_t)
    place.fill_between(line, original.log_prob(line).exp(), alpha=0.5, label="o: as it was")
    place.fill_between(line, copy.log_prob(line).exp(), alpha=0.5, label="t: turned")
    place.set(title=f"{title}: KL(t ‖ o) = {kl_divergence(copy, original):.2f} nats", yticks=[])
    place.title.set_fontsize(9)
legend = axes[0].legend(frameon=False, fontsize=8)

# %% [markdown]
# ## 3. Four models
#
# The same network, the same first weights, the same number of steps:
#
# - **VAE**: reconstruct each shape as it stands;
# - **augmented**: reconstruct each shape and a turned copy, `weight=0`. The control: it sees every cloud that CR-VAE
#   sees, and is not asked to agree. Whatever CR-VAE does beyond it is due to the term;
# - **CR-VAE**: the same with the term, `weight=30`. Both have the paper's target: the turned copy reconstructs itself,
#   as it stands. So the bound asks the latent to know the heading, the term asks it to forget it, and the weight says
#   who wins; thirty is much, so that a short training shows it. (`target="canonical"` has the copy reconstruct the shape as it *was*, and takes the quarrel away.)
# - **blunt**: a plain VAE whose likelihood is so forgiving that the latent need not say anything. It shows way 3.

# %%
turn = [pointvae.RotateUp(180)]


def pairs(weight):
    return pointvae.Consistency(pointvae.ELBO(), weight=weight, transforms=turn)


def trained(name, objective, sigma=0.05):
    parts = {
        "latent_dim": 16,
        "points": 128,
        "likelihood_args": {"sigma": sigma},
        "encoder_args": {"widths": [32, 64, 128]},
        "decoder_args": {"widths": [128, 256]},
    }
    options = {"epochs": 30, "learning_rate": 3e-3, "seed": 0, "accelerator": "cpu"}
    return pointvae.fit(build_model(parts, seed=0), dataset, folder / name, objective, **options).model


models = {
    "VAE": trained("VAE", pointvae.ELBO()),
    "augmented": trained("augmented", pairs(0.0)),
    "CR-VAE": trained("CR-VAE", pairs(30.0)),
    "blunt": trained("blunt", pointvae.ELBO(), sigma=1.0),
}

# %% [markdown]
# ## 4. A turn, seen from latent space
#
# Four test shapes are turned once around in steps of ten degrees. Each step has a posterior; its mean is drawn as a
# point of the line, and at every thirtieth degree the posterior itself as an ellipse of one standard deviation. The
# sixteen dimensions are laid into the plane of the two principal directions of *all* test shapes' means, grey, so that
# a loop's size is seen against how far different shapes are from each other. The dot is where the shape stands as it
# was.
#
# Where the latent knows the heading, a turn is a journey many ellipses long, and no single place is "the van". Where the
# term works, the loop shrinks towards the size of an ellipse: the encoder's own doubt. Shapes that are nearly round
# about the up axis have small loops in any model.

# %%
steps = np.arange(0, 361, 10)
shown = ("chair", "mug", "guitar", "van")


@torch.no_grad()
def posteriors(model, clouds):
    q = model.posterior(torch.from_numpy(np.stack(clouds)))
    return q.mean, q.stddev


figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.8), layout="constrained")
for place, name in zip(axes, ("VAE", "augmented", "CR-VAE")):
    everyone, _ = posteriors(models[name], test.points)
    centre = everyone.mean(dim=0)
    plane = torch.linalg.svd(everyone - centre, full_matrices=False).Vh[:2]
    place.scatter(*((everyone - centre) @ plane.T).T, s=6, color="0.8")
    for number, shape in enumerate(shown):
        mean, std = posteriors(models[name], [turned(test.points[first[shape]], angle) for angle in steps])
        way = (mean - centre) @ plane.T
        place.plot(*way.T, color=f"C{number}", linewidth=1.2, label=shape)
        place.plot(*way[0], "o", color=f"C{number}", markersize=5)
        for at in range(0, 36, 3):
            cover = plane @ torch.diag(std[at] ** 2) @ plane.T  # of the posterior in the plane [2, 2]
            sizes, directions = np.linalg.eigh(cover.numpy())
            tilt = np.rad2deg(np.arctan2(directions[1, 1], directions[0, 1]))
            wide, high = 2 * np.sqrt(sizes[::-1])
            place.add_patch(Ellipse(way[at].tolist(), wide, high, angle=tilt, fill=False, color=f"C{number}", alpha=0.3))
    place.set(title=name, aspect="equal")
axes[0].legend(frameon=False, fontsize=8)
axes[0].set(xlabel="principal direction 1 (prior deviations)", ylabel="principal direction 2")
plt.show()

# %% [markdown]
# ## 5. The divergence against the angle
#
# The same over all test shapes: `KL( q(z|turned by the angle) ‖ q(z|x) )`. The line is the median, the band the middle
# half of the shapes. The dotted line is a yardstick: the median divergence between **different** shapes of one class,
# as they stand. Above it, a turn moves a shape's code further than becoming another shape of its class would. Where a
# curve dips towards 180 degrees, shapes look alike from in front and from behind.


# %%
def divergence(mean_a, std_a, mean_b, std_b):
    return kl_divergence(Normal(mean_a, std_a), Normal(mean_b, std_b)).sum(dim=-1)


degrees = np.arange(0, 181, 15)
same = torch.from_numpy(test.labels[:, None] == test.labels[None])
same.fill_diagonal_(False)
gaps, yardsticks = {}, {}
for name, model in models.items():
    mean, std = posteriors(model, test.points)
    gaps[name] = torch.stack(
        [divergence(*posteriors(model, [turned(x, angle) for x in test.points]), mean, std) for angle in degrees]
    )
    yardsticks[name] = divergence(mean[:, None], std[:, None], mean[None], std[None])[same].median()
figure, axes = plt.subplots(1, 3, figsize=(10, 3), sharex=True, sharey=True, layout="constrained")
for place, name in zip(axes, ("VAE", "augmented", "CR-VAE")):
    low, middle, high = torch.quantile(gaps[name], torch.tensor([0.25, 0.5, 0.75]), dim=1)
    place.fill_between(degrees[1:], low[1:], high[1:], color=COLOURS[name], alpha=0.25, linewidth=0)
    place.plot(degrees[1:], middle[1:], color=COLOURS[name])
    place.axhline(yardsticks[name], color="0.4", linestyle=":", label="another shape of the class")
    place.set(title=name, yscale="log", xticks=range(0, 181, 45), xlabel="turn (degrees)")
axes[0].set_ylabel("KL (nats)")
legend = axes[0].legend(frameon=False, fontsize=8)

# %% [markdown]
# ## 6. Was it honest?
#
# A small gap alone proves nothing. Beside it stand, over the test shapes:
#
# - `active`: how many of the 16 dimensions differ from shape to shape;
# - `kl`: what the latent says about its shape, nats to the prior;
# - `std`: the mean posterior deviation. The prior's is 1;
# - `gap / other`: the gap over the yardstick: well below one means that the code knows the shape better than the
#   heading.
#
# Compare CR-VAE with `augmented` first. If the gap is smaller while `active` and `kl` stayed up, the two really agree;
# if `std` grew, part of the gain is way 2. And look at `blunt`: its gap is small because its latent says next to
# nothing (`kl`). **Never read a consistency gap without the columns beside it.**

# %%
print(f"{'':12}{'gap':>8}{'other':>8}{'gap/other':>11}{'active':>8}{'kl':>8}{'std':>7}")
for name, model in models.items():
    told = describe_latents(encode(model, test))
    gap, other = gaps[name][1:].median().item(), yardsticks[name].item()
    ratio = f"{gap / other:11.2f}" if other > 0.1 else f"{'-':>11}"
    print(f"{name:12}{gap:8.2f}{other:8.2f}{ratio}{told['active_units']:8d}{told['kl']:8.1f}{told['posterior_std']:7.2f}")

# %% [markdown]
# ## What this is not
#
# One seed, a few hundred made-up shapes and seconds of training: enough to see the mechanism, not to rank methods. That
# needs real shapes, several seeds and the control beside every figure: [docs/methods.md](../docs/methods.md) and the
# README's table have them. A small gap is also no end in itself: what you need for retrieval or classification is a
# code that ignores the heading and keeps the shape, so measure that (`pointvae probe RUN DATASET --rotation z`).
#
# - The formulas, the two targets and the switches: [docs/mathematics/consistency.md](../docs/mathematics/consistency.md).
# - What goes wrong, each shown by an experiment: [docs/mathematics/pitfalls.md](../docs/mathematics/pitfalls.md).
# - A use for transformations other than turns: [retrieval.ipynb](retrieval.ipynb).
