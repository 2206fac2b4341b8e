"""The command line: each verb is a documented function with typed parameters, and nothing else."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Literal

from pointvae.command import Verb, run
from pointvae.streams import open_streams

if TYPE_CHECKING:
    from pointvae.models.vae import PointVAE
    from pointvae.objectives.base import Objective


def demo(out: str = "demo", shapes_per_class: int = 60, epochs: int = 15, seed: int = 0) -> dict[str, Any]:
    """Run the whole path on procedural shapes: VAE and CR-VAE, probe, report.

    Args:
        out: the folder that everything goes to; called again, it goes on where it was.
        shapes_per_class: shapes of each procedural category.
        epochs: passes over the training shapes, the same for both models.
        seed: what every random draw is made from.
    """
    from pointvae.demo import demo

    return demo(out, shapes_per_class=shapes_per_class, epochs=epochs, seed=seed, progress=True)


def prepare(
    source: str,
    dataset: str,
    up: Literal["y", "z"] | None = None,
    points: int | None = None,
    normalize: Literal["sphere", "cube", "none"] = "sphere",
    normals: bool = False,
    test_fraction: float = 0.2,
    shapes_per_class: int = 100,
    dtype: Literal["float32", "float16"] = "float32",
    licence: str | None = None,
    from_archive: str | None = None,
    offline: bool = False,
    label_column: str | None = None,
    split_column: str | None = None,
    points_column: str | None = None,
    strict: bool = False,
    jobs: int = 1,
    engine: str = "local",
    shard_size: int | None = None,
    timeout: float = 120.0,
    memory: float = 4.0,
    retries: int = 1,
    seed: int = 0,
) -> dict[str, Any]:
    """Turn a named set, meshes, scans or arrays into a dataset folder.

    Args:
        source: a folder (class = folder; train/ and test/ inside if present; or a table beside the shapes), .zip,
            .tar.gz, .npz, .h5, .parquet, hf://OWNER/NAME, or a named set such as modelnet40, which is downloaded;
            `pointvae datasets` lists them.
        dataset: the dataset folder to write, or an URL such as s3://BUCKET/FOLDER.
        up: the source's up axis, known of named sets and z of others unless given; stored clouds are always z up.
        points: points a shape: 2048 from meshes, all that an array has, unless given.
        normalize: sphere centres on the mean and makes the largest norm 1; cube makes the largest half-extent 1.
        normals: also store the surface's unit normals.
        test_fraction: share of each class for the test split, where the source has no split of its own.
        shapes_per_class: how many of each category the procedural set makes.
        dtype: how coordinates are stored.
        licence: the licence to state in the card.
        from_archive: the archive of a named set, or the folder it was unpacked into, if it is here already.
        offline: download nothing.
        label_column: the column of classes of a table beside the shapes, of Parquet files or of a Hugging Face set;
            found by its name unless given.
        split_column: the column of splits, likewise.
        points_column: the column of clouds of Parquet files or of a Hugging Face set, likewise.
        strict: fail if a single file must be skipped.
        jobs: processes on this machine; -1 for one on each core.
        engine: local; or a cluster whose workers read the source and write the shards: dask://HOST:PORT,
            ray://HOST:PORT, ray://auto.
        shard_size: shapes a Parquet file; so many that there are about 64 files, 16 to 512, unless given.
        timeout: seconds that one file may take before it is set aside.
        memory: GiB that one file may take before it is set aside.
        retries: how many times more a file is tried that crashed its reader or took too long.
        seed: what every random draw is made from, with the shape's name.
    """
    from pointvae.data.prepare import prepare

    return prepare(
        source,
        dataset,
        up=up,
        points=points,
        normalize=normalize,
        normals=normals,
        test_fraction=test_fraction,
        shapes_per_class=shapes_per_class,
        dtype=dtype,
        licence=licence,
        from_archive=from_archive,
        offline=offline,
        label_column=label_column,
        split_column=split_column,
        points_column=points_column,
        strict=strict,
        jobs=jobs,
        engine=engine,
        shard_size=shard_size,
        timeout=timeout,
        memory=memory,
        retries=retries,
        seed=seed,
        progress=True,
    )


def datasets() -> dict[str, Any]:
    """List the named sets: their licence, where they come from, what is prepared here."""
    from pointvae.data.named.listing import datasets

    return datasets()


def models() -> dict[str, Any]:
    """List the trained models that come with the package, which every RUN may name as pretrained:NAME."""
    from pointvae.pretrained import list_pretrained

    return {"models": list_pretrained()}


def inspect(path: str, picture: str | None = None, jobs: int = 1) -> dict[str, Any]:
    """Show what is in a dataset folder, or in anything that prepare takes.

    Args:
        path: a dataset folder, or a folder, archive or file of raw shapes.
        picture: a .png to draw a few shapes of each class into.
        jobs: processes for reading raw files.
    """
    from pointvae.data.inspection import inspect

    return inspect(path, picture, progress=True, jobs=jobs)


def train(
    dataset: str,
    run: str,
    model: PointVAE | None = None,
    objective: Objective | None = None,
    epochs: int = 100,
    batch_size: int = 32,
    points: int = 1024,
    learning_rate: float = 1e-3,
    schedule: Literal["cosine", "constant"] = "cosine",
    ema: float = 0.0,
    validation_fraction: float = 0.1,
    seed: int = 0,
    resume: bool = False,
    loading: Literal["auto", "memory", "stream"] = "auto",
    checkpoint_every: int = 1000,
    accelerator: str = "auto",
    devices: str = "1",
    strategy: str = "auto",
    num_nodes: int = 1,
    precision: str = "32-true",
    compile: bool = False,
    logger: str = "tensorboard",
    pictures_every: int = 10,
) -> dict[str, Any]:
    """Train a model on a dataset folder's train split.

    Args:
        dataset: the dataset folder, here or at a URL such as s3://bucket/folder.
        run: the run folder to write.
        model: the model; its parts are named by --model.encoder, --model.decoder, --model.likelihood.
        objective: the loss: ELBO or IWAE; around one, Consistency, SelfConsistency, SmoothEncoder or Triplet.
        epochs: passes over the training shapes.
        batch_size: shapes a step, on each device.
        points: points drawn from each shape anew at each step, and points the decoder gives.
        learning_rate: Adam's rate.
        schedule: how the rate goes on: cosine to zero, or constant.
        ema: decay, a step, of a moving average of the weights, which is saved in their place (0.999); 0 for none.
        validation_fraction: share of the train split held out; the test split is never read.
        seed: what every random draw is made from.
        resume: go on from the run folder's last checkpoint.
        loading: memory reads all training shapes, stream reads shards as they are needed, auto the first where they
            fit; no digit of the result depends on it.
        checkpoint_every: steps between two checkpoints within an epoch; 0 for none but at its end.
        accelerator: auto, cpu, gpu.
        devices: how many devices, auto, or which.
        strategy: auto, ddp.
        num_nodes: machines.
        precision: 32-true, bf16-mixed.
        compile: let torch.compile make the decoder's code: needs a C++ compiler, and waits for it at the first step.
        logger: where figures go beside metrics.csv: tensorboard, wandb, mlflow, several joined by commas, or none.
        pictures_every: epochs between two pictures of held-out shapes and their reconstructions in those loggers; 0
            for none.
    """
    from pointvae.training.fit import fit

    assert model is not None
    made = fit(
        model,
        dataset,
        run,
        objective,
        epochs=epochs,
        batch_size=batch_size,
        points=points,
        learning_rate=learning_rate,
        schedule=schedule,
        ema=ema,
        validation_fraction=validation_fraction,
        seed=seed,
        resume=resume,
        loading=loading,
        checkpoint_every=checkpoint_every,
        accelerator=accelerator,
        devices=devices,
        strategy=strategy,
        num_nodes=num_nodes,
        precision=precision,
        compile=compile,
        logger=logger,
        pictures_every=pictures_every,
        progress=True,
    )
    return {"run": str(made.path), "epochs": epochs, **made.metrics}


def probe(
    run: str,
    dataset: str,
    protocol: str = "linear_svm_c_cv",
    feature: Literal["all", "posterior_mean", "encoder", "layers"] = "all",
    rotation: Literal["none", "z", "z/so3", "so3"] = "none",
    points: int | None = None,
    average: int = 1,
    batch_size: int = 64,
    jobs: int = -1,
    seed: int = 0,
) -> dict[str, Any]:
    """Classify a run's frozen features by a named protocol, beside the untrained encoder's.

    Args:
        run: the run folder, pretrained:NAME, or hf://OWNER/NAME.
        dataset: the dataset folder, with labels; its test split is scored once.
        protocol: linear_svm_c_cv, logistic_c_cv, knn, label_efficiency, few_shot; one of the literature's, such as
            foldingnet-c1 or crosspoint-c001; or a .json file with one of your own.
        feature: posterior_mean, encoder (before the head), or all: both; or layers: of every layer of the encoder.
        rotation: how shapes are turned: none, z (about the up axis), so3; z/so3: train by z, test by so3.
        points: points of each shape; those of the training unless given.
        average: turns of each shape that its features are averaged over: evenly spaced headings; free rotations where
            test shapes are turned by so3.
        batch_size: shapes in the model's hands at a time; no figure depends on it.
        jobs: threads; -1 for one on every core; no figure depends on it.
        seed: what subsets, rotations, folds and draws are made from.
    """
    from pointvae.evaluation.probes import probe_run

    return probe_run(
        run,
        dataset,
        protocol=protocol,
        feature=feature,
        rotation=rotation,
        points=points,
        average=average,
        batch_size=batch_size,
        jobs=jobs,
        seed=seed,
        progress=True,
    )


def evaluate(
    run: str,
    dataset: str,
    out: str | None = None,
    quick: bool = False,
    full: bool = False,
    parts: str | None = None,
    points: int | None = None,
    batch_size: int = 64,
    jobs: int = -1,
    seed: int = 0,
) -> dict[str, Any]:
    """Evaluate a run on a dataset: everything, into metrics.json, evaluation.npz and report.html.

    Args:
        run: the run folder, pretrained:NAME, or hf://OWNER/NAME.
        dataset: the dataset folder; its test split is measured, its train split fits probes.
        out: the folder for the files; the run folder unless given.
        quick: take at most 1,000 training and 500 test shapes, and less of everything.
        full: take all test shapes for the corruptions, not 1,000.
        parts: only some, joined by commas: probes, probe_protocols, sensitivity, clustering, retrieval, consistency,
            latents, information, likelihood, drift, disentanglement, reconstruction, generation, corruptions,
            attacks, pictures.
        points: points of each shape; those of the training unless given.
        batch_size: shapes in the model's hands at a time; no figure depends on it.
        jobs: threads; -1 for one on every core; no figure depends on it.
        seed: what every random draw is made from.
    """
    from pointvae.evaluation.runs import evaluate_run

    return evaluate_run(
        run,
        dataset,
        out=out,
        quick=quick,
        full=full,
        parts=None if parts is None else [name.strip() for name in parts.split(",") if name.strip()],
        points=points,
        batch_size=batch_size,
        jobs=jobs,
        seed=seed,
        progress=True,
    )


def compare(
    runs: list[str],
    dataset: str | None = None,
    out: str | None = None,
    quick: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Hold evaluated runs against the first one, shape by shape and over training seeds.

    Args:
        runs: run folders, or folders that their evaluations were written to; the first one is the baseline.
        dataset: evaluate the runs that have not been evaluated yet on this dataset folder.
        out: a folder for comparison.json and one report.html with all runs side by side.
        quick: evaluate them quickly.
        seed: what intervals are drawn from.
    """
    from pointvae.evaluation.runs import compare_runs

    return compare_runs(runs, dataset=dataset, out=out, quick=quick, seed=seed, progress=True)


def attack(
    run: str,
    dataset: str,
    norm: Literal["all", "linf", "l2"] = "all",
    goal: Literal["all", "margin", "kl", "w2"] = "all",
    radii: str = "0.002,0.005,0.01,0.02,0.05",
    steps: int = 20,
    restarts: int = 2,
    shapes: int = 100,
    points: int | None = None,
    seed: int = 0,
    jobs: int = -1,
    out: str | None = None,
) -> dict[str, Any]:
    """Move the points of test shapes a little, such that a run's codes change the most, beside its untrained twin.

    Args:
        run: the run folder, pretrained:NAME, or hf://OWNER/NAME.
        dataset: the dataset folder; where it has labels, linear heads are fitted to its train split.
        norm: linf (each coordinate within the radius), l2 (root mean square way of a point within it), or all.
        goal: margin (of the frozen linear head), kl or w2 (of the posterior), or all that are possible.
        radii: unit-sphere lengths, joined by commas, in growing order.
        steps: of each projected gradient ascent.
        restarts: random starts of each ascent, and draws of random noise of the same size beside it.
        shapes: how many are attacked, from every class in turn.
        points: points of each shape; those of the training unless given.
        seed: what shapes, starts and noise are drawn from.
        jobs: threads; -1 for one on every core. No figure depends on it.
        out: a folder for attack.json and attack.png; nothing is written unless given.
    """
    from pointvae.evaluation.attack_run import attack_run

    return attack_run(
        run,
        dataset,
        norm=norm,
        goal=goal,
        radii=radii,
        steps=steps,
        restarts=restarts,
        shapes=shapes,
        points=points,
        seed=seed,
        jobs=jobs,
        out=out,
        progress=True,
    )


def refine(
    run: str,
    new_run: str,
    objective: Objective | None = None,
    epochs: int = 10,
    shapes: int | None = None,
    batch_size: int = 32,
    points: int | None = None,
    learning_rate: float = 3e-4,
    schedule: Literal["cosine", "constant"] = "cosine",
    seed: int = 0,
    resume: bool = False,
    checkpoint_every: int = 1000,
    accelerator: str = "auto",
    devices: str = "1",
    strategy: str = "auto",
    num_nodes: int = 1,
    precision: str = "32-true",
    compile: bool = False,
    logger: str = "tensorboard",
    pictures_every: int = 10,
) -> dict[str, Any]:
    """Make a trained run self-consistent without its data: the decoder stays, the encoder learns from its clouds.

    Args:
        run: the run folder to refine, pretrained:NAME, or hf://OWNER/NAME; it is only read.
        new_run: the run folder to write.
        objective: the loss: SelfConsistency (AVAE), or another.
        epochs: how often that many clouds are drawn.
        shapes: clouds drawn an epoch, decoded from the prior; as many as the run was trained on unless given.
        batch_size: clouds a step, on each device.
        points: points of a cloud; those of the training unless given.
        learning_rate: Adam's rate.
        schedule: how the rate goes on: cosine to zero, or constant.
        seed: what every random draw is made from.
        resume: go on from the new run's last checkpoint.
        checkpoint_every: steps between two checkpoints within an epoch; 0 for none but at its end.
        accelerator: auto, cpu, gpu.
        devices: how many devices, auto, or which.
        strategy: auto, ddp.
        num_nodes: machines.
        precision: 32-true, bf16-mixed.
        compile: let torch.compile make the decoder's code: needs a C++ compiler, and waits for it at the first step.
        logger: where figures go beside metrics.csv: tensorboard, wandb, mlflow, several joined by commas, or none.
        pictures_every: epochs between two pictures of held-out shapes and their reconstructions in those loggers; 0
            for none.
    """
    from pointvae.training.refine import refine

    made = refine(
        run,
        new_run,
        objective,
        epochs=epochs,
        shapes=shapes,
        batch_size=batch_size,
        points=points,
        learning_rate=learning_rate,
        schedule=schedule,
        seed=seed,
        resume=resume,
        checkpoint_every=checkpoint_every,
        accelerator=accelerator,
        devices=devices,
        strategy=strategy,
        num_nodes=num_nodes,
        precision=precision,
        compile=compile,
        logger=logger,
        pictures_every=pictures_every,
        progress=True,
    )
    return {"run": str(made.path), "refined_from": run, "epochs": epochs, **made.metrics}


def embed(
    run: str,
    input: str,
    out: str,
    points: int | None = None,
    up: Literal["y", "z"] | None = None,
    split: str | None = None,
    average: int = 1,
    layers: bool = False,
    batch_size: int = 64,
    jobs: int = 1,
    engine: str = "local",
    seed: int = 0,
) -> dict[str, Any]:
    """Write the latents of shapes.

    Args:
        run: the run folder, pretrained:NAME, or hf://OWNER/NAME.
        input: a dataset folder, a mesh, a cloud, or a folder of them; also an URL.
        out: .npz or .parquet: posterior mean and deviation, encoder features, labels, names.
        points: points of each shape that the model sees; those of the training unless given.
        up: the up axis of raw files; that of the training's source unless given.
        split: only this split of a dataset folder.
        average: evenly spaced headings of each shape that its vectors are averaged over.
        layers: also write what every layer of the encoder says, its features last.
        batch_size: shapes a step.
        jobs: processes; with 1 this one uses every core.
        engine: local, or a cluster whose workers read the run and the input: dask://HOST:PORT, ray://HOST:PORT,
            ray://auto.
        seed: what the sampling of points is drawn from.
    """
    from pointvae.evaluation.embedding import embed_to

    return embed_to(
        run,
        input,
        out,
        points=points,
        up=up,
        split=split,
        average=average,
        layers=layers,
        batch_size=batch_size,
        jobs=jobs,
        engine=engine,
        seed=seed,
        progress=True,
    )


def reconstruct(
    run: str,
    input: str,
    out: str,
    points: int | None = None,
    up: Literal["y", "z"] | None = None,
    split: str | None = None,
    columns: str | None = None,
    batch_size: int = 64,
    seed: int = 0,
) -> dict[str, Any]:
    """Show what becomes of shapes on their way through the latent.

    Args:
        run: the run folder, pretrained:NAME, or hf://OWNER/NAME.
        input: a dataset folder, a mesh, a cloud, or a folder of them.
        out: .html (the viewer: a page with the latent map and every shape), .png (inputs above reconstructions),
            .npz, .ply (of one shape), or a new folder for a .ply of each.
        points: points of each shape that the model sees; those of the training unless given.
        up: the up axis of raw files; that of the training's source unless given.
        split: only this split of a dataset folder.
        columns: for .html, a .csv with a column "name" and what else is known of the shapes.
        batch_size: shapes a step.
        seed: what the sampling of points is drawn from.
    """
    from pointvae.evaluation.outputs import reconstruct_to

    return reconstruct_to(
        run,
        input,
        out,
        points=points,
        up=up,
        split=split,
        columns=columns,
        batch_size=batch_size,
        seed=seed,
        progress=True,
    )


def sample(run: str, out: str, count: int = 16, seed: int = 0) -> dict[str, Any]:
    """Decode draws from the prior.

    Args:
        run: the run folder, pretrained:NAME, or hf://OWNER/NAME.
        out: .png, .npz, .ply (of one cloud), or a new folder for a .ply of each.
        count: how many.
        seed: what they are drawn from.
    """
    from pointvae.evaluation.outputs import sample_to

    return sample_to(run, out, count=count, seed=seed)


def interpolate(
    run: str,
    a: str,
    b: str,
    out: str,
    steps: int = 8,
    points: int | None = None,
    up: Literal["y", "z"] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Decode the line between the latents of two shapes.

    Args:
        run: the run folder, pretrained:NAME, or hf://OWNER/NAME.
        a: a mesh or cloud file with the first shape.
        b: one with the last shape.
        out: .png, .npz, or a new folder for a .ply of each step.
        steps: how many, both ends counted.
        points: points of each shape that the model sees; those of the training unless given.
        up: the up axis of the files; that of the training's source unless given.
        seed: what the sampling of points is drawn from.
    """
    from pointvae.evaluation.outputs import interpolate_to

    return interpolate_to(run, a, b, out, steps=steps, points=points, up=up, seed=seed)


def view(
    input: str,
    run: str | None = None,
    points: int | None = None,
    up: Literal["y", "z"] | None = None,
    split: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Open open3d's window with shapes, each beside its reconstruction if a run is named.

    Args:
        input: a mesh, a cloud, a folder of them or a dataset folder, of which 32 are shown; also an URL.
        run: the run folder whose reconstructions stand to the right of the shapes.
        points: points of each shape; those of the training with a run; a single mesh is shown as it is unless given.
        up: the up axis of raw files; that of the training's source with a run, else z, unless given.
        split: only this split of a dataset folder.
        seed: what the sampling of points is drawn from.
    """
    from pointvae.view import view

    return view(input, run, points=points, up=up, split=split, seed=seed, progress=True)


def export(
    run: str,
    out: str,
    part: Literal["both", "encoder", "decoder"] = "both",
    mask: bool = False,
) -> dict[str, Any]:
    """Write a run's encoder and decoder for other programs: ONNX, or torch.export.

    Args:
        run: the run folder, pretrained:NAME, or hf://OWNER/NAME.
        out: NAME.onnx or NAME.pt2; both parts go to NAME.encoder.onnx and NAME.decoder.onnx.
        part: encoder, decoder, or both.
        mask: let the encoder take a second input, which points exist, for clouds of unequal size in one batch.
    """
    from pointvae.exporting.files import export_to

    return export_to(run, out, part=part, mask=mask)


def completion(shell: Literal["bash", "zsh", "fish"]) -> dict[str, Any]:
    """Print the script that completes verbs, options and choices in a shell.

    Args:
        shell: bash, zsh or fish.
    """
    from pointvae.completion import completion

    return {"shell": shell, "script": completion(shell, VERBS)}


def doctor(quick: bool = False) -> dict[str, Any]:
    """Look at this installation: versions, devices, libraries, settings, and a self-test of ten seconds.

    Args:
        quick: leave the self-test out.
    """
    from pointvae.doctor import doctor

    return doctor(quick=quick)


VERBS: dict[str, Verb] = {
    "demo": demo,
    "prepare": prepare,
    "datasets": datasets,
    "models": models,
    "inspect": inspect,
    "train": train,
    "refine": refine,
    "embed": embed,
    "probe": probe,
    "evaluate": evaluate,
    "compare": compare,
    "attack": attack,
    "reconstruct": reconstruct,
    "sample": sample,
    "interpolate": interpolate,
    "view": view,
    "export": export,
    "doctor": doctor,
    "completion": completion,
}


def main() -> None:
    """Entry point of the `pointvae` command."""
    open_streams()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting threads that spin slow a busy machine fiftyfold
    sys.exit(run(VERBS, sys.argv[1:]))


if __name__ == "__main__":
    main()
