"""Objectives: the mathematics, one idea a file."""

from pointvae.objectives.base import Bound, Objective, Term, reduce_terms
from pointvae.objectives.consistency import Consistency, consistency_gap
from pointvae.objectives.elbo import ELBO
from pointvae.objectives.self_consistency import SelfConsistency

OBJECTIVES: tuple[type[Objective], ...] = (ELBO, Consistency, SelfConsistency)

__all__ = [
    "ELBO",
    "OBJECTIVES",
    "Bound",
    "Consistency",
    "Objective",
    "SelfConsistency",
    "Term",
    "consistency_gap",
    "reduce_terms",
]
