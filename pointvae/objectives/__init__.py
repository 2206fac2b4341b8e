"""Objectives: the mathematics, one idea a file."""

from pointvae.objectives.base import Bound, Objective, Term, reduce_terms
from pointvae.objectives.consistency import Consistency, consistency_gap
from pointvae.objectives.elbo import ELBO

__all__ = ["ELBO", "Bound", "Consistency", "Objective", "Term", "consistency_gap", "reduce_terms"]
