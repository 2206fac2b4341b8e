"""The frozen probe protocols by name: ours, and the literature's."""

from __future__ import annotations

from pointvae.evaluation.linear_probe import C_GRID, FOLDS
from pointvae.evaluation.literature import LITERATURE
from pointvae.evaluation.protocols import Protocol

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
