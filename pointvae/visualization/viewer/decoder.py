"""A trained decoder as weights for the page's script, so that the page decodes any latent itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pointvae.models.decoders import FoldingDecoder, MLPDecoder
from pointvae.models.decoders.folding import Fold
from pointvae.models.vae import PointVAE
from pointvae.visualization.viewer.packing import pack

LIVE_BYTES = 8_000_000
"""Weights of more bytes than this are not put into a page."""

MIN_POINTS = 96

Spec = dict[str, Any]


def live_decoder(model: PointVAE, rows: npt.NDArray[np.int64], budget: int = LIVE_BYTES) -> Spec | None:
    """The decoder ``mlp`` or ``folding`` for some of its points, in float16; None where the page cannot run it.

    Args:
        model: the model.
        rows: which points; fewer from the beginning if all would be too many bytes.
        budget: bytes of weights.

    Returns:
        ``kind``, ``points`` and the weights, base64 of float16 (biases float32); or None: another decoder, one too
        large, or with weights beyond float16.
    """
    decoder = model.decoder
    if type(decoder) not in (MLPDecoder, FoldingDecoder) or type(model) is not PointVAE:
        return None  # a subclass may compute something else
    while True:
        with torch.no_grad():
            chosen = torch.from_numpy(rows)
            spec = _mlp(decoder, chosen) if isinstance(decoder, MLPDecoder) else _folding(decoder, chosen)
        size = sum(len(text) for text in _texts(spec)) * 3 // 4
        if size <= budget:
            break
        if len(rows) < 2 * MIN_POINTS or isinstance(decoder, FoldingDecoder):
            return None
        rows = rows[: len(rows) // 6 * 3]
    largest = max(float(value.detach().abs().max()) for value in decoder.parameters())
    return spec if largest < 65000 else None


def _mlp(decoder: MLPDecoder, rows: Tensor) -> Spec:
    layers = [layer for layer in decoder.layers if isinstance(layer, nn.Linear)]
    weight = layers[-1].weight.view(decoder.points, decoder.channels, -1)[rows, :3].flatten(0, 1)
    bias = layers[-1].bias.view(decoder.points, decoder.channels)[rows, :3].flatten()
    kept = [_linear(layer.weight, layer.bias) for layer in layers[:-1]]
    return {"kind": "mlp", "points": len(rows), "layers": [*kept, _linear(weight, bias)]}


def _folding(decoder: Any, rows: Tensor) -> Spec:
    return {
        "kind": "folding",
        "points": len(rows),
        "grid": pack(decoder.grid[rows].cpu().numpy(), "<f4"),
        "folds": [_fold(decoder.first), _fold(decoder.second)],
    }


def _fold(fold: Fold) -> Spec:
    *hidden, last = [layer for layer in fold.rest if isinstance(layer, nn.Linear)]
    layers = [*(_linear(layer.weight, layer.bias) for layer in hidden), _linear(last.weight[:3], last.bias[:3])]
    return {
        "latent": _linear(fold.latent.weight, fold.latent.bias),
        "point": _linear(fold.point.weight, torch.zeros(fold.point.out_features)),
        "layers": layers,
    }


def _linear(weight: Tensor, bias: Tensor) -> Spec:
    rows, columns = weight.shape
    with np.errstate(over="ignore"):  # `live_decoder` refuses what overflows
        texts = {"weight": pack(weight.cpu().numpy(), "<f2"), "bias": pack(bias.cpu().numpy(), "<f4")}
    return {"in": columns, "out": rows, **texts}


def _texts(spec: Any) -> list[str]:
    if isinstance(spec, str):
        return [spec]
    parts = spec.values() if isinstance(spec, dict) else spec if isinstance(spec, list) else []
    return [text for part in parts for text in _texts(part)]
