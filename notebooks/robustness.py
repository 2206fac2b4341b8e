# %% [markdown]
# # How much damage does a code bear?
#
# A model meets worse clouds than those it was trained on: noise, holes, stray points, a sensor that sees one side. This
# notebook trains a small model on clean shapes, damages the test shapes in the fifteen ways of ModelNet40-C, and then
# moves the points on purpose, a little, to where it hurts most. It takes about half a minute, without a GPU or a
# download.
#
# Two questions, which are not the same: how much does the code *change*, and can classes still be *read off* it?

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pointvae
from pointvae.corruptions import CORRUPTIONS, corrupt
from pointvae.evaluation.attack_run import attack_run
from pointvae.evaluation.corrupted import corrupted
from pointvae.evaluation.features import encode
from pointvae.evaluation.views import View
from pointvae.hub import untrained_twin
from pointvae.models.build import build_model
from pointvae.visualization.grids import cloud_grid

folder = Path(tempfile.mkdtemp(prefix="pointvae-"))
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110})
plt.close(plt.figure())  # wakes Jupyter's drawing, which then shows the figures of `cloud_grid` too

# %% [markdown]
# ## 1. Shapes and a model
#
# The model sees clean shapes only. Its posterior means are frozen, and a linear classifier is fitted to those of the
# *clean* training shapes. Whatever happens below happens to that pair. Beside it stands the same network untrained, with
# a classifier of its own.

# %%
pointvae.prepare("procedural", folder / "shapes", shapes_per_class=10, points=512, test_fraction=0.4)
dataset = pointvae.load_dataset(folder / "shapes")
train, test = dataset["train"], dataset["test"]
parts = {
    "latent_dim": 32,
    "points": 256,
    "likelihood_args": {"sigma": 0.05},
    "encoder_args": {"widths": [32, 64, 256]},
    "decoder_args": {"widths": [128, 256]},
}
objective = pointvae.Consistency(pointvae.ELBO(), weight=1.0, transforms=[pointvae.RotateUp(15), pointvae.Jitter(0.01)])
options = {"epochs": 30, "learning_rate": 3e-3, "seed": 0, "accelerator": "cpu"}
models = {"trained": pointvae.fit(build_model(parts, seed=0), dataset, folder / "run", objective, **options).model}
models["untrained"] = untrained_twin(folder / "run")
view = View(points=256)  # the same 256 points of a shape for everyone


def codes(model, shapes, view=None):
    return encode(model, shapes, view).posterior_mean


readers = {
    who: make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000)).fit(
        codes(model, train, view), train.labels
    )
    for who, model in models.items()
}
clean = {who: readers[who].score(codes(model, test, view), test.labels) for who, model in models.items()}
print(f"{len(test)} test shapes in {len(test.classes)} classes; clean:", {who: round(a, 2) for who, a in clean.items()})

# %% [markdown]
# ## 2. Fifteen kinds of damage
#
# One shape under each, at severity 3 of 5. Some keep the shape and change its points (noise), some take points away or
# thin them unevenly (density), some bend the shape (transformation). Which of these *should* leave a code as it was is a
# question about your use, and not about the model: a bent chair is another chair.

# %%
chair = test.points[np.flatnonzero(test.labels == test.classes.index("chair"))[0]]
damaged = [corrupt(chair, name, 3, np.random.default_rng(1)) for name in CORRUPTIONS]
cloud_grid([chair, *damaged], ["clean", *(one.label for one in CORRUPTIONS.values())], inputs=[0])

# %% [markdown]
# ## 3. What is left
#
# Every test shape under every corruption, at a light and at a heavy severity. Bars are accuracies, dotted lines
# the clean ones. The reader never saw a damaged code, so this asks two things at once:
# that the code keep the class, and that it stay where the reader expects it.

# %%
severities = (1, 4)
table = {}
for name in CORRUPTIONS:
    for severity in severities:
        shapes = corrupted(test, name, severity, view=view)
        for who, model in models.items():
            table[name, severity, who] = readers[who].score(codes(model, shapes), test.labels)
figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.2), sharey=True, layout="constrained")
rows = np.arange(len(CORRUPTIONS))
for place, severity in zip(axes, severities):
    for who, shift, colour in (("trained", 0.18, "#b8434a"), ("untrained", -0.18, "0.6")):
        values = [table[name, severity, who] for name in CORRUPTIONS]
        place.barh(rows + shift, values, 0.34, color=colour, label=who)
        place.axvline(clean[who], color=colour, linestyle=":")
    place.set(title=f"severity {severity}", xlabel="accuracy", xlim=(0, 1))
axes[0].set(yticks=rows, yticklabels=[one.label for one in CORRUPTIONS.values()])
axes[0].invert_yaxis()
legend = axes[1].legend(frameon=False, fontsize=8)

# %%
losses = {who: [clean[who] - table[name, 4, who] for name in CORRUPTIONS] for who in models}
worst = sorted(zip(losses["trained"], CORRUPTIONS), reverse=True)
print("lost at severity 4, mean over corruptions:", {who: round(float(np.mean(lost)), 2) for who, lost in losses.items()})
print("worst for the trained:", ", ".join(f"{name} ({lost:.2f})" for lost, name in worst[:4]))
print("mildest:", ", ".join(f"{name} ({lost:.2f})" for lost, name in worst[:-4:-1]))

# %% [markdown]
# Points that lie far outside the shape are hard on any encoder that takes a maximum over points, as PointNet does: one
# stray point can win many of its channels. Fewer points are the opposite case: most were not winners anyway. See whether
# the two lines above agree with that on this run.
#
# ## 4. Damage on purpose
#
# An attacker may move every coordinate of every point by no more than a radius, and looks, by the gradient, for the
# move that changes the code the most: here, that raises `KL( q(z|attacked) ‖ q(z|x) )`. Beside it stands random noise
# of the same size. If the two were equal, either the model would be robust or the attack broken; the attack therefore
# brings checks, which `pointvae attack` prints, and which are worth reading before any figure.
#
# In a shell: `pointvae attack RUN DATASET --norm linf --goal kl --radii 0.01,0.02`

# %%
found = attack_run(
    folder / "run", folder / "shapes", norm="linf", goal="kl", radii="0.005,0.01,0.02", steps=10, restarts=1, shapes=24,
    out=folder / "attack",
)
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for who, colour in (("trained", "#b8434a"), ("untrained", "0.5")):
    rows = found["subjects"][who]["linf"]["kl"]
    axes.plot(found["radii"], [row["way_in_spreads"] for row in rows], "o-", color=colour, label=f"{who}, attacked")
    noise = [row["noise"]["way_in_spreads"] for row in rows]
    axes.plot(found["radii"], noise, "o:", color=colour, label=f"{who}, random moves")
axes.set(xlabel="radius (unit-sphere lengths)", ylabel="way of the code (spreads of all codes)", ylim=(0, None))
legend = axes.legend(frameon=False, fontsize=8)
for row in found["subjects"]["trained"]["linf"]["kl"]:
    print(f"radius {row['radius']:<6g} way {row['way_in_spreads']:.2f} noise {row['noise']['way_in_spreads']:.3f}")

# %% [markdown]
# The way is told in spreads: one is how far shapes' codes lie from their common mean, on average. The attacked clouds
# themselves hardly differ to the eye; each point is coloured by how far it was moved:

# %%
figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
axes.imshow(plt.imread(folder / "attack" / "attack.png"))
axes.set_axis_off()

# %% [markdown]
# ## What to make of it
#
# - A hundred test shapes, one seed, seconds of training: differences of a few points of accuracy mean nothing here.
# - An untrained network may bear noise *better* than a trained one. Low sensitivity alone is no virtue - a constant code
#   bears everything - so read it beside the clean accuracy.
# - To make a code bear what your sensor does, train with it: a transformation of `Consistency` that makes such clouds,
#   as in [retrieval.ipynb](retrieval.ipynb).
# - The full protocol, on any run: `pointvae evaluate RUN DATASET --parts corruptions,attacks --out look`.
#
# The kinds and their parameters: [docs/corruptions.md](../docs/corruptions.md). Threat model, checks against false
# security: [docs/robustness.md](../docs/robustness.md).
