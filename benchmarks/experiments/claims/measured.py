"""The rows by what sentences ask for."""

from __future__ import annotations

from functools import cache

import literature
import numpy as np

import costs
import methods
import modelnet40
import speed
from runs import ROOT, read_rows

COLUMNS = ("mean_aligned", "mean_rotated", "encoder_aligned", "encoder_rotated")
"""The accuracies of results/methods.csv."""
PLACES = tuple((feature, rotation) for feature in ("posterior_mean", "encoder") for rotation in ("none", "z"))
"""The accuracies of results/modelnet40.csv."""


def modelnet(config: str, feature: str, rotation: str) -> float:
    """Mean accuracy over seeds, percent; of the untrained encoder too."""
    column, found = ("untrained_accuracy" if config == "untrained" else "accuracy"), {}
    for row in read_rows(modelnet40.RESULTS):
        if (row["feature"], row["rotation"]) == (feature, rotation) and config in (row["config"], "untrained"):
            found[row["seed"]] = 100 * float(row[column])
    return float(np.mean(list(found.values())))


def by_seed(method: str, column: str, long: bool = False) -> dict[str, float]:
    """One figure of results/methods.csv, or methods-long.csv, by seed."""
    rows = read_rows(methods.LONG if long else methods.RESULTS)
    return {row["seed"]: float(row[column]) for row in rows if row["method"] == method}


def mean(method: str, column: str, long: bool = False) -> float:
    """The mean of that over seeds."""
    return float(np.mean(list(by_seed(method, column, long).values())))


def more(method: str, control: str, column: str, long: bool = False) -> float:
    """How much a method adds to its control, mean over the seeds that both have."""
    ours, theirs = by_seed(method, column, long), by_seed(control, column, long)
    return float(np.mean([ours[seed] - theirs[seed] for seed in ours if seed in theirs]))


def points(method: str, control: str, column: str = "mean_aligned", long: bool = False) -> float:
    """The same of an accuracy, in points."""
    return 100 * more(method, control, column, long)


def speed_row(name: str) -> dict[str, str]:
    """The newest row of results/speed.csv of a name."""
    return {row["row"]: row for row in read_rows(speed.RESULTS)}[name]


def ratio(name: str) -> float:
    """How many times as fast ours was in that row."""
    return float(speed_row(name)["ratio"])


def cost(step: str, what: str, points: int) -> dict[str, str]:
    """A row of results/costs.csv."""
    found = [
        row
        for row in read_rows(costs.RESULTS)
        if (row["step"], row["what"], row["points"]) == (step, what, str(points))
    ]
    return found[-1]


def scale(step: str, points: int, shapes: int) -> dict[str, str]:
    """A row of results/scale.csv."""
    rows = read_rows(ROOT / "results" / "scale.csv")
    return [r for r in rows if (r["step"], r["points"], r["shapes"]) == (step, str(points), str(shapes))][-1]


@cache
def feature_spread(method: str) -> float:
    """The mean over seeds of how far the encoder's features spread, from results/literature.csv."""
    rows = read_rows(literature.RESULTS)
    return float(
        np.mean([float(r["feature_std"]) for r in rows if (r["method"], r["feature"]) == (method, "encoder")])
    )
