"""The tables, as they were laid down before any of their figures was in: question, cells, controls, what matters."""

from __future__ import annotations

from dataclasses import dataclass

ALIGNED_AND_TURNED = ("none", "z")


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: what the command takes.
        question: what it answers.
        cells: the trainings, in the order of its lines.
        pairs: (cell, its control): differences seed by seed.
        matters: the smallest difference in accuracy that would change what we tell users, in points.
        judged: the figure that the question is decided by; the others are told beside it.
        turns: rotation protocols of the probes.
        harm: whether corruption and attack are measured.
    """

    name: str
    question: str
    cells: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    matters: float = 1.0
    judged: str = "mean_z"
    turns: tuple[str, ...] = ALIGNED_AND_TURNED
    harm: bool = False


_BASES = ("vae", "beta-vae", "iwae", "ladder")
_ARCHITECTURES = (
    "vae",  # PointNet, mixture
    "pointnet-chamfer",
    "dgcnn-mixture",
    "dgcnn-chamfer",
    "foldingnet-mixture",
    "foldingnet-chamfer",
)
_ALONE = ("turn", "scale", "jitter", "mild")  # mild: all three, with turns within 15 degrees

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "bases",
            "Does consistency regularization add to each base bound what augmentation alone does not?",
            tuple(f"{base}{more}" for base in _BASES for more in ("", "+aug", "+cr")),
            tuple(
                pair
                for base in _BASES
                for pair in ((f"{base}+cr", f"{base}+aug"), (f"{base}+aug", base), (f"{base}+cr", base))
            ),
        ),
        Table(
            "weight",
            "How much does the weight of the regulariser matter, and does it need the second bound?",
            ("vae+aug", "cr-weight-0.1", "vae+cr", "cr-weight-10", "cr-one-bound"),
            tuple((cell, "vae+aug") for cell in ("cr-weight-0.1", "vae+cr", "cr-weight-10", "cr-one-bound")),
        ),
        Table(
            "transforms",
            "Which transformation carries the effect?",
            tuple(f"{way}-{name}" for name in _ALONE for way in ("aug", "cr")),
            tuple((f"cr-{name}", f"aug-{name}") for name in _ALONE),
        ),
        Table(
            "target",
            "What should the transformed cloud's code reconstruct, and should all of the code agree?",
            (
                "vae+aug",
                "vae+cr",
                "aug-canonical",
                "cr-canonical",
                "aug-canonical-mild",
                "cr-canonical-mild",
                "cr-block",
            ),
            (
                ("vae+cr", "vae+aug"),
                ("cr-canonical", "aug-canonical"),
                ("cr-canonical-mild", "aug-canonical-mild"),
                ("aug-canonical", "vae+aug"),
                ("cr-canonical", "vae+cr"),
                ("cr-block", "vae+cr"),
            ),
        ),
        Table(
            "architectures",
            "Does the effect hold for other encoders and for the Chamfer pseudo-likelihood?",
            tuple(f"{cell}+{way}" for cell in _ARCHITECTURES for way in ("aug", "cr")),
            tuple((f"{cell}+cr", f"{cell}+aug") for cell in _ARCHITECTURES),
        ),
        Table(
            "methods",
            "What do the methods of both papers do to accuracy, and to robustness against turns, damage and attack?",
            ("vae", "se", "avae", "se-avae", "avae-ss", "vae+aug", "vae+cr", "cr-avae"),
            (
                ("se", "vae"),
                ("avae", "vae"),
                ("se-avae", "se"),
                ("avae-ss", "vae"),
                ("vae+cr", "vae+aug"),
                ("cr-avae", "vae+cr"),
            ),
            judged="mean_corrupted",
            harm=True,
        ),
    )
}
