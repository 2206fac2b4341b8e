"""Vectors from 3D shapes: point-cloud variational auto-encoders under consistency regularization."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pointvae.errors import InputError
from pointvae.version import __version__

if TYPE_CHECKING:
    from pointvae.data.dataset import ShapeDataset, Shapes, load_dataset
    from pointvae.data.objects import from_objects
    from pointvae.data.prepare import prepare
    from pointvae.data.pyg import from_pyg, to_pyg
    from pointvae.data.thirdparty import to_open3d, to_trimesh
    from pointvae.estimator import PointVAETransformer
    from pointvae.evaluation.in_memory import embed
    from pointvae.exporting.files import export_to
    from pointvae.hub import from_pretrained, save_pretrained
    from pointvae.models.ladder import LadderPointVAE
    from pointvae.models.vae import PointVAE
    from pointvae.objectives import ELBO, IWAE, Consistency, SelfConsistency, SmoothEncoder, Triplet
    from pointvae.pretrained import list_pretrained
    from pointvae.publishing import push_to_hub
    from pointvae.training.fit import fit
    from pointvae.training.loop import Run
    from pointvae.training.refine import refine
    from pointvae.transforms import Compose, DropPoints, Jitter, RotateSO3, RotateUp, Scale, Transform, Translate
    from pointvae.visualization.viewer import viewer

# name -> where it lives; loaded when first asked for, so that `import pointvae` stays quick
_PLACES = {
    "Compose": "pointvae.transforms",
    "Consistency": "pointvae.objectives",
    "DropPoints": "pointvae.transforms",
    "ELBO": "pointvae.objectives",
    "IWAE": "pointvae.objectives",
    "Jitter": "pointvae.transforms",
    "LadderPointVAE": "pointvae.models.ladder",
    "PointVAE": "pointvae.models.vae",
    "PointVAETransformer": "pointvae.estimator",
    "RotateSO3": "pointvae.transforms",
    "RotateUp": "pointvae.transforms",
    "Run": "pointvae.training.loop",
    "Scale": "pointvae.transforms",
    "SelfConsistency": "pointvae.objectives",
    "ShapeDataset": "pointvae.data.dataset",
    "Shapes": "pointvae.data.dataset",
    "SmoothEncoder": "pointvae.objectives",
    "Transform": "pointvae.transforms",
    "Translate": "pointvae.transforms",
    "Triplet": "pointvae.objectives",
    "embed": "pointvae.evaluation.in_memory",
    "export_to": "pointvae.exporting.files",
    "fit": "pointvae.training.fit",
    "from_objects": "pointvae.data.objects",
    "from_pretrained": "pointvae.hub",
    "from_pyg": "pointvae.data.pyg",
    "list_pretrained": "pointvae.pretrained",
    "load_dataset": "pointvae.data.dataset",
    "prepare": "pointvae.data.prepare",
    "push_to_hub": "pointvae.publishing",
    "refine": "pointvae.training.refine",
    "save_pretrained": "pointvae.hub",
    "to_open3d": "pointvae.data.thirdparty",
    "to_pyg": "pointvae.data.pyg",
    "to_trimesh": "pointvae.data.thirdparty",
    "viewer": "pointvae.visualization.viewer",
}

__all__ = [
    "ELBO",
    "IWAE",
    "Compose",
    "Consistency",
    "DropPoints",
    "InputError",
    "Jitter",
    "LadderPointVAE",
    "PointVAE",
    "PointVAETransformer",
    "RotateSO3",
    "RotateUp",
    "Run",
    "Scale",
    "SelfConsistency",
    "ShapeDataset",
    "Shapes",
    "SmoothEncoder",
    "Transform",
    "Translate",
    "Triplet",
    "__version__",
    "embed",
    "export_to",
    "fit",
    "from_objects",
    "from_pretrained",
    "from_pyg",
    "list_pretrained",
    "load_dataset",
    "prepare",
    "push_to_hub",
    "refine",
    "save_pretrained",
    "to_open3d",
    "to_pyg",
    "to_trimesh",
    "viewer",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'pointvae' has no attribute {name!r}")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
