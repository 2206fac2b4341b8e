"""A run on the bench: its model and untrained twin, the shapes, and what both make of them, each made once."""

from __future__ import annotations

import hashlib
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pointvae.data.dataset import Shapes, load_dataset
from pointvae.data.shards import sha256
from pointvae.errors import InputError
from pointvae.evaluation.features import FEATURES, Codes, encode, to_best_device
from pointvae.evaluation.probes import TURNS, answers, default_points, describe_dataset, training_split
from pointvae.evaluation.probing.cross_validation import classes_present
from pointvae.evaluation.probing.training import Encoded, Training
from pointvae.evaluation.reconstruction import Reconstructions, reconstruct
from pointvae.evaluation.selection import spread_over_classes
from pointvae.evaluation.subject import Subject
from pointvae.evaluation.views import Floats, Rotation, View
from pointvae.evaluation.work import Work
from pointvae.hub import WEIGHTS, from_pretrained, read_run_config, run_folder, run_name, untrained_twin
from pointvae.models.vae import PointVAE
from pointvae.version import __version__

Who = Literal["trained", "untrained"]
WHO: tuple[Who, ...] = ("trained", "untrained")
QUICK_TRAIN, QUICK_TEST = 1000, 500
SOFTWARE = ("torch", "numpy", "scipy", "scikit-learn")
SUBJECT = (  # what every figure depends on, by the names in metrics.json
    "run",
    "model_sha256",
    "dataset",
    "split",
    "n_shapes",
    "points",
    "subsample_sha256",
    "seed",
    "quick",
    "full",
    "version",
    "code_sha256",
    "software",
)


class Bench:
    """What the parts of an evaluation share.

    Args:
        run: the run folder.
        dataset: the dataset folder.
        points: points of each shape that the models see; those of the training run when absent.
        seed: what every random draw is made from.
        quick: take at most 1,000 training and 500 test shapes, from every class in turn, and less of everything.
        full: take all test shapes where the default takes a part.
        work: how much is done at a time.
        scratch: a folder for what a killed evaluation leaves behind; nothing is kept when absent.

    Raises:
        InputError: the run, the dataset or an option is at fault.
    """

    def __init__(
        self,
        run: str | Path,
        dataset: str | Path,
        *,
        points: int | None = None,
        seed: int = 0,
        quick: bool = False,
        full: bool = False,
        work: Work | None = None,
        scratch: Path | None = None,
    ) -> None:
        if quick and full:
            raise InputError("--quick and --full: choose one")
        self.run, self.name, self.work, self.scratch = run_folder(run), run_name(run), work or Work(), scratch
        self.seed, self.quick, self.full = seed, quick, full
        self.config, self.data = read_run_config(self.run), load_dataset(dataset)
        self.model = to_best_device(finite_model(self.run))
        self.view = View(default_points(self.config, self.data) if points is None else points, "none", seed)
        self.split = "test" if "test" in self.data.splits else self.data.splits[-1]
        self._codes: dict[tuple[Who, str, Rotation], Codes] = {}
        self._trainings: dict[tuple[Who, Rotation], Training] = {}

    @cached_property
    def untrained(self) -> PointVAE:
        """The model as it was before training."""
        return to_best_device(untrained_twin(self.run))

    @cached_property
    def shapes(self) -> Shapes:
        """The shapes that are measured: the test split, or the last where there is none."""
        return self._thin(self.data[self.split], QUICK_TEST)

    @cached_property
    def train(self) -> Shapes:
        """The shapes that probes are fitted to.

        Raises:
            InputError: the dataset is not fit for probes; the reason.
        """
        return self._thin(training_split(self.data), QUICK_TRAIN)

    @cached_property
    def why_no_probe(self) -> str | None:
        """Why there is no probe; None where there is one."""
        try:
            answers(self.shapes, self.train)
            assert self.train.labels is not None
            classes_present(self.train.labels, self.train.classes)
        except InputError as error:
            return str(error)
        return None

    @cached_property
    def clouds(self) -> Floats:
        """The shapes as seen (n, points, 3)."""
        return self.view.clouds(self.shapes)

    @cached_property
    def other_points(self) -> Floats | None:
        """As many other points of each shape as are seen (n, points, 3); None where so many are not stored."""
        return self.view.other_points(self.shapes)

    @cached_property
    def reconstructions(self) -> Reconstructions:
        """What the model makes of the clouds."""
        return reconstruct(self.model, self.clouds, work=self.work)

    def codes(self, who: Who, split: Literal["train", "test"], rotation: Rotation = "none") -> Codes:
        """The codes of the training or the measured shapes under a model, each shape turned by its own rotation."""
        key = (who, split, rotation)
        if key not in self._codes:
            model = self.model if who == "trained" else self.untrained
            view = View(self.view.points, rotation, self.seed)
            found = encode(model, self.train if split == "train" else self.shapes, view, work=self.work)
            if not all(np.isfinite(part).all() for part in (found.posterior_mean, found.posterior_std)):
                raise InputError("the codes hold NaN or infinity: the model's weights are too large; train it anew")
            self._codes[key] = found
        return self._codes[key]

    def encoded(self, who: Who, turns: str = "none") -> Encoded:
        """What a model makes of the training and the measured shapes under a rotation protocol."""
        train, test = TURNS[turns]
        if (who, train) not in self._trainings:
            assert self.train.labels is not None
            codes = self.codes(who, "train", train)
            self._trainings[who, train] = Training(codes, self.train.labels, list(self.train.classes))
        return Encoded(self._trainings[who, train], self.codes(who, "test", test))

    @cached_property
    def subjects(self) -> dict[str, Subject]:
        """The model and its untrained twin, with linear probes of shapes as they are where there are labels."""
        models: dict[Who, PointVAE] = {"trained": self.model, "untrained": self.untrained}
        if self.why_no_probe:
            return {who: Subject(model) for who, model in models.items()}
        trainings = {who: self.encoded(who).train for who in models}
        return {
            who: Subject(model, {f: trainings[who].linear_probe(f, seed=self.seed, work=self.work) for f in FEATURES})
            for who, model in models.items()
        }

    def test_codes(self, rotation: Rotation = "none") -> dict[str, Codes]:
        """The codes of the measured shapes under the model and its untrained twin."""
        return {
            "trained": self.codes("trained", "test", rotation),
            "untrained": self.codes("untrained", "test", rotation),
        }

    @cached_property
    def describes(self) -> dict[str, Any]:
        """What every figure depends on, JSON-able."""
        return {
            "run": self.name,
            "model_sha256": sha256(self.run / WEIGHTS),
            "dataset": describe_dataset(self.data),
            "split": self.split,
            "n_shapes": len(self.shapes),
            "points": self.view.points,
            "subsample_sha256": self.view.subsample_hash(self.shapes),
            "seed": self.seed,
            "quick": self.quick,
            "full": self.full,
            "version": __version__,
            "code_sha256": code_sha256(),
            "software": {name: version(name) for name in SOFTWARE},
        }

    def _thin(self, shapes: Shapes, most: int) -> Shapes:
        return shapes[spread_over_classes(shapes, most, seed=self.seed)] if self.quick else shapes


def finite_model(run: str | Path) -> PointVAE:
    """The model of a run whose every weight is a number.

    Raises:
        InputError: it cannot be read, or its training has diverged.
    """
    model = from_pretrained(run)
    for name, weights in model.state_dict().items():
        if not bool(weights.isfinite().all()):
            raise InputError(
                f"{run}: its weights hold NaN or infinity ({name}): the training diverged; train it anew, with a "
                "smaller learning rate"
            )
    return model


@cache
def code_sha256() -> str:
    """The checksum of the package's own source, as hexadecimal: a version's name may stand for several of it."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()
