"""One set of encoders under every protocol of the literature: how much does the protocol alone move the figure?

    python benchmarks/literature.py --dataset DATASET [--runs RUNS] [--methods …] [--seeds 0 1 2]

DATASET is a dataset folder of ModelNet40, RUNS the folder of runs that benchmarks/modelnet40.py trains. Each run, and
the untrained encoder of each seed, encodes the aligned shapes once; every linear SVM of
`pointvae.evaluation.probing.literature`, and `linear_svm_c_cv`, is then fitted to the same features. One row a
method, seed, feature and protocol goes to results/literature.csv as soon as it is there; a row that is there is not
made again, so an interrupted run goes on where it stopped. docs/literature.md is made from the rows by
literature_page.py.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pointvae.data.dataset import load_dataset
from pointvae.evaluation.probes import default_points, describe_dataset, labelled_splits
from pointvae.evaluation.probing.literature import LITERATURE
from pointvae.evaluation.probing.protocols import Protocol
from pointvae.evaluation.probing.registry import LINEAR_SVM
from pointvae.evaluation.probing.training import Encoded, compare_feature, encode_splits
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.hub import from_pretrained, read_run_config, untrained_twin
from pointvae.version import __version__
from runs import ROOT, add_rows, commit, read_rows

RESULTS = ROOT / "results" / "literature.csv"
UNTRAINED = "untrained"
METHODS = (UNTRAINED, "vae", "cr-vae-canonical", "cr-vae", "vae-aug")
Plan = Sequence[tuple[str, Sequence[Protocol]]]  # features, each with its protocols
SLOW = [p for p in LITERATURE if p.loss == "squared_hinge" and p.c_grid == (1.0,)]  # minutes on unscaled features
QUICK = [p for p in LITERATURE if p not in SLOW]
PLAN: Plan = (  # in the order in which rows are worth having
    ("encoder", QUICK),
    ("posterior_mean", QUICK),
    ("encoder", [LINEAR_SVM]),
    ("posterior_mean", [LINEAR_SVM]),
    ("posterior_mean", SLOW),
    ("encoder", SLOW),
)
COLUMNS = [
    "method",
    "seed",
    "feature",
    "protocol",
    "loss",
    "scaling",
    "C",
    "C_chosen_on",
    "accuracy",
    "converged",
    "feature_std",
    "points",
    "n_train",
    "n_test",
    "epochs",
    "dataset_sha256",
    "subsample_sha256",
    "version",
    "commit",
    "machine",
]


def classifier(protocol: Protocol) -> tuple[object, ...]:
    """What a protocol fits: protocols that agree in this share a fit."""
    return (protocol.loss, protocol.multiclass, protocol.scaling, protocol.c_grid, protocol.folds)


def groups(protocols: Sequence[Protocol]) -> list[list[Protocol]]:
    """Protocols by what they fit, in order."""
    found: dict[tuple[object, ...], list[Protocol]] = {}
    for protocol in protocols:
        found.setdefault(classifier(protocol), []).append(protocol)
    return list(found.values())


class Bench:
    """The dataset and the runs, each encoded once, when it is first needed."""

    def __init__(self, dataset: str, runs: Path, seed: int = 0) -> None:
        shapes = load_dataset(dataset)
        self.runs = runs
        self.train, self.test = labelled_splits(shapes)
        self.sha256 = describe_dataset(shapes)["sha256"][:16]
        self.points = default_points(read_run_config(self.folder("vae", seed)), shapes)
        self.view = View(self.points, "none", 0)
        self.subsample = self.view.subsample_hash(self.test)[:16]
        self.encoded = cache(self._encoded)

    def folder(self, method: str, seed: int) -> Path:
        """Where a run is; an untrained encoder is the twin of a VAE, whose architecture all runs share."""
        return self.runs / f"{'vae' if method == UNTRAINED else method}-{seed}"

    def _encoded(self, method: str, seed: int) -> Encoded:
        folder = self.folder(method, seed)
        assert read_run_config(folder)["model"] == read_run_config(self.folder("vae", seed))["model"]
        model = untrained_twin(folder) if method == UNTRAINED else from_pretrained(folder)
        return encode_splits(model, self.train, self.test, self.view, work=Work(jobs=1))

    def rows(self, method: str, seed: int, feature: str, protocols: Sequence[Protocol]) -> list[dict[str, Any]]:
        """The rows of protocols that share a fit."""
        encoded = self.encoded(method, seed)
        assert self.test.labels is not None
        labels = self.test.labels
        protocol = protocols[0]
        figures = compare_feature(encoded, None, labels, feature=feature, protocol=protocol, work=Work(jobs=1))[0]
        spread = getattr(encoded.train.codes, feature).std(axis=0, dtype=np.float64).mean()
        shared = {
            "method": method,
            "seed": seed,
            "feature": feature,
            "loss": protocol.loss,
            "scaling": protocol.scaling,
            "C": figures["C"],
            "C_chosen_on": "train" if len(protocol.c_grid) > 1 else "given",
            "accuracy": figures["accuracy"],
            "converged": figures["converged"],
            "feature_std": f"{spread:.6g}",  # mean over dimensions of the deviation over training shapes
            "points": self.points,
            "n_train": figures["n_train"],
            "n_test": figures["n_test"],
            "epochs": 0 if method == UNTRAINED else read_run_config(self.folder(method, seed))["epochs"],
            "dataset_sha256": self.sha256,
            "subsample_sha256": self.subsample,
            "version": __version__,
            "commit": commit(),
            "machine": f"{platform.machine()} cpu",
        }
        return [{**shared, "protocol": each.identifier} for each in protocols]


def make_rows(bench: Bench, methods: Sequence[str], seeds: Sequence[int], results: Path, plan: Plan = PLAN) -> None:
    """Make the rows that are missing, each classifier's as soon as it is fitted."""
    done = {(r["method"], r["seed"], r["feature"], r["protocol"]) for r in read_rows(results)}
    for feature, protocols in plan:
        for method in methods:
            for seed in seeds:
                for group in groups(protocols):
                    missing = [p for p in group if (method, str(seed), feature, p.identifier) not in done]
                    if not missing:
                        continue
                    start = time.process_time()
                    rows = bench.rows(method, seed, feature, missing)
                    add_rows(results, COLUMNS, rows)
                    told = f"{method} {seed} {feature} {', '.join(p.identifier for p in missing)}"
                    print(f"{told}: {rows[0]['accuracy']:.4f}, {time.process_time() - start:.0f} s", flush=True)


def main() -> None:
    """Make the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="dataset folder of ModelNet40")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "modelnet40")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    bench = Bench(arguments.dataset, arguments.runs.resolve(), arguments.seeds[0])
    make_rows(bench, arguments.methods, arguments.seeds, RESULTS)


if __name__ == "__main__":
    main()
