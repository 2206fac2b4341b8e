"""The literature's linear-SVM settings, read from the released code, for comparison with published figures.

None scales the features. `LinearSVC` (one-versus-rest, squared hinge, regularised intercept) has the objective of our
own solver, which goes to the optimum where `LinearSVC` stops after 1,000 passes; `SVC` (one-versus-one, hinge) is
scikit-learn's.
"""

from __future__ import annotations

from typing import Literal

from pointvae.evaluation.probing.protocols import Protocol


def _published(name: str, kind: Literal["LinearSVC", "SVC"], c: float, source: str, differs: str) -> Protocol:
    if kind == "LinearSVC":
        return Protocol(
            name,
            1,
            "linear_svm",
            "squared_hinge",
            "one_versus_rest",
            scaling="none",
            c_grid=(c,),
            source=source,
            differs=differs,
        )
    return Protocol(
        name, 1, "linear_svm", "hinge", "one_versus_one", scaling="none", c_grid=(c,), source=source, differs=differs
    )


LITERATURE = (
    _published(
        "foldingnet-c1",
        "LinearSVC",
        1.0,
        "AnTao97/UnsupervisedPointCloudReconstruction, svm.py: LinearSVC(random_state=0); the same in "
        "stevenygd/PointFlow, utils.py, validate_classification",
        "2,048 points; pre-trained on ShapeNetCore v2 for a fixed 278 (FoldingNet) or 250 (DGCNN) epochs",
    ),
    _published(
        "occo-c1",
        "SVC",
        1.0,
        "hansen7/OcCo, OcCo_Torch/train_svm.py: SVC(kernel='linear'), scaling commented out",
        "an RBF kernel, with a grid search on demand, is reported beside it",
    ),
    _published(
        "crosspoint-c001",
        "SVC",
        0.01,
        "MohamedAfham/CrossPoint, eval_ssl.ipynb: SVC(C=0.01, kernel='linear'), with the remark that C can be tuned",
        "1,024 points; maximum and mean over points joined; trained with images; train_crosspoint.py keeps the epoch "
        "with the best accuracy on ModelNet40's test split under SVC(C=0.1)",
    ),
    _published(
        "iae-c1",
        "LinearSVC",
        1.0,
        "SimingYan/IAE, downstream_tasks/classification/train_svm.py: LinearSVC(random_state=0)",
        "2,048 points; feature of 1,024",
    ),
    _published(
        "pointmae-c1",
        "LinearSVC",
        1.0,
        "Pang-Yatian/Point-MAE, tools/runner_pretrain.py, evaluate_svm: LinearSVC()",
        "farthest points; the released loop has this validation commented out, the evaluation behind the published "
        "figure was not found",
    ),
    _published(
        "pointm2ae-c0012",
        "SVC",
        0.012,
        "ZrrSkywalker/Point-M2AE, tools/runner_test_svm.py: SVC(C=0.012, kernel='linear'); 0.042 for ScanObjectNN",
        "tools/runner_pretrain.py keeps the epoch that is best on ModelNet40's test split under SVC(C=0.01)",
    ),
    _published(
        "recon-c0075",
        "LinearSVC",
        0.075,
        "qizekun/ReCon, tools/runner_svm.py: LinearSVC(C=0.075)",
        "farthest points; trained with images and text",
    ),
)
"""Each is one classifier with one C; what else its source does stands in ``differs``."""
