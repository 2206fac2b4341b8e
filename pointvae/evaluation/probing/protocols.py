"""Probe protocols as data: what is fitted to frozen features, how its settings are chosen, on what it is scored."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pointvae.errors import InputError
from pointvae.refusals import near

Task = Literal["classify", "label_efficiency", "few_shot"]
Classifier = Literal["linear_svm", "logistic", "knn"]
Scaling = Literal["standardise", "none"]
Loss = Literal["squared_hinge", "hinge", "cross_entropy", "none"]
Multiclass = Literal["one_versus_rest", "one_versus_one", "multinomial", "vote"]
Metric = Literal["none", "cosine", "euclidean"]

CHOICES: dict[str, tuple[str, ...]] = {
    "task": get_args(Task),
    "classifier": get_args(Classifier),
    "scaling": get_args(Scaling),
    "loss": get_args(Loss),
    "multiclass": get_args(Multiclass),
    "metric": get_args(Metric),
}
KINDS = {  # classifier: its losses, with how each makes many classes of two
    "linear_svm": {"squared_hinge": "one_versus_rest", "hinge": "one_versus_one"},
    "logistic": {"cross_entropy": "multinomial"},
    "knn": {"none": "vote"},
}


@dataclass(frozen=True)
class Protocol:
    """A probe protocol, frozen once it has a version: whoever changes a setting changes the version.

    Attributes:
        name: what people type.
        version: counted from 1.
        classifier: ``linear_svm`` (squared hinge: with a regularised intercept, as LinearSVC; hinge: as SVC),
            ``logistic`` (L2) or ``knn``.
        loss: of the classifier; ``none`` for kNN.
        multiclass: how many classes are told apart.
        scaling: ``standardise`` by mean and deviation over the shapes that are fitted, or ``none``.
        c_grid: values of C, the weight of the summed loss against half the squared weights; one is taken as it is.
        folds: at most, of the stratified cross-validation that chooses C or k on the fitted shapes.
        k_grid: numbers of neighbours; one is taken as it is.
        metric: of the neighbours.
        task: ``classify``, ``label_efficiency`` or ``few_shot``.
        shares: of the training labels that are used (label efficiency).
        draws: of the labels, or of the classes and their shapes.
        lone_c: C where a class has one labelled shape, so that no fold can hold it out (label efficiency).
        ways: numbers of classes (few-shot).
        shots: numbers of training shapes of each (few-shot).
        queries: test shapes of each class (few-shot).
        source: where the settings come from.
        differs: what else the source does that is not repeated here.

    Raises:
        InputError: a field is out of range, or fields contradict each other.

    Example:
        >>> Protocol("mine", 1, "knn", "none", "vote", "none", k_grid=(5,), metric="cosine").identifier
        'mine/1'
    """

    name: str
    version: int
    classifier: Classifier
    loss: Loss
    multiclass: Multiclass
    scaling: Scaling = "standardise"
    c_grid: tuple[float, ...] = ()
    folds: int = 5
    k_grid: tuple[int, ...] = ()
    metric: Metric = "none"
    task: Task = "classify"
    shares: tuple[float, ...] = ()
    draws: int = 1
    lone_c: float | None = None
    ways: tuple[int, ...] = ()
    shots: tuple[int, ...] = ()
    queries: int = 0
    source: str = ""
    differs: str = ""

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise self._refusal(name, f"unknown {value!r}{near(str(value), choices)}; it is {_any(choices)}")
        kinds = KINDS[self.classifier]
        if kinds.get(self.loss) != self.multiclass:
            told = " or ".join(f"{loss} with {many}" for loss, many in kinds.items())
            raise self._refusal("loss", f"{self.classifier} takes {told}, not {self.loss} with {self.multiclass}")
        for name, good, told in self._conditions():
            if not good:
                raise self._refusal(name, told)

    def _conditions(self) -> list[tuple[str, bool, str]]:
        knn, few, part = self.classifier == "knn", self.task == "few_shot", self.task == "label_efficiency"
        return [
            ("name", bool(self.name) and "/" not in self.name, "must be a word without a slash"),
            ("version", self.version >= 1, "must be at least 1"),
            ("folds", self.folds >= 2, "must be at least 2"),
            ("draws", self.draws >= 1, "must be at least 1"),
            ("c_grid", knn or bool(self.c_grid), "must hold a C"),
            ("c_grid", all(c > 0 for c in self.c_grid), "must be above 0"),
            ("c_grid", list(self.c_grid) == sorted(set(self.c_grid)), "must grow"),
            ("k_grid", not knn or bool(self.k_grid), "must hold a k"),
            ("k_grid", all(k >= 1 for k in self.k_grid), "must be at least 1"),
            ("k_grid", list(self.k_grid) == sorted(set(self.k_grid)), "must grow"),
            ("metric", knn == (self.metric != "none"), "is for knn, which needs one"),
            ("shares", part == bool(self.shares), "are for label_efficiency, which needs some"),
            ("shares", all(0 < share <= 1 for share in self.shares), "must be above 0 and at most 1"),
            ("lone_c", self.lone_c is None or self.lone_c > 0, "must be above 0"),
            ("lone_c", not part or knn or self.lone_c is not None, "is needed by label_efficiency"),
            ("ways", few == bool(self.ways), "are for few_shot, which needs some"),
            ("ways", all(way >= 2 for way in self.ways), "must be at least 2"),
            ("shots", few == bool(self.shots), "are for few_shot, which needs some"),
            ("shots", all(shot >= 1 for shot in self.shots), "must be at least 1"),
            ("queries", self.queries >= int(few), "must be at least 1 for few_shot"),
            ("c_grid", not few or len(self.c_grid) < 2, "must hold one C for few_shot"),
            ("k_grid", not few or len(self.k_grid) < 2, "must hold one k for few_shot"),
        ]

    @property
    def identifier(self) -> str:
        """Name and version, as results state them."""
        return f"{self.name}/{self.version}"

    def to_dict(self) -> dict[str, Any]:
        """Every field, as JSON has it."""
        fields = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> Protocol:
        """A protocol from what `to_dict` gives; fields with a default may be absent.

        Raises:
            InputError: a field is unknown, missing, of another kind or out of range.
        """
        known = {field.name: field for field in dataclasses.fields(Protocol)}
        told = f"protocol {fields.get('name', 'without a name')}"
        for name in fields:
            if name not in known:
                raise InputError(f"{told}: unknown field {name!r}{near(name, known)}; fields are {', '.join(known)}")
        for name, field in known.items():
            if field.default is dataclasses.MISSING and name not in fields:
                raise InputError(f"{told}: has no field {name!r}, which every protocol needs")
        values = {name: _read(told, name, str(known[name].type), value) for name, value in fields.items()}
        return Protocol(**values)

    def _refusal(self, field: str, told: str) -> InputError:
        return InputError(f"protocol {self.name}: {field}: {told}")


def _read(told: str, name: str, kind: str, value: Any) -> Any:
    """A field's value from JSON, by what its annotation says."""
    element = kind.removeprefix("tuple[").split(",")[0].split(" ")[0]
    if kind.startswith("tuple"):
        if not isinstance(value, list | tuple):
            raise InputError(f"{told}: {name}: must be a list, got {value!r}")
        return tuple(_number(told, name, element, item) for item in value)
    if element in ("int", "float"):
        return None if value is None and kind.endswith("None") else _number(told, name, element, value)
    if not isinstance(value, str):
        raise InputError(f"{told}: {name}: must be text, got {value!r}")
    return value


def _number(told: str, name: str, kind: str, value: Any) -> int | float:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if kind == "int" and not whole:
        raise InputError(f"{told}: {name}: must be a whole number, got {value!r}")
    if not (whole or isinstance(value, float)) or not math.isfinite(value):
        raise InputError(f"{told}: {name}: must be a number, got {value!r}")
    return value if kind == "int" else float(value)


def _any(choices: tuple[str, ...]) -> str:
    return " or ".join(choices)
