"""A cloud's axes in plain operators: ONNX knows no eigenvectors."""

from __future__ import annotations

import torch
from torch import Tensor

SWEEPS = 6
"""Jacobi's turns converge quadratically: after four sweeps of a 3 x 3 matrix nothing is left in double precision."""


def axes_of(matrix: Tensor) -> Tensor:
    """Eigenvectors, in columns, of symmetric matrices [B, 3, 3], by rising eigenvalue; by Jacobi's turns.

    Each turn makes one off-diagonal pair zero: J = 1 + (c - 1) D + s K, tan of the angle t the smaller root.

    Source: Golub and Van Loan, "Matrix Computations", section 8.5.
    """
    eye = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    vectors = eye.expand_as(matrix)
    for _ in range(SWEEPS):
        for p, q in ((0, 1), (0, 2), (1, 2)):
            off, apart = matrix[:, p, q], matrix[:, q, q] - matrix[:, p, p]
            root = (apart.square() + 4.0 * off.square()).sqrt()
            below = torch.where(apart < 0, apart - root, apart + root)
            t = torch.where(below == 0, 0.0, 2.0 * off / torch.where(below == 0, 1.0, below))
            c = torch.rsqrt(1.0 + t.square())
            both = torch.outer(eye[p], eye[p]) + torch.outer(eye[q], eye[q])
            cross = torch.outer(eye[p], eye[q]) - torch.outer(eye[q], eye[p])
            turn = eye + (c - 1.0).view(-1, 1, 1) * both + (t * c).view(-1, 1, 1) * cross
            matrix = turn.transpose(1, 2) @ matrix @ turn
            vectors = vectors @ turn
    order = torch.diagonal(matrix, dim1=1, dim2=2).topk(3, dim=1, largest=False).indices
    return vectors.gather(2, order.unsqueeze(1).expand(-1, 3, -1))
