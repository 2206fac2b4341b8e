"""Objectives by the names of ``configs/*.yaml``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pointvae.errors import InputError
from pointvae.objectives import ELBO, IWAE, Consistency, Objective, SelfConsistency, SmoothEncoder, Triplet
from pointvae.refusals import near
from pointvae.transforms import Jitter, RotateUp, Scale, Transform

Transforms = Sequence[Transform] | None


def _mild() -> list[Transform]:
    return [RotateUp(15), Scale(0.8, 1.25), Jitter(0.01)]


NAMED: dict[str, Callable[[float, Transforms], Objective]] = {
    "vae": lambda weight, transforms: ELBO(),
    "beta-vae": lambda weight, transforms: ELBO(beta=4.0),
    "iwae": lambda weight, transforms: IWAE(),
    "avae": lambda weight, transforms: SelfConsistency(),
    "se": lambda weight, transforms: SmoothEncoder(),
    "se-avae": lambda weight, transforms: SelfConsistency(SmoothEncoder()),
    "vae-aug": lambda weight, transforms: Consistency(weight=0.0, transforms=transforms),
    "triplet": lambda weight, transforms: Triplet(weight=weight, transforms=transforms),
    "cr-vae": lambda weight, transforms: Consistency(None, weight, transforms),
    "cr-vae-canonical": lambda weight, transforms: Consistency(
        None, weight, _mild() if transforms is None else transforms, target="canonical"
    ),
    "cr-beta-vae": lambda weight, transforms: Consistency(ELBO(beta=4.0), weight, transforms),
    "cr-iwae": lambda weight, transforms: Consistency(IWAE(), weight, transforms),
    "cr-avae": lambda weight, transforms: Consistency(SelfConsistency(), weight, transforms),
}
"""Name -> the objective of that file of ``configs/``, but for the weight and the transforms where it has them."""


def objective_of(objective: str | Objective | None, weight: float, transforms: Transforms) -> Objective:
    """The objective that is meant by a name; an objective as it is; the plain ELBO where there is none.

    Args:
        objective: a name in `NAMED`, an objective, or None.
        weight: of the comparison that ``cr-…`` and ``triplet`` make; the others have none.
        transforms: of those, and of ``vae-aug``; their own when absent.

    Raises:
        InputError: the name is unknown, or it is neither.
    """
    if objective is None or isinstance(objective, Objective):
        return objective or ELBO()
    if not isinstance(objective, str) or objective not in NAMED:
        hint = near(objective, NAMED) if isinstance(objective, str) else ""
        raise InputError(
            f"unknown objective {objective!r}{hint}; choose one of {', '.join(NAMED)}, or give an Objective"
        )
    return NAMED[objective](weight, transforms)
