"""The frozen probe protocols by name: ours, and the literature's."""

from __future__ import annotations

import json
from pathlib import Path

from pointvae.errors import InputError
from pointvae.evaluation.probing.linear_probe import C_GRID, FOLDS
from pointvae.evaluation.probing.literature import LITERATURE
from pointvae.evaluation.probing.protocols import Protocol
from pointvae.refusals import near

LINEAR_SVM = Protocol(
    "linear_svm_c_cv", 1, "linear_svm", "squared_hinge", "one_versus_rest", c_grid=C_GRID, folds=FOLDS, source="ours"
)
LOGISTIC = Protocol(
    "logistic_c_cv",
    1,
    "logistic",
    "cross_entropy",
    "multinomial",
    c_grid=(1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0),
    source="ours",
)
KNN = Protocol(
    "knn",
    1,
    "knn",
    "none",
    "vote",
    scaling="none",
    k_grid=(1, 3, 5, 10, 20),
    metric="cosine",
    source="ours; unscaled, since a latent that the encoder does not use would be blown up to the size of the others",
)
LABEL_EFFICIENCY = Protocol(
    "label_efficiency",
    1,
    "linear_svm",
    "squared_hinge",
    "one_versus_rest",
    c_grid=C_GRID,
    folds=FOLDS,
    task="label_efficiency",
    shares=(0.01, 0.05, 0.1, 0.5),
    draws=5,
    lone_c=0.1,
    source="ours: linear_svm_c_cv on a part of the labels",
)
FEW_SHOT = Protocol(
    "few_shot",
    1,
    "linear_svm",
    "hinge",
    "one_versus_one",
    c_grid=(1.0,),
    task="few_shot",
    ways=(5, 10),
    shots=(10, 20),
    draws=10,
    queries=20,
    source="settings of Sharma & Kaul, 'Self-Supervised Few-Shot Learning on Point Clouds', NeurIPS 2020; classifier "
    "and scaling of CrossPoint's eval_fewshot.py; support from train and queries from test, as in Point-BERT's "
    "datasets/generate_few_shot_data.py",
    differs="CrossPoint takes its queries from train; Point-BERT and Point-MAE fine-tune the encoder on the support",
)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol for protocol in (LINEAR_SVM, LOGISTIC, KNN, LABEL_EFFICIENCY, FEW_SHOT, *LITERATURE)
}


def find_protocol(name: str) -> Protocol:
    """The protocol of a name, of a name with its version, or in a ``.json`` file.

    Raises:
        InputError: there is none, or the file's is not valid or calls itself by the name of another.
    """
    if name.endswith(".json"):
        return _from_file(Path(name))
    for protocol in PROTOCOLS.values():
        if name in (protocol.name, protocol.identifier):
            return protocol
    known = ", ".join(PROTOCOLS)
    raise InputError(f"--protocol {name}: unknown{near(name, PROTOCOLS)}; choose from {known}, or give a .json file")


def _from_file(path: Path) -> Protocol:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"--protocol {path}: no such file; give a protocol's name or its .json file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"--protocol {path}: is no JSON ({error})") from None
    if not isinstance(fields, dict):
        raise InputError(f"--protocol {path}: must hold one JSON object with a protocol's fields")
    try:
        protocol = Protocol.from_dict(fields)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"--protocol {path}: {error}") from None
    if protocol.name in PROTOCOLS and protocol != PROTOCOLS[protocol.name]:
        raise InputError(f"--protocol {path}: {protocol.name!r} is the name of a frozen protocol; give yours another")
    return protocol
