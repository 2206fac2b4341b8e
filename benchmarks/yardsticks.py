"""What others have published: linear SVM on frozen features, ModelNet40, with all that is known of each protocol.

Figures are those of the papers, or of later papers' tables where these disagree. The other fields come from the
released code and from what authors wrote in public; `UNKNOWN` stands where neither told. Nothing is guessed.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

UNKNOWN = "not stated"
SHAPENET = "ShapeNet55"


@dataclass(frozen=True)
class Yardstick:
    """One row of the comparison, field by field a column."""

    method: str
    accuracy: str
    pretrained_on: str = UNKNOWN
    labels: str = "none"
    encoder: str = UNKNOWN
    points: str = UNKNOWN
    inputs: str = "points"
    classifier: str = f"linear SVM, C {UNKNOWN}"
    chosen_c: str = UNKNOWN
    chosen_epoch: str = UNKNOWN
    feature: str = UNKNOWN
    seeds: str = UNKNOWN


HEADINGS = (
    "method",
    "accuracy, %",
    "pre-trained on",
    "labels seen",
    "encoder",
    "points",
    "input",
    "classifier and C",
    "how C was chosen",
    "how the epoch was chosen",
    "feature",
    "seeds",
)
assert len(HEADINGS) == len(fields(Yardstick))

LINEAR_SVC_1 = "LinearSVC, C = 1, unscaled"
DEFAULT = "the library's default"

YARDSTICKS = (
    Yardstick("3D-GAN", "83.3", SHAPENET, encoder="3D convolutions (its discriminator)", points="-", inputs="voxels"),
    Yardstick("Latent-GAN", "83.7 or 85.7, sources disagree", SHAPENET, encoder="PointNet", feature="bottleneck"),
    Yardstick("PointGrow", "83.8", SHAPENET),
    Yardstick("MRTNet-VAE", "86.4", SHAPENET, feature="three layers, max-pooled and joined"),
    Yardstick(
        "PointFlow (VAE)",
        "86.8",
        SHAPENET,
        encoder="PointNet",
        points="2,048",
        classifier=LINEAR_SVC_1,
        chosen_c=DEFAULT,
        feature="the latent: encoded without noise, or one draw of the posterior",
    ),
    Yardstick(
        "FoldingNet",
        "88.4 (ModelNet10 94.4)",
        SHAPENET,
        encoder="graph max-pooling, k = 16",
        points="2,048",
        classifier=f"{LINEAR_SVC_1} (re-implementation, which also gets 88.4)",
        chosen_c=DEFAULT,
        chosen_epoch="fixed, 278",
        feature="codeword of 512",
    ),
    Yardstick("MAP-VAE", "88.4 or 90.2, sources disagree", SHAPENET),
    Yardstick(
        "FoldingNet decoder, DGCNN encoder",
        "91.0",
        SHAPENET,
        encoder="DGCNN, k = 20",
        points="2,048",
        classifier=LINEAR_SVC_1,
        chosen_c=DEFAULT,
        chosen_epoch="fixed, 250",
        feature="codeword of 512",
        seeds=f"{UNKNOWN}; the best of 12 variants, 89.6 to 91.0, all shown on test",
    ),
    Yardstick(
        "untrained DGCNN",
        "69.5 to 73.0",
        "nothing",
        encoder="DGCNN, k = 20 to 40",
        points="2,048",
        classifier=LINEAR_SVC_1,
        chosen_c=DEFAULT,
        chosen_epoch="-",
        feature="codeword of 512",
    ),
    Yardstick(
        "CrossPoint (DGCNN; images too)",
        "91.2 (reproduced near 90)",
        SHAPENET,
        encoder="DGCNN",
        points="1,024",
        inputs="points; rendered images in pre-training",
        classifier="SVC, C = 0.01, unscaled",
        chosen_c='"can be tuned"',
        chosen_epoch="**best on the test split** (under SVC, C = 0.1)",
        feature="maximum and mean over points, joined",
        seeds="mean of several runs, as an author says",
    ),
    Yardstick(
        "PoCCA (DGCNN)",
        "91.7",
        SHAPENET,
        encoder="DGCNN",
        points="1,024",
        classifier="SVC, C = 0.006; min-max, standard and robust scaling side by side",
        chosen_c='"can be tuned"; the code scores all three scalings on test',
        chosen_epoch=f"{UNKNOWN}; the code scores every fifth epoch on test",
        feature="maximum over points",
    ),
    Yardstick(
        "IAE (DGCNN)",
        "92.1",
        SHAPENET,
        encoder="DGCNN",
        points="2,048",
        inputs="points; an implicit function of the surface as target",
        classifier=LINEAR_SVC_1,
        chosen_c=DEFAULT,
        chosen_epoch="best by the pre-training's own score (trainer)",
        feature="maximum over points, 1,024",
    ),
    Yardstick(
        "PointGLR (on ModelNet40 itself, normals)",
        "92.2 to 93.0",
        "ModelNet40 train",
        encoder="PointNet++ or RS-CNN, 1 to 5 times as wide",
        points="1,024, farthest",
        inputs="points; normals as target",
        classifier=LINEAR_SVC_1,
        chosen_c=DEFAULT,
        chosen_epoch="**best on the test split**",
        feature="maximum over points of several layers, joined",
        seeds=f"{UNKNOWN}; runs differ by 0.2 to 0.5, as the authors say",
    ),
    Yardstick(
        "Point-MAE", "91.0", SHAPENET, encoder="transformer", classifier=f"linear SVM, C {UNKNOWN} (by others)"
    ),
    Yardstick(
        "Point-M2AE",
        "92.9",
        SHAPENET,
        encoder="hierarchical transformer",
        points="1,024",
        classifier="SVC, C = 0.012, unscaled",
        chosen_c=f"{UNKNOWN}; 0.042 for another data set",
        chosen_epoch="**best on the test split** (under SVC, C = 0.01)",
        feature="maximum plus mean over tokens, 384",
    ),
    Yardstick(
        "Point-JEPA (best from points alone)",
        "93.7",
        SHAPENET,
        encoder="transformer",
        points="1,024",
        classifier="SVC, C = 0.012, unscaled",
        chosen_c="taken from Point-M2AE",
        chosen_epoch=f"{UNKNOWN}; the code logs accuracy on test as it trains",
        feature="maximum and mean over tokens, joined, 768",
        seeds="± 0.2; the script evaluates one checkpoint ten times",
    ),
    Yardstick(
        "CrossJEPA (2D teacher)",
        "94.2",
        SHAPENET,
        labels="none of shapes; its teacher is a frozen DINOv2",
        encoder="transformer",
        inputs="points; rendered images in pre-training",
    ),
)

ROTATED = (  # supervised, z/z, z/SO(3), SO(3)/SO(3)
    ("DGCNN", "92.2", "20.6", "81.1"),
    ("LocoTrans", "91.6", "91.6", "91.5"),
)


def markdown(rows: list[Yardstick]) -> str:
    """The rows as a Markdown table."""
    lines = [f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(astuple(row))} |" for row in rows)])
