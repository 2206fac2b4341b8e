"""How well the classes of shapes can be read off frozen features, always beside the untrained model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pointvae.data.dataset import ShapeDataset, Shapes, load_dataset
from pointvae.errors import InputError
from pointvae.evaluation import linear_probe
from pointvae.evaluation.features import FEATURES, Codes, encode, to_best_device
from pointvae.evaluation.scores import mean_interval, score
from pointvae.evaluation.views import Rotation, View
from pointvae.evaluation.work import Work
from pointvae.hub import from_pretrained, read_run_config, untrained_twin
from pointvae.models.vae import PointVAE
from pointvae.version import __version__

PROTOCOLS = {linear_probe.NAME: linear_probe}


@dataclass(frozen=True)
class Encoded:
    """What one model makes of both splits, seen through one view; and the probes fitted to it, each once."""

    train: Codes
    test: Codes
    _fitted: dict[tuple[str, str, int], linear_probe.LinearProbe] = field(default_factory=dict, repr=False)

    def fit(self, train: Shapes, feature: str, seed: int, protocol: str) -> linear_probe.LinearProbe:
        """The protocol's probe of one feature; a second call finds the first one's."""
        key = (protocol, feature, seed)
        if key not in self._fitted:
            assert train.labels is not None
            method = PROTOCOLS[protocol]
            self._fitted[key] = method.fit_probe(getattr(self.train, feature), train.labels, train.classes, seed=seed)
        return self._fitted[key]


def probe_run(
    run_folder: str | Path,
    dataset_path: str | Path,
    *,
    protocol: str = "linear_svm_c_cv",
    feature: Literal["all", "posterior_mean", "encoder"] = "all",
    rotation: Rotation = "none",
    points: int | None = None,
    batch_size: int = 64,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Probe a trained model and its untrained twin (same architecture, same seed) on the same shapes.

    Args:
        run_folder: the run folder.
        dataset_path: the dataset folder; its test split is read once, after everything was chosen on train.
        protocol: the probe, by name.
        feature: ``posterior_mean``, ``encoder`` (before the posterior head), or ``all``: both under ``probes``, the
            posterior mean's figures also at the top.
        rotation: how the shapes of both splits are turned, each by its own fixed rotation: ``none``, ``z`` (about
            the up axis: the z/z protocol) or ``so3``.
        points: points of each shape that the models see; those of the training run when absent.
        batch_size: shapes a step.
        seed: what subsets, rotations, folds and intervals are drawn from.
        progress: show bars on stderr.

    Returns:
        JSON-able figures: ``accuracy`` and ``untrained_accuracy`` with their intervals, the ``gain`` between them,
        ``feature``, ``C``, ``protocol``, ``seed``, ``rotation``, ``points``, ``dataset``, per class and confusion.

    Raises:
        InputError: an option, the run or the dataset is at fault.
    """
    work = Work(batch_size, progress=progress)
    features = [feature] if feature != "all" else list(FEATURES)
    check_options(protocol, features)
    view = View(points, rotation, seed)
    config = read_run_config(run_folder)
    dataset = load_dataset(dataset_path)
    train, test = labelled_splits(dataset)
    view = View(points or default_points(config, dataset), rotation, seed)
    models: tuple[PointVAE, PointVAE] = (
        to_best_device(from_pretrained(run_folder)),
        to_best_device(untrained_twin(run_folder)),
    )
    trained, untrained = (encode_splits(model, train, test, view, work=work) for model in models)
    figures = probe_splits(trained, untrained, train, test, view, features=features, protocol=protocol)
    if feature != "all":
        figures |= figures.pop("probes")[0]
    return {**figures, "dataset": describe_dataset(dataset), "run": Path(run_folder).resolve().name}


def encode_splits(model: PointVAE, train: Shapes, test: Shapes, view: View, *, work: Work | None = None) -> Encoded:
    """Both splits through one model."""
    return Encoded(encode(model, train, view, work=work), encode(model, test, view, work=work))


def probe_splits(
    trained: Encoded,
    untrained: Encoded,
    train: Shapes,
    test: Shapes,
    view: View,
    *,
    features: Sequence[str] = FEATURES,
    protocol: str = linear_probe.NAME,
) -> dict[str, Any]:
    """Probe some features of two models: all under ``probes``, the first one's figures also at the top."""
    probes = [
        compare(trained, untrained, train, test, feature=name, seed=view.seed, protocol=protocol) for name in features
    ]
    return {
        **probes[0],
        "protocol": PROTOCOLS[protocol].PROTOCOL,
        **describe_view(view, train, test),
        "classes": list(train.classes),
        "version": __version__,
        "probes": probes,
    }


def compare(
    trained: Encoded,
    untrained: Encoded,
    train: Shapes,
    test: Shapes,
    *,
    feature: str,
    seed: int = 0,
    protocol: str = linear_probe.NAME,
) -> dict[str, Any]:
    """Probe one feature of two models; the figures of the second are named ``untrained_…``.

    Both probes are fitted before the test labels are looked at.
    """
    assert test.labels is not None
    fitted = [codes.fit(train, feature, seed, protocol) for codes in (trained, untrained)]
    predicted = [
        probe.predict(getattr(codes.test, feature)) for probe, codes in zip(fitted, (trained, untrained), strict=True)
    ]
    figures: dict[str, Any] = {
        "feature": feature,
        "dimension": int(getattr(trained.train, feature).shape[1]),
        "n_train": len(train),
        "n_test": len(test),
        "folds": fitted[0].folds,
    }
    for prefix, probe, guess in zip(("", "untrained_"), fitted, predicted, strict=True):
        figures |= {
            f"{prefix}{name}": value for name, value in score(guess, test.labels, test.classes, seed=seed).items()
        }
        figures |= {
            f"{prefix}C": probe.c,
            f"{prefix}cv_accuracy": {f"{c:g}": accuracy for c, accuracy in probe.cv_accuracy.items()},
            f"{prefix}converged": probe.svm.converged,
        }
    right = [guess == test.labels for guess in predicted]
    figures["gain"] = figures["accuracy"] - figures["untrained_accuracy"]
    figures["gain_interval"] = mean_interval(right[0].astype(int) - right[1].astype(int), seed=seed)
    return figures


def check_options(protocol: str, features: Sequence[str]) -> None:
    """Refuse an unknown protocol or feature by name."""
    if protocol not in PROTOCOLS:
        raise InputError(f"--protocol {protocol}: unknown; choose from {', '.join(PROTOCOLS)}")
    for feature in features:
        if feature not in FEATURES:
            raise InputError(f"--feature {feature}: unknown; choose from all, {', '.join(FEATURES)}")


def labelled_splits(dataset: ShapeDataset) -> tuple[Shapes, Shapes]:
    """The train and the test split of a dataset fit for probing.

    Raises:
        InputError: a split or the labels are missing, or the test split has a class that train has not.
    """
    for split in ("train", "test"):
        if split not in dataset.splits:
            raise InputError(
                f"{dataset.path}: has no {split} split, which a probe needs; prepare it with a test fraction"
            )
    train, test = dataset["train"], dataset["test"]
    if train.labels is None or test.labels is None:
        raise InputError(f"{dataset.path}: its shapes have no labels, which a probe needs; give each class a folder")
    unknown = sorted(set(test.labels.tolist()) - set(train.labels.tolist()))
    if unknown:
        names = ", ".join(repr(dataset.classes[label]) for label in unknown)
        raise InputError(
            f"{dataset.path}: no training shape of {names}, which the test split holds; move some to train or "
            "leave the class out"
        )
    return train, test


def default_points(config: dict[str, Any], dataset: ShapeDataset) -> int:
    """The points a run was trained with, or as many as the dataset has."""
    return min(int(config.get("points") or dataset.points), dataset.points)


def describe_view(view: View, train: Shapes, test: Shapes) -> dict[str, Any]:
    """What the probe's shapes looked like, exactly."""
    return {
        "seed": view.seed,
        "rotation": view.rotation,
        "points": view.points or train.points.shape[1],
        "subsample_sha256": {"train": view.subsample_hash(train), "test": view.subsample_hash(test)},
    }


def describe_dataset(dataset: ShapeDataset) -> dict[str, Any]:
    """Name, source and checksum of a dataset folder; the checksum is over those of its shards."""
    facts = dataset.card["pointvae"]
    sums = "\n".join(f"{shard['file']} {shard['sha256']}" for shard in facts["shards"])
    return {
        "name": dataset.path.resolve().name,
        "source": str(facts.get("source", "")),
        "sha256": hashlib.sha256(sums.encode()).hexdigest(),
    }
