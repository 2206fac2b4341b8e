"""Batch norm whose batch may be shared by several processes: each normalises by the statistics of all of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pointvae.errors import InputError
from pointvae.global_batch import mean_over_batch, sharers, sum_over_processes


class BatchNorm1d(nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` of rows [R, C], exact over the global batch; masks may leave processes unequal rows.

    With one process it is torch's own, to the digit. (torch's ``SyncBatchNorm`` takes tensors on a GPU alone, and
    changes every norm of a model into a class of its own.)
    """

    def forward(self, rows: Tensor) -> Tensor:
        """Rows [R, C], normalised; in training by the batch's statistics, else by the running ones."""
        if not self.training or sharers() == 1:
            if self.training and len(rows) == 1:
                raise InputError("a batch of one in training: batch norms need at least two rows; give more shapes")
            return super().forward(rows)
        arguments = (rows, self.weight, self.bias, self.eps)
        out: Tensor
        out, mean, variance, count = _Normalised.apply(*arguments)  # type: ignore[no-untyped-call]
        self.track(mean, variance, count)
        return out

    @torch.no_grad()
    def track(self, mean: Tensor, variance: Tensor, count: int | Tensor) -> None:
        """Move the running statistics towards a batch's mean [C] and biased variance [C], as torch does."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        # several processes have several rows, and a total on the device that it would take time to look at
        unbiased = variance * (count / (max(count - 1, 1) if isinstance(count, int) else count - 1))
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)


class _Normalised(torch.autograd.Function):
    """(x - m) / sqrt(v + ε) · w + b by the global batch's m and v, which are given back too, without gradient.

    Written out, so that no more is kept for the way back than torch keeps: the rows and a few numbers a channel.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = rows if rows.dtype == torch.float64 else rows.float()
        own_variance, own_mean = (part.double() for part in torch.var_mean(x, dim=0, correction=0))
        # double precision forgives the difference of squares, and one message does
        moments, count = mean_over_batch(torch.stack([own_mean, own_variance + own_mean.square()]), len(x))
        assert isinstance(count, Tensor)
        mean, variance = moments[0], (moments[1] - moments[0].square()).clamp_min(0.0)
        scale = torch.rsqrt(variance + eps).to(x.dtype)
        mean, variance = mean.to(x.dtype), variance.to(x.dtype)
        out = (x - mean) * (scale if weight is None else scale * weight)
        ctx.save_for_backward(rows, mean, scale, weight, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return (out if bias is None else out + bias).to(rows.dtype), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        rows, mean, scale, weight, count = ctx.saved_tensors
        standard, grad_out = (rows.to(mean.dtype) - mean) * scale, grad.to(mean.dtype)
        own = torch.stack([grad_out.sum(dim=0), (grad_out * standard).sum(dim=0)])
        offset, slope = (sum_over_processes(own) / count).to(mean.dtype)
        grad_rows = (grad_out - offset - standard * slope) * (scale if weight is None else scale * weight)
        to_bias, to_weight = (None, None) if weight is None else own
        return grad_rows.to(rows.dtype), to_weight, to_bias, None
