"""Tables of who is how near, a chunk at a time: what every search for nearest points is made of.

Among candidates y for a query x, the order of |x - y|² is that of the scores |y|² - 2 x·y. The searches look at every
pair. For clouds of some thousand points that is as fast as a k-d tree on the CPU, if the table stays in the cache and
is read by vector instructions, and it takes the same time for every cloud: docs/decisions/every-pair.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pointvae.geometry.chunks import row_chunks
from pointvae.geometry.finite import binary_scale, present

FEW = 6  # channels up to which sums of outer products are faster than a matrix product


def full_precision(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in one dtype that is fit for distances: float32 or more, whatever autocast made of them."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return tuple(tensor.to(dtype) for tensor in tensors)


def score_tables(queries: Tensor, points: Tensor, mask: Tensor | None) -> Iterator[tuple[slice, slice, Tensor]]:
    """Scores of candidates, in chunks: lower is nearer, infinite where a candidate does not exist.

    Those of a cloud are multiplied by the square of its `binary_scale`, so that they are finite for all coordinates.

    Args:
        queries: places asked about [B, Q, C].
        points: candidates [B, N, C], of the same dtype.
        mask: which candidates exist [B, N]; all when absent.

    Yields:
        The chunk's clouds, its queries, and its table [b, q, N], which the next chunk overwrites.
    """
    batch, count, _ = queries.shape
    n = points.shape[1]
    same, points = queries is points and mask is None, present(points, mask)
    scale = binary_scale(points) if same else binary_scale(queries, points)
    points = points * scale
    # near the origin the expanded square keeps its digits
    centre = points.mean(dim=1, keepdim=True) if mask is None else _mean_of_present(points, mask)
    points = points - centre
    queries = points if same else queries * scale - centre
    offset = points.square().sum(-1)
    if mask is not None:
        offset = offset.masked_fill(~mask, torch.inf)
    offset, lifted = offset.unsqueeze(1), (-2.0 * points).transpose(1, 2).contiguous()
    cell = points.element_size() * n
    memory = points.new_empty(0)
    for clouds in row_chunks(points, batch, count * cell):
        for rows in row_chunks(points, count, (clouds.stop - clouds.start) * cell):
            shape = (clouds.stop - clouds.start, rows.stop - rows.start, n)
            if len(memory) < shape[0] * shape[1] * n:
                memory = points.new_empty(shape[0] * shape[1] * n)
            table = memory[: shape[0] * shape[1] * n].view(shape)
            _fill(table, offset[clouds], queries[clouds, rows], lifted[clouds])
            yield clouds, rows, table


def _mean_of_present(points: Tensor, mask: Tensor) -> Tensor:
    return points.sum(dim=1, keepdim=True) / mask.sum(dim=1).clamp_min(1).view(-1, 1, 1)


def _fill(table: Tensor, offset: Tensor, queries: Tensor, lifted: Tensor) -> None:
    """Table of offset + queries · lifted; autocast leaves operators alone that are told where to write."""
    channels = queries.shape[2]
    if not 0 < channels <= FEW:
        torch.baddbmm(offset, queries, lifted, out=table)
        return
    for c in range(channels):
        torch.addcmul(offset if c == 0 else table, queries[..., c : c + 1], lifted[:, c : c + 1], out=table)


def least(table: Tensor) -> Tensor:
    """Index of the least in each row [..., N] -> [...]; on the CPU the first among equals."""
    if table.device.type != "cpu":
        return table.argmin(dim=-1)
    return torch.from_numpy(table.numpy().argmin(axis=-1))  # vectorised, unlike torch's


def least_few(table: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k least of each row [b, q, N], k <= N, ascending: values and indices [b, q, k]; NaN counts as greatest.

    On the CPU the first come first among equals.
    """
    if table.device.type != "cpu":
        values, index = table.topk(k, dim=2, largest=False)
        return values, index
    rows = table.numpy().reshape(-1, table.shape[2])
    order = _least_few(rows, k)
    index = torch.from_numpy(order).view(*table.shape[:2], k)
    return table.gather(2, index), index


def _least_few(rows: npt.NDArray[np.floating[Any]], k: int) -> npt.NDArray[np.int64]:
    """Columns of the k least of each row (R, N), ascending, the first among equals first.

    The k-th least of the least of some groups is an upper bound of the k-th least of all. Where groups are several
    times k, few others lie below it: what does is picked out, and only that is sorted.
    """
    count, n = rows.shape
    if not rows.size or not k:
        return np.zeros((count, k), dtype=np.int64)
    groups = min(n, 6 * k)
    size = n // groups
    # the members of a group lie far apart, as neighbours often have neighbouring indices
    heads = rows[:, : size * groups].reshape(count, size, groups).min(axis=1)
    bound = np.partition(heads, k - 1, axis=1)[:, k - 1 : k]
    place = np.flatnonzero(~(rows > bound))  # NaN is not greater, so that there are never fewer than k
    row, column = np.divmod(place, n)
    found = np.bincount(row, minlength=count)
    start = np.cumsum(found) - found
    width = int(found.max())
    values = np.full((count, width), np.nan, dtype=rows.dtype)
    slot = row * width + np.arange(len(place)) - start[row]
    values.reshape(-1)[slot] = rows.reshape(-1)[place]
    columns = np.zeros((count, width), dtype=np.int64)
    columns.reshape(-1)[slot] = column
    order = np.argsort(values, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(columns, order, axis=1)
