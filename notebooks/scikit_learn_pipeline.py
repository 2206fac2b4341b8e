# %% [markdown]
# # Shapes in a scikit-learn pipeline
#
# scikit-learn knows how to search, validate, scale, classify and compare - for tables. `PointVAETransformer` makes
# 3D shapes into such a table: its `fit` trains a point-cloud VAE, **without labels**, and its `transform` gives one
# vector a shape. From there on everything is scikit-learn as you know it: pipelines, grid searches, cross-validation,
# pandas.
#
# The notebook needs no downloads and no GPU. The sizes are toys, so that it takes seconds.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn import set_config
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import pointvae
from pointvae.visualization.grids import cloud_grid

set_config(display="text")
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110})
plt.close(plt.figure())  # wakes Jupyter's drawing, which then shows the figures of `cloud_grid` too

# %% [markdown]
# ## 1. Shapes
#
# X is whatever holds shapes: an array (n, points, 3), a list of clouds of different sizes, meshes of trimesh or
# open3d, graphs of PyTorch Geometric, or a split of a dataset folder. Here it is six classes of the shapes that come
# with the package.

# %%
folder = Path(tempfile.mkdtemp(prefix="pointvae-"))
pointvae.prepare("procedural", folder / "shapes", shapes_per_class=24, points=256)
dataset = pointvae.load_dataset(folder / "shapes")
chosen = ["airplane", "chair", "goblet", "lamp", "mug", "teapot"]


def pick(shapes):
    """The clouds [n, 256, 3] and the class names [n] of the chosen classes."""
    names = np.array(shapes.classes)[shapes.labels]
    kept = np.isin(names, chosen)
    return shapes.points[kept], names[kept]


X, y = pick(dataset["train"])
X_test, y_test = pick(dataset["test"])
print("train", X.shape, "test", X_test.shape)
cloud_grid(X_test[[list(y_test).index(name) for name in chosen]], chosen, columns=6)

# %% [markdown]
# ## 2. A transformer like any other
#
# Every argument of the constructor is a parameter that a grid search may vary. `random_state` decides everything that
# is random, and the model is the same again. `score` is the bound that was trained on (the ELBO, in nats per point),
# the higher the better; it needs no labels.

# %%
embed = pointvae.PointVAETransformer(
    latent_dim=16,
    points=96,
    encoder_args={"widths": [32, 128]},
    decoder_args={"widths": [128, 256]},
    max_epochs=12,
    learning_rate=5e-3,
    batch_size=16,
    accelerator="cpu",
    random_state=0,
)
latents = embed.fit_transform(X)
print("latents", latents.shape, latents.dtype)
print(f"bound: {embed.score(X):.1f} nats per point on the shapes it has seen, {embed.score(X_test):.1f} on others")

figure, place = plt.subplots(figsize=(5, 2.6), layout="constrained")
place.plot(range(1, len(embed.loss_curve_) + 1), embed.loss_curve_)
lines = place.set(xlabel="epoch", ylabel="loss (nats a shape)", yscale="log")

# %% [markdown]
# ## 3. A pipeline, cross-validated
#
# Latents are scaled and given to a linear SVM. `cross_val_score` trains the whole pipeline anew for each fold, the VAE
# too, so that nothing of a fold's held-out shapes has been seen by anything.
#
# **A figure means little without its floor.** Random features of an untrained network do surprisingly well, so the
# second line is the same pipeline whose VAE has all but not been trained (one epoch at a learning rate of next to
# nothing), and the third guesses.

# %%
pipeline = make_pipeline(embed, StandardScaler(), LinearSVC())
untrained = clone(pipeline).set_params(pointvaetransformer__max_epochs=1, pointvaetransformer__learning_rate=1e-9)
folds = StratifiedKFold(3, shuffle=True, random_state=0)
for name, model in {"trained": pipeline, "untrained": untrained, "guess": DummyClassifier()}.items():
    scores = cross_val_score(model, X, y, cv=folds)
    print(f"{name:10} accuracy {scores.mean():.2f}, folds {scores.min():.2f} to {scores.max():.2f}")

# %% [markdown]
# ## 4. A grid search
#
# Which objective, and how large a latent? `cr-vae` is the consistency-regularized VAE: it pulls the latents of a shape
# and of its turned copy together. The names are those of `configs/`. With `n_jobs=2` the folds would go to two
# processes.
#
# There are so few shapes that differences of a few points mean nothing; the table is here to be read, not to be
# believed.

# %%
grid = {
    "pointvaetransformer__objective": ["vae", "cr-vae"],
    "pointvaetransformer__latent_dim": [4, 16],
}
search = GridSearchCV(pipeline, grid, cv=folds).fit(X, y)
for parameters, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"]):
    values = ", ".join(f"{key.split('__')[1]} {value}" for key, value in parameters.items())
    print(f"{values:32} accuracy {score:.2f}")
print(f"the best of them, on the test split, once: {search.score(X_test, y_test):.2f}")

# %% [markdown]
# ## 5. As a table
#
# `set_output(transform="pandas")` gives the columns names.

# %%
best = search.best_estimator_["pointvaetransformer"].set_output(transform="pandas")
table = best.transform(X_test)
table.insert(0, "class", y_test)
table.groupby("class").mean().round(1)

# %% [markdown]
# ## 6. Back to shapes
#
# `inverse_transform` decodes latents. Below, the way from an airplane to a goblet: test shapes at both ends, and between
# them five latents on the straight line, decoded, the first and the last from the shapes' own latents. The decoder gives
# clouds in the frame of training, centred and in the unit sphere: place and size are not in the latent. What is to be
# looked at is worth some more training, and more points than the encoder is shown.

# %%
longer = clone(embed).set_params(max_epochs=60, output_points=256).fit(X)
ends = X_test[[list(y_test).index(name) for name in ("airplane", "goblet")]]
first, last = longer.transform(ends)
shares = np.linspace(0, 1, 5)[:, None]
way = longer.inverse_transform((1 - shares) * first + shares * last)
names = ["a test shape", *(f"{share:.0%}" for share in shares[:, 0]), "another"]
cloud_grid([ends[0], *way, ends[1]], names, columns=7, inputs=(0, 6))

# %% [markdown]
# ## 7. Keep it
#
# A fitted transformer can be pickled like any estimator. For other people, and for the command line, a *run folder* is
# better: safetensors and JSON, nothing that runs on loading. `from_run` also takes what `pointvae train` has made.

# %%
embed.save_pretrained(folder / "run")
again = pointvae.PointVAETransformer.from_run(folder / "run", accelerator="cpu")
print(sorted(path.name for path in (folder / "run").iterdir()), np.array_equal(again.transform(X), latents))

# %% [markdown]
# ## Where to go next
#
# - **What X may be, what `score` is, limits**: [docs/scikit-learn.md](../docs/scikit-learn.md).
# - **Train for longer**: `max_epochs`, `points`, `latent_dim`, a GPU with `accelerator="auto"`. Where a training takes
#   hours, train once by `pointvae train` and bring the run here with `from_run`.
# - **Honest figures**: [docs/evaluation.md](../docs/evaluation.md) has the field's protocols, with intervals and floors.
