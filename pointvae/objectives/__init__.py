"""Objectives: the mathematics, one idea a file."""

from pointvae.objectives.base import Bound, Objective, Term, reduce_terms
from pointvae.objectives.consistency import Consistency, consistency_gap
from pointvae.objectives.elbo import ELBO
from pointvae.objectives.iwae import IWAE
from pointvae.objectives.self_consistency import SelfConsistency
from pointvae.objectives.smooth_encoder import SmoothEncoder, entropic_w2
from pointvae.objectives.triplet import Triplet

OBJECTIVES: tuple[type[Objective], ...] = (ELBO, IWAE, Consistency, SelfConsistency, SmoothEncoder, Triplet)

__all__ = [
    "ELBO",
    "IWAE",
    "OBJECTIVES",
    "Bound",
    "Consistency",
    "Objective",
    "SelfConsistency",
    "SmoothEncoder",
    "Term",
    "Triplet",
    "consistency_gap",
    "entropic_w2",
    "reduce_terms",
]
