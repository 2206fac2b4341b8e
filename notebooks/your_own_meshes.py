# %% [markdown]
# # Your own meshes
#
# You have a folder of meshes, with or without labels, and want a vector for each of them: to find similar parts, to
# group, to classify. This notebook goes that way once, on files that it writes itself, so that everything can be seen:
# five formats, shapes that stand on the wrong axis, and one file that is broken, as in every real collection. Put the
# path of your own folder in the place of `meshes` and go on from section 2. It takes half a minute, without a GPU.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import pointvae
from pointvae.data.inspection import inspect
from pointvae.data.procedural import build
from pointvae.evaluation.embedding import embed_to
from pointvae.evaluation.outputs import reconstruct_to
from pointvae.evaluation.probes import probe_run
from pointvae.models.build import build_model
from pointvae.visualization.grids import cloud_grid
from pointvae.visualization.latent_map import flatten_latents

folder = Path(tempfile.mkdtemp(prefix="pointvae-"))  # name a folder of your own here to keep what is made
plt.close(plt.figure())  # wakes Jupyter's drawing, which then shows the figures of `cloud_grid` too
meshes = folder / "meshes"

# %% [markdown]
# ## 1. Files, as they come
#
# Each class is a folder. What a file is called and how its class is spelled is up to you; a folder without such
# folders in it makes a set without labels, which is just as good for training. Many programs write y for "up", and so
# does this one. One file is cut off in its middle.

# %%
classes = ("axe", "hammer", "jug", "mug", "pickaxe", "pot", "stool", "table")
formats = ("off", "obj", "stl", "ply", "glb")
y_up = [[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]]  # turns z up into y up
for label, name in enumerate(classes):
    (meshes / name).mkdir(parents=True)
    for number in range(15):
        mesh, _ = build(name, np.random.default_rng((label, number)))
        mesh.apply_transform(y_up)
        mesh.export(meshes / name / f"{name}_{number:02d}.{formats[number % len(formats)]}")
whole = (meshes / "mug" / "mug_00.off").read_text()
(meshes / "mug" / "mug_cut.off").write_text(whole[: len(whole) // 2])
print("\n".join(sorted(str(path.relative_to(meshes)) for path in meshes.rglob("*_0[0-4].*"))[:10]))

# %% [markdown]
# ## 2. Inspect
#
# Before anything is made of them, `inspect` reads every file and tells what it finds: counts, sizes, duplicates, files
# that cannot be used and why, and hints. In a shell: `pointvae inspect meshes --picture meshes.png`

# %%
found = inspect(meshes)
print(found["shapes"], "meshes in", len(found["classes"]), "classes; up looks like", found["up_looks"]["axis"])
for broken in found["broken"]:
    print("cannot be used:", broken["file"], "-", broken["why"])
for hint in found["hints"]:
    print("hint:", hint)

# %% [markdown]
# ## 3. Prepare
#
# A model wants **point clouds**, so points are drawn from every surface, evenly by area: 512 here, 2,048 unless you
# say otherwise. Each cloud is turned so that z is up (`up="y"` says how the files have it), centred, and scaled into
# the unit sphere: absolute size is lost, which is what one wants as long as size is no part of the question
# (`normalize="none"` keeps it).
#
# The broken file is left out, and the card of the dataset folder says so; `strict=True` would stop instead. A fifth of
# each class is put aside as test.
#
# In a shell: `pointvae prepare meshes shapes --up y --points 512`

# %%
made = pointvae.prepare(meshes, folder / "shapes", up="y", points=512)
dataset = pointvae.load_dataset(folder / "shapes")
print(dataset)
for left in made["skipped"]:
    print("left out:", left["file"], "-", left["why"])

# %% [markdown]
# Look at what became of them: a shape of each class, each read from another format where possible. They should stand
# on their feet. If they lay on their sides, `up` would be wrong.

# %%
train, test = dataset["train"], dataset["test"]
picked = [int(np.flatnonzero(train.labels == label)[label]) for label in range(len(classes))]
cloud_grid(train.points[picked], [train.names[i] for i in picked])

# %% [markdown]
# ## 4. Train
#
# The model is a consistency-regularized variational auto-encoder: an encoder that turns a cloud into a Gaussian over 16
# numbers, a decoder that turns such numbers back into a cloud, and a term that asks a shape and a turned copy of it
# for the same Gaussian. Labels are not used. This is a toy: a hundred shapes, a small network, hundreds of steps. For a
# few thousand shapes of your own, `configs/cr-vae.yaml` is where to start.
#
# In a shell: `pointvae train shapes run --config configs/cr-vae.yaml`

# %%
parts = {
    "latent_dim": 16,
    "points": 256,
    "likelihood_args": {"sigma": 0.05},
    "encoder_args": {"widths": [32, 64, 256]},
    "decoder_args": {"widths": [128, 256]},
}
objective = pointvae.Consistency(pointvae.ELBO(), weight=1.0, transforms=[pointvae.RotateUp(15), pointvae.Jitter(0.01)])
run = pointvae.fit(
    build_model(parts, seed=0),
    dataset,
    folder / "run",
    objective,
    epochs=60,
    batch_size=16,
    learning_rate=3e-3,
    accelerator="cpu",
)
for name in ("val/cd_l2_mean", "val/active_units", "val/kl"):
    print(f"{name:18}{run.metrics[name]:8.3f}")

# %% [markdown]
# Three figures of shapes held out while training: how far a reconstruction is from its shape (squared, unit-sphere
# lengths), how many of the 16 numbers differ from shape to shape at all, and how much the vector says, in nats. If
# active units or nats were near zero, the vectors would be worthless, whatever the first figure said.
#
# ## 5. Embed
#
# From here on it is arrays. `embed` takes a dataset folder, and files too: they are turned, centred and sampled as the
# run's own shapes were.
#
# In a shell: `pointvae embed run shapes latents.npz --split test`, or `pointvae embed run new_part.stl one.npz`

# %%
embed_to(folder / "run", folder / "shapes", folder / "latents.npz", split="test")
embed_to(folder / "run", meshes / "jug" / "jug_03.ply", folder / "one.npz")
with np.load(folder / "latents.npz") as latents:
    vectors, names, labels = latents["posterior_mean"], latents["names"], latents["labels"]
print("test shapes:", vectors.shape, " one file:", np.load(folder / "one.npz")["posterior_mean"].shape)

# %% [markdown]
# ## 6. What is near to what?
#
# The question that most people have. On the left a test shape, beside it the five test shapes whose vectors are
# nearest. Where one is of another class, the two look alike to the model.

# %%
asked = [int(np.flatnonzero(labels == classes.index(name))[0]) for name in ("hammer", "mug", "stool")]
order = [
    int(i)
    for query in asked
    for i in np.argsort(np.linalg.norm(vectors - vectors[query], axis=1), kind="stable")[:6]
]
cloud_grid(test.points[order], [test.names[i] for i in order], columns=6, inputs=range(0, len(order), 6))

# %% [markdown]
# The same for all test shapes at once: the vectors laid into the plane of their two largest directions. Sixteen
# numbers do not fit into two, so what lies together here need not be near, and what is far apart here is far.

# %%
places = flatten_latents(vectors)
figure, axes = plt.subplots(figsize=(6, 4.2), layout="constrained")
for label, name in enumerate(classes):
    axes.scatter(*places[labels == label].T, label=name, s=40)
axes.set(xticks=[], yticks=[], title="test shapes, two principal directions of their vectors")
legend = axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))

# %% [markdown]
# ## 7. How good is that?
#
# Where there are labels, measure: a linear classifier is fitted to the vectors of the train split and tried on the test
# split, once. Beside it the same for the **untrained** encoder, since random features do surprisingly well and a figure
# without that floor says little. With three test shapes a class the interval is wide and a single shape is four
# points of accuracy: this says that the way works, and nothing about the method.
#
# In a shell: `pointvae probe run shapes`, and `pointvae evaluate run shapes --quick` for a report with everything.

# %%
result = probe_run(folder / "run", folder / "shapes")
low, high = result["accuracy_interval"]
print(f"trained {result['accuracy']:.2f} ({low:.2f} to {high:.2f}), untrained {result['untrained_accuracy']:.2f}")

# %% [markdown]
# And look at what the vectors hold: shapes above what the decoder makes of their sixteen numbers. What is missing below
# is missing in the vector.
#
# In a shell: `pointvae reconstruct run meshes/jug pictures.png`

# %%
reconstruct_to(folder / "run", meshes / "jug", folder / "jugs.png")
figure, axes = plt.subplots(figsize=(10, 5), layout="constrained")
axes.imshow(plt.imread(folder / "jugs.png"))
axes.set_axis_off()

# %% [markdown]
# ## Where to go next
#
# - Which formats, tables and folder layouts are read: [docs/formats.md](../docs/formats.md).
# - Sets larger than memory, in a bucket, on a cluster: [docs/streaming.md](../docs/streaming.md),
#   [docs/engines.md](../docs/engines.md).
# - What the consistency term does: [consistency.ipynb](consistency.ipynb).
# - Scans instead of meshes, and finding the mesh that belongs to a scan: [retrieval.ipynb](retrieval.ipynb).
