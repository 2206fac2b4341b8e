"""What an evaluation holds, between the models that made it and the report that shows it; as files, too.

``metrics.json`` has every figure; ``evaluation.npz`` the figures of each shape and the clouds of the pictures, so
that runs can be compared later without their models or data. Neither holds anything that loading executes.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.errors import InputError
from pointvae.writing import whole_file, write_text

METRICS, ARRAYS = "metrics.json", "evaluation.npz"

Floats = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Part:
    """What one part of an evaluation found.

    Attributes:
        figures: JSON-able; they stand in ``metrics.json`` under the part's name.
        arrays: figures of each shape, and clouds for the report's pictures, by name; no objects.
    """

    figures: dict[str, Any]
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Gallery:
    """Shapes beside their reconstructions: names, inputs (n, N, 3), outputs (n, M, 3), errors (n,)."""

    names: list[str]
    inputs: Floats
    outputs: Floats
    cd_l2_mean: Floats


@dataclass(frozen=True)
class LatentMap:
    """Shapes in the plane.

    Attributes:
        places: (n, 2) within [-1, 1].
        labels: index of each one's class (n,), if there are classes.
        names: of the shapes.
        clouds: (n, points, 3), thinned.
        method: ``pca`` or ``tsne``.
        of: number of shapes from which these were taken.
    """

    places: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64] | None
    names: list[str]
    clouds: Floats
    method: str
    of: int


@dataclass(frozen=True)
class Evaluation:
    """One run on one dataset.

    Attributes:
        name: the run's name.
        metrics: every figure, JSON-able.
        config: the run's ``config.json``.
        card: what ``prepare`` recorded of the dataset.
        classes: names of the classes.
        history: rows of ``metrics.csv`` without their empty cells.
        arrays: what the parts measured of each shape and what the report draws, by ``part/name``.
    """

    name: str
    metrics: dict[str, Any]
    config: dict[str, Any]
    card: dict[str, Any]
    classes: list[str]
    history: list[dict[str, float]]
    arrays: Arrays = field(default_factory=dict)

    @property
    def gallery(self) -> Gallery:
        """Test shapes and their reconstructions."""
        return self._gallery("gallery")

    @property
    def worst(self) -> Gallery:
        """The shapes that came back worst."""
        return self._gallery("worst")

    @property
    def latent_map(self) -> LatentMap:
        """Test shapes by their posterior means."""
        picture, figures = self._pictures("map"), self.metrics["pictures"]
        names = [str(name) for name in picture["names"]]
        labels = picture.get("labels")
        return LatentMap(picture["places"], labels, names, picture["clouds"], figures["map"], figures["shapes"])

    @property
    def samples(self) -> Floats:
        """Decoded draws from the prior (n, M, 3)."""
        return self.arrays["pictures/samples"]

    @property
    def path(self) -> Floats:
        """Decoded points (steps, M, 3) on the line between the latents of two test shapes."""
        return self.arrays["pictures/path"]

    @property
    def path_ends(self) -> Floats:
        """The two shapes (2, N, 3)."""
        return self.arrays["pictures/path_ends"]

    @property
    def path_names(self) -> tuple[str, str]:
        """Their names."""
        first, last = self.arrays["pictures/path_names"]
        return str(first), str(last)

    def _gallery(self, name: str) -> Gallery:
        found = self._pictures(name)
        return Gallery([str(n) for n in found["names"]], found["inputs"], found["outputs"], found["cd_l2_mean"])

    def _pictures(self, name: str) -> Arrays:
        start = f"pictures/{name}_"
        return {key.removeprefix(start): value for key, value in self.arrays.items() if key.startswith(start)}


def save_evaluation(made: Evaluation, folder: Path) -> None:
    """Write ``metrics.json`` and ``evaluation.npz`` into a folder, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    context = {"config": made.config, "card": made.card, "classes": made.classes, "history": made.history}
    save_arrays(folder / ARRAYS, made.arrays, {"metrics": made.metrics, **context})
    write_text(folder / METRICS, to_json(made.metrics))


def load_evaluation(folder: str | Path) -> Evaluation:
    """What `save_evaluation` wrote.

    Raises:
        InputError: there is no evaluation in the folder, or it is damaged.
    """
    path = Path(folder) / ARRAYS
    if not Path(folder).exists():
        raise InputError(f"{folder}: no such folder; name a run folder, or one that an evaluation was written to")
    if not path.is_file():
        raise InputError(
            f"{folder}: holds no evaluation ({ARRAYS}); make it with `pointvae evaluate {folder} DATASET`"
        )
    arrays, facts = load_arrays(path)
    try:
        metrics = facts["metrics"]
        return Evaluation(
            metrics["run"], metrics, facts["config"], facts["card"], facts["classes"], facts["history"], arrays
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error!r} is missing); evaluate the run again") from None


FACTS = "facts.json"


def save_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Write arrays and JSON-able facts into one .npz, whole or not at all."""
    if any(array.dtype.hasobject for array in arrays.values()):
        raise TypeError("an array of objects would be pickled")
    text = np.frombuffer(to_json(facts).encode("utf-8"), np.uint8)
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **{FACTS: text}, **arrays)  # type: ignore[arg-type]


def load_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and facts of a file that `save_arrays` wrote; nothing in it is executed.

    Raises:
        InputError: it is damaged, or something else.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(arrays.pop(FACTS).tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        told = "it holds pickled objects, which are never loaded" if "pickle" in str(error) else error
        raise InputError(f"{path}: damaged or no evaluation ({told}); evaluate the run again") from None
    if not isinstance(facts, dict):
        raise InputError(f"{path}: damaged or no evaluation; evaluate the run again")
    return arrays, facts


def to_json(figures: Mapping[str, Any]) -> str:
    """Figures as JSON text, each list of numbers or words on one line; what is not finite becomes null."""
    text = json.dumps(_finite(figures), indent=2, allow_nan=False) + "\n"
    # no string of JSON holds a line break, so that nothing within one is touched
    return re.sub(r"\[\n\s+([^\[\]{}]*?)\n\s+\]", lambda row: "[" + re.sub(r"\n\s+", " ", row[1]) + "]", text)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
