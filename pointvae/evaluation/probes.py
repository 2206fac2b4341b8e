"""How well the classes of shapes can be read off frozen features, always beside the untrained model.

No fit can see the test split (`pointvae.evaluation.probing.training`), whose labels are read once, after everything
has been fitted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pointvae.data.dataset import ShapeDataset, Shapes, load_dataset
from pointvae.errors import InputError
from pointvae.evaluation.average import Average
from pointvae.evaluation.features import FEATURES, Feature, encode, to_best_device
from pointvae.evaluation.probing.protocols import Protocol
from pointvae.evaluation.probing.registry import LINEAR_SVM, find_protocol
from pointvae.evaluation.probing.training import Encoded, compare_feature, encode_training
from pointvae.evaluation.views import Rotation, View
from pointvae.evaluation.work import Work, one_thread
from pointvae.hub import from_pretrained, read_run_config, run_folder, run_name, untrained_twin
from pointvae.models.vae import PointVAE
from pointvae.version import __version__

RotationProtocol = Literal["none", "z", "z/so3", "so3"]
TURNS: dict[str, tuple[Rotation, Rotation]] = {  # of training shapes, of test shapes
    "none": ("none", "none"),
    "z": ("z", "z"),
    "z/so3": ("z", "so3"),
    "so3": ("so3", "so3"),
}
assert tuple(TURNS) == get_args(RotationProtocol)


@one_thread()
def probe_run(
    run: str | Path,
    dataset_path: str | Path,
    *,
    protocol: str | Protocol = LINEAR_SVM.name,
    feature: Literal["all", "posterior_mean", "encoder", "layers"] = "all",
    rotation: RotationProtocol = "none",
    points: int | None = None,
    average: int = 1,
    batch_size: int = 64,
    jobs: int = -1,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Probe a trained model and its untrained twin (same architecture, same seed) on the same shapes.

    Args:
        run: the run folder, or a name that `run_folder` takes.
        dataset_path: the dataset folder; its test split is read once, after everything was fitted to train.
        protocol: the protocol, by name or as a ``.json`` file.
        feature: ``posterior_mean``; ``encoder`` (before the posterior head); ``layers`` (of every layer of the
            encoder); or ``all``: the first two under ``probes``, the posterior mean's figures also at the top.
        rotation: how the shapes are turned, each by its own fixed rotation: ``none``, ``z`` (all about the up axis),
            ``so3`` (all freely), or ``z/so3`` (training shapes about the up axis, test shapes freely).
        points: points of each shape that the models see; those of the training run when absent.
        average: turns of each shape, of both splits, that its features are averaged over: evenly spaced headings, or
            well-spread free rotations where the test shapes are turned freely.
        batch_size: shapes in the model's hands at a time; no figure depends on it.
        jobs: threads, -1 for one on every core; no figure depends on it.
        seed: what subsets, rotations, folds, draws and intervals are made from.
        progress: show bars on stderr.

    Returns:
        JSON-able figures. Of a protocol that classifies all test shapes: ``accuracy`` and ``untrained_accuracy`` with
        their intervals, the ``gain`` between them, what was chosen (``C`` or ``k``), per class and confusion. Of the
        other tasks: the same for each of its ``settings``. Always ``feature``, ``protocol`` (which names the turns
        that features are averaged over, if they are), ``protocol_settings``, ``average``, ``seed``, ``rotation``,
        ``points`` and ``dataset``.

    Raises:
        InputError: an option, the run or the dataset is at fault.
    """
    work = Work(batch_size, jobs, progress)
    features = [feature] if feature != "all" else list(FEATURES)
    chosen = find_protocol(protocol) if isinstance(protocol, str) else protocol
    check_options(features, rotation)
    View(points, "none", seed)
    averaged = Average(average, "rotations" if TURNS[rotation][1] == "so3" else "headings")
    folder = run_folder(run)
    config = read_run_config(folder)
    dataset = load_dataset(dataset_path)
    train = training_split(dataset)
    view = View(points or default_points(config, dataset), "none", seed)
    models: tuple[PointVAE, PointVAE] = (
        to_best_device(from_pretrained(folder)),
        to_best_device(untrained_twin(folder)),
    )
    turn, test_turn = (View(view.points, each, seed) for each in TURNS[rotation])
    asked: dict[str, Any] = {"average": averaged, "layers": "layers" in features, "work": work}
    trainings = [encode_training(model, train, turn, **asked) for model in models]
    for name in features:
        for training in trainings:
            training.fit(name, chosen, seed=seed, work=work)
    test = dataset["test"]  # read for the first time
    encoded = [
        Encoded(training, encode(model, test, test_turn, **asked))
        for training, model in zip(trainings, models, strict=True)
    ]
    figures = probe_rotations(
        {rotation: encoded[0]},
        {rotation: encoded[1]},
        train,
        test,
        view,
        features=features,
        protocol=chosen,
        work=work,
    )[rotation]
    if feature != "all":
        figures |= figures.pop("probes")[0]
    return {**figures, "dataset": describe_dataset(dataset), "run": run_name(run)}


def probe_splits(
    trained: Encoded,
    untrained: Encoded,
    train: Shapes,
    test: Shapes,
    view: View,
    *,
    features: Sequence[str] = FEATURES,
    protocol: Protocol = LINEAR_SVM,
    work: Work | None = None,
) -> dict[str, Any]:
    """Probe some features of two models: all under ``probes``, the first one's figures also at the top."""
    name: str = view.rotation
    return probe_rotations(
        {name: trained}, {name: untrained}, train, test, view, features=features, protocol=protocol, work=work
    )[name]


def probe_rotations(
    trained: Mapping[str, Encoded],
    untrained: Mapping[str, Encoded],
    train: Shapes,
    test: Shapes,
    view: View,
    *,
    features: Sequence[str] = FEATURES,
    protocol: Protocol = LINEAR_SVM,
    work: Work | None = None,
) -> dict[str, dict[str, Any]]:
    """`probe_splits` for several rotation protocols; those that share a `Training` share its fits.

    Args:
        trained: what the model makes of the shapes, by rotation protocol.
        untrained: what the untrained model makes of them.
        train: the training shapes, described in the result.
        test: the test shapes; their labels are read once, after every fit.
        view: points and seed; its rotation is not used.
        features: the features to probe.
        protocol: the protocol.
        work: how much is done at a time.
    """
    for encoded in (*trained.values(), *untrained.values()):
        for feature in features:
            encoded.train.fit(feature, protocol, seed=view.seed, work=work)
    labels = answers(test, train)
    hashes = {"train": view.subsample_hash(train), "test": view.subsample_hash(test)}
    made = {}
    for rotation in trained:
        pair = (trained[rotation], untrained[rotation])
        average = pair[0].average
        if pair[1].average != average:
            raise ValueError("the codes of the two models are averaged over different turns")
        probes = [
            compare_feature(*pair, labels, feature=feature, protocol=protocol, seed=view.seed)[0]
            for feature in features
        ]
        made[rotation] = {
            **probes[0],
            "protocol": average.named(protocol.identifier),
            "protocol_settings": protocol.to_dict(),
            **average.to_dict(),
            "seed": view.seed,
            "rotation": rotation,
            "points": view.points or train.points.shape[1],
            "subsample_sha256": hashes,
            "classes": list(train.classes),
            "version": __version__,
            "probes": probes,
        }
    return made


def check_options(features: Sequence[str], rotation: str) -> None:
    """Refuse an unknown feature or rotation by name."""
    for feature in features:
        if feature not in get_args(Feature):
            raise InputError(f"--feature {feature}: unknown; choose from all, {', '.join(get_args(Feature))}")
    if rotation not in TURNS:
        raise InputError(f"--rotation {rotation}: unknown; choose from {', '.join(TURNS)}")


def labelled_splits(dataset: ShapeDataset) -> tuple[Shapes, Shapes]:
    """The train and the test split of a dataset fit for probing.

    Raises:
        InputError: a split or the labels are missing, or the test split has a class that train has not.
    """
    train = training_split(dataset)
    test = dataset["test"]
    answers(test, train)
    return train, test


def training_split(dataset: ShapeDataset) -> Shapes:
    """The train split of a dataset fit for probing; of the test split no more than that there is one.

    Raises:
        InputError: a split or the labels are missing.
    """
    for split in ("train", "test"):
        if split not in dataset.splits:
            raise InputError(
                f"{dataset.path}: has no {split} split, which a probe needs; prepare it with a test fraction"
            )
    train = dataset["train"]
    if train.labels is None:
        raise InputError(f"{dataset.path}: its shapes have no labels, which a probe needs; give each class a folder")
    return train


def answers(test: Shapes, train: Shapes) -> npt.NDArray[np.int64]:
    """The labels of the test shapes (n,), read once.

    Raises:
        InputError: there are none, or one is of a class that no training shape has.
    """
    labels = test.labels
    if labels is None:
        raise InputError("the test split has no labels, which a probe needs; give each class a folder")
    assert train.labels is not None
    unknown = sorted(set(labels.tolist()) - set(train.labels.tolist()))
    if unknown:
        names = ", ".join(repr(train.classes[label]) for label in unknown)
        raise InputError(
            f"no training shape of {names}, which the test split holds; move some to train or leave the class out"
        )
    return labels


def default_points(config: dict[str, Any], dataset: ShapeDataset) -> int:
    """The points a run was trained with, or as many as the dataset has."""
    return min(int(config.get("points") or dataset.points), dataset.points)


def describe_dataset(dataset: ShapeDataset) -> dict[str, Any]:
    """Name, source and checksum of a dataset folder; the checksum is over those of its shards."""
    facts = dataset.card["pointvae"]
    sums = "\n".join(f"{shard['file']} {shard['sha256']}" for shard in facts["shards"])
    return {
        "name": dataset.path.resolve().name,
        "source": str(facts.get("source", "")),
        "sha256": hashlib.sha256(sums.encode()).hexdigest(),
    }
