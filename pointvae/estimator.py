"""`PointVAETransformer`: a point-cloud VAE that stands wherever scikit-learn takes a transformer."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from pointvae.data.dataset import Shapes
from pointvae.data.sampling import Normalize, Up
from pointvae.errors import InputError
from pointvae.estimator_input import Floats, equal_counts, padded, read_clouds, thinned, training_split
from pointvae.estimator_model import bounds, decode_latents, packed, seed_from, unpacked
from pointvae.estimator_objective import objective_of
from pointvae.estimator_run import PARTS, parameters_of
from pointvae.evaluation.features import FEATURES, encode_clouds
from pointvae.evaluation.work import Work
from pointvae.hub import from_pretrained, read_run_config, save_pretrained
from pointvae.models.build import build_model
from pointvae.objectives.base import Objective
from pointvae.refusals import near
from pointvae.training.fit import fit
from pointvae.training.run_folder import describe
from pointvae.transforms import Transform

CHOICES = {"feature": FEATURES, "normalize": ("sphere", "cube", "none"), "up": ("z", "y")}


class PointVAETransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Shapes to latents: a point-cloud variational auto-encoder as a scikit-learn transformer.

    X is an array or a tensor (n, points, 3); a list of clouds (p_i, 3), of arrays, or of objects of trimesh, open3d
    and PyG; or `Shapes`. Every shape is centred and scaled as `prepare` does. No label is used: y is ignored. Nothing
    is written to disk but a temporary folder that is removed again, and no global random state is moved.

    Args:
        latent_dim: size D of the latent.
        encoder: short name of an encoder: ``pointnet``, ``dgcnn``, ``foldingnet``, ``frame-averaging``.
        decoder: short name of a decoder: ``mlp``, ``folding``.
        likelihood: short name of a likelihood: ``chamfer``, ``mixture``.
        points: points of each shape that the encoder sees: drawn anew at each step of `fit`, and fixed by the shape
            itself afterwards. Smaller clouds are seen whole.
        output_points: points of each cloud that `inverse_transform` gives; ``points`` when absent.
        objective: what is optimised: a name of ``configs/`` such as ``vae``, ``cr-vae``, ``iwae``; an ``Objective``;
            None for ``vae``.
        consistency_weight: weight of the comparison in ``cr-…`` and ``triplet``; other objectives ignore it.
        transforms: what those compare a shape with itself under; every heading, a scale and jitter when absent.
        max_epochs: passes over the shapes.
        batch_size: shapes a step.
        learning_rate: Adam's rate.
        normalize: ``sphere``, ``cube`` or ``none``, as in `prepare`.
        up: the up axis of X, ``z`` or ``y``; `Shapes` are z up whatever it says.
        feature: what `transform` gives: ``posterior_mean``, the latent, or ``encoder``, what comes before it.
        model: ``PointVAE`` or ``LadderPointVAE``.
        model_args: further arguments of that model.
        encoder_args: arguments of the encoder.
        decoder_args: arguments of the decoder.
        likelihood_args: arguments of the likelihood, such as ``{"sigma": 0.05}``.
        accelerator: ``auto``, ``cpu``, ``gpu``…; ``cpu`` also keeps `transform` off a GPU.
        random_state: a seed, a numpy ``RandomState``, or None for another seed each time; numpy's global generator
            is never asked.
        verbose: show progress on stderr.

    Attributes:
        model_: the trained `PointVAE`, in evaluation mode.
        loss_curve_: training loss of each epoch, nats a shape.
        seed_: the seed that was used.
        n_features_in_: 3, the coordinates of a point.

    Example:
        >>> clouds = np.random.default_rng(0).normal(size=(6, 40, 3))
        >>> small = PointVAETransformer(latent_dim=4, points=32, max_epochs=1, random_state=0, accelerator="cpu")
        >>> small.fit_transform(clouds).shape
        (6, 4)
    """

    def __init__(
        self,
        latent_dim: int = 128,
        *,
        encoder: str = "pointnet",
        decoder: str = "mlp",
        likelihood: str = "chamfer",
        points: int = 256,
        output_points: int | None = None,
        objective: str | Objective | None = "vae",
        consistency_weight: float = 1.0,
        transforms: Sequence[Transform] | None = None,
        max_epochs: int = 100,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        normalize: Normalize = "sphere",
        up: Up = "z",
        feature: str = "posterior_mean",
        model: str = "PointVAE",
        model_args: Mapping[str, Any] | None = None,
        encoder_args: Mapping[str, Any] | None = None,
        decoder_args: Mapping[str, Any] | None = None,
        likelihood_args: Mapping[str, Any] | None = None,
        accelerator: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.latent_dim = latent_dim
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.points = points
        self.output_points = output_points
        self.objective = objective
        self.consistency_weight = consistency_weight
        self.transforms = transforms
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.normalize = normalize
        self.up = up
        self.feature = feature
        self.model = model
        self.model_args = model_args
        self.encoder_args = encoder_args
        self.decoder_args = decoder_args
        self.likelihood_args = likelihood_args
        self.accelerator = accelerator
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> PointVAETransformer:
        """Train a new model on all shapes of X; of a `ShapeDataset`, on its ``train`` split. y is ignored.

        Raises:
            InputError: X or a parameter cannot be used; what was fitted before is as it was.
        """
        self._check_parameters()
        clouds = self._read(training_split(X), reset=True)
        if len(clouds) < 2:
            raise InputError("X holds 1 sample (n_samples=1); training needs at least 2 shapes")
        seed = seed_from(self.random_state)
        arguments = {name: getattr(self, name) for name in PARTS} | dict(self.model_args or {})
        try:
            model = build_model({**arguments, "points": self.output_points or self.points}, seed, self.model)
        except TypeError as error:
            reason = str(error).split("__init__() ")[-1]
            raise InputError(f"{self.model} does not take these arguments: {reason}") from None
        array = equal_counts(clouds, self.points, seed)
        shapes = Shapes(array, None, [f"X[{row}]" for row in range(len(array))], [])
        with tempfile.TemporaryDirectory(prefix="pointvae-fit-") as folder:
            try:
                run = fit(
                    model,
                    shapes,
                    Path(folder) / "run",
                    objective_of(self.objective, self.consistency_weight, self.transforms),
                    epochs=self.max_epochs,
                    batch_size=self.batch_size,
                    points=min(self.points, array.shape[1]),
                    learning_rate=self.learning_rate,
                    validation_fraction=0.0,
                    seed=seed,
                    checkpoint_every=0,
                    accelerator=self.accelerator,
                    progress=bool(self.verbose),
                )
            except KeyboardInterrupt:
                raise KeyboardInterrupt("fit was interrupted: nothing of it is kept") from None
            with (run.path / "metrics.csv").open(newline="", encoding="utf-8") as file:
                self.loss_curve_ = [float(row["train/loss"]) for row in csv.DictReader(file)]
        self.model_, self.seed_ = run.model, seed
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Floats:
        """Train on X and give its features (n, D); y is ignored."""
        X = training_split(X)
        return self.fit(X).transform(X)

    def transform(self, X: Any) -> Floats:
        """The posterior means (n, D) of shapes, float32; with ``feature="encoder"`` what comes before them (n, F).

        Raises:
            InputError: X cannot be used.
        """
        check_is_fitted(self, "model_")
        self._check_parameters()
        clouds = self._seen(X)
        codes = encode_clouds(
            self._placed(), lambda at: padded(clouds[at.start : at.stop]), len(clouds), work=self._work()
        )
        return codes.encoder if self.feature == "encoder" else codes.posterior_mean

    def inverse_transform(self, X: Any) -> Floats:
        """The clouds (n, output_points, 3) that latents (n, D) decode to, centred and scaled as in training.

        Raises:
            InputError: X are not latents of this model.
        """
        check_is_fitted(self, "model_")
        if self.feature == "encoder":
            raise InputError("feature 'encoder' has no way back; use feature='posterior_mean' to decode")
        latents, model = check_array(X, dtype=np.float32), self._placed()
        if latents.shape[1] != model.latent_dim:
            raise InputError(f"latents must be (n, {model.latent_dim}), got {list(latents.shape)}")
        return decode_latents(model, latents, self._work())

    def score_samples(self, X: Any) -> Floats:
        """The evidence lower bound of each shape (n,), nats per point: the higher, the better.

        The mean of ``log p(x|z) - KL`` over 8 draws of z, the same ones whenever the shape is the same. With the
        likelihood ``mixture`` it is a bound on a log density. With ``chamfer``, which is no density, values compare
        models of one sigma and nothing else: choosing sigma by it always ends at the largest.

        Raises:
            InputError: X cannot be used.
        """
        check_is_fitted(self, "model_")
        self._check_parameters()
        return bounds(self._placed(), self._seen(X), self._work())

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples` over shapes: nats per point, higher is better; y is ignored."""
        return float(self.score_samples(X).mean(dtype=np.float64))

    @classmethod
    def from_run(cls, run: str | Path, **parameters: Any) -> PointVAETransformer:
        """A fitted transformer from a run folder, of ``pointvae train`` or of `save_pretrained`.

        Its parameters are the run's, so that `fit` on a clone trains as the run was trained.

        Args:
            run: the run folder.
            parameters: parameters of the transformer to have instead, such as ``feature="encoder"``.

        Raises:
            InputError: it is no run, or it was trained with an objective that is not of this package.
        """
        trained = from_pretrained(run)
        made = cls(**{**parameters_of(read_run_config(run), trained, "objective" in parameters), **parameters})
        made.model_, made.n_features_in_ = trained, 3
        return made

    def save_pretrained(self, folder: str | Path) -> None:
        """Write what `from_run`, `pointvae.from_pretrained` and the command line's verbs read: no pickle."""
        check_is_fitted(self, "model_")
        objective = objective_of(self.objective, self.consistency_weight, self.transforms)
        facts = {
            "points": self.points,
            "epochs": self.max_epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "objective": describe(objective),
            "preparation": {"normalize": self.normalize, "up": self.up},
        }
        save_pretrained(self.model_, folder, facts | ({"seed": self.seed_} if hasattr(self, "seed_") else {}))

    @property
    def _n_features_out(self) -> int:
        return int(self.model_.encoder.out_features if self.feature == "encoder" else self.model_.latent_dim)

    def _read(self, X: Any, *, reset: bool) -> list[Floats]:
        """The clouds of X; ``reset`` where X is what the transformer learns from."""
        clouds = read_clouds(X, points=self.points, up=self.up, normalize=self.normalize)
        if reset:
            self.n_features_in_ = 3
        return clouds

    def _seen(self, X: Any) -> list[Floats]:
        """The clouds of X as the model is to see them."""
        return [thinned(cloud, self.points) for cloud in self._read(X, reset=False)]

    def _check_parameters(self) -> None:
        for name, known in CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                hint = near(value, known) if isinstance(value, str) else ""
                raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}{hint}")
        for name, low in (("points", 2), ("max_epochs", 1), ("batch_size", 1)):
            if getattr(self, name) < low:
                raise InputError(f"{name} must be at least {low}, got {getattr(self, name)}")

    def _placed(self) -> Any:
        """The model, on the GPU where there is one and it is not kept from it."""
        wanted = "cuda" if self.accelerator != "cpu" and torch.cuda.is_available() else "cpu"
        return self.model_.to(wanted)

    def _work(self) -> Work:
        return Work(progress=bool(self.verbose))

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        return state | {"model_": packed(self.model_)} if "model_" in state else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state | {"model_": unpacked(state["model_"])} if "model_" in state else state)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
