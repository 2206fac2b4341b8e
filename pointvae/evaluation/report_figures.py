"""The report's pictures: curves, what the latents carry, shapes and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from pointvae.evaluation.report_tables import FEATURE_WORDS, ROTATION_WORDS
from pointvae.evaluation.results import Evaluation, Gallery
from pointvae.visualization.charts import Series, legend, line_chart
from pointvae.visualization.clouds import Frame, cloud_svg
from pointvae.visualization.confusion import confusion_svg, most_confused
from pointvae.visualization.intervals import Measured, interval_chart
from pointvae.visualization.map_svg import map_html

CURVES = (  # name, columns of metrics.csv by kind, unit
    ("Loss", "loss", "nats a shape"),
    ("Reconstruction term", "reconstruction", "nats a shape"),
    ("KL to the prior", "kl", "nats a shape"),
    ("Consistency term", "consistency", "nats a shape"),
    ("Reconstruction error", "cd_l2_mean", "cd_l2_mean"),
    ("Active units", "active_units", "dimensions"),
    ("Consistency gap", "consistency_gap", "nats a shape"),
    ("Mean posterior deviation", "posterior_std", "prior = 1"),
)


def probe_chart(runs: Sequence[Evaluation]) -> str:
    """Every probe's accuracy with its interval, above the untrained model's."""
    groups = []
    for rotation, result in runs[0].metrics["probes"]["rotations"].items():
        for index, first in enumerate(result["probes"]):
            probes = [run.metrics["probes"]["rotations"][rotation]["probes"][index] for run in runs]
            members = [
                _measured(run.name, probe, "", number)
                for number, (run, probe) in enumerate(zip(runs, probes, strict=True))
            ]
            same = all(probe["untrained_accuracy"] == first["untrained_accuracy"] for probe in probes)
            for number, (run, probe) in enumerate(zip(runs, probes, strict=True)):
                if number == 0 or not same:
                    name = "untrained" if same else f"untrained {run.name}"
                    members.append(_measured(name, probe, "untrained_", 5 if same else number))
            groups.append((f"{ROTATION_WORDS[rotation]}, {FEATURE_WORDS[first['feature']]}", members))
    return interval_chart(groups, title="Accuracy of the linear probes with 95 % intervals", x_label="accuracy, %")


def _measured(name: str, probe: dict[str, Any], prefix: str, colour: int) -> Measured:
    low, high = probe[f"{prefix}accuracy_interval"]
    return Measured(name, 100 * probe[f"{prefix}accuracy"], 100 * low, 100 * high, colour, hollow=bool(prefix))


def confusion(run: Evaluation) -> str:
    """The confusion matrix of the aligned posterior mean, and its most frequent confusions."""
    probe = next(iter(run.metrics["probes"]["rotations"].values()))
    matrix = probe["confusion_matrix"]
    pairs = most_confused(matrix, run.classes)
    items = "".join(
        f"<li>{escape(true)} taken for {escape(taken)}: {count} of {size}</li>" for true, taken, count, size in pairs
    )
    told = f"Most frequent: <ul>{items}</ul>" if pairs else "No test shape was confused."
    title = f"Confusion matrix of {run.name}; the most frequent confusions are listed beneath"
    return (
        f'<figure><div class="scroll">{confusion_svg(matrix, run.classes, title=title)}</div>'
        f"<figcaption>Rows: true class; columns: predicted; shade: share of the row. {told}</figcaption></figure>"
    )


def curves(runs: Sequence[Evaluation]) -> str:
    """Loss terms and measures over the epochs, training dashed, held-out solid."""
    panels = ""
    for title, name, unit in CURVES:
        series = []
        for number, run in enumerate(runs):
            for kind, dashed in (("train", True), ("val", False)):
                rows = [row for row in run.history if f"{kind}/{name}" in row]
                if rows:
                    label = f"{run.name}, {'train' if dashed else 'held out'}"
                    x, y = [row["epoch"] for row in rows], [row[f"{kind}/{name}"] for row in rows]
                    series.append(Series(label, x, y, number, dashed))
        values = [value for line in series for value in line.y]
        if values:
            log = name not in ("active_units", "posterior_std") and min(values) > 0 and max(values) > 15 * min(values)
            scale = ", log scale" if log else ""
            drawn = line_chart(series, title=f"{title} by epoch", x_label="epoch", y_label=unit, log=log)
            panels += f"<figure><h3>{title} <small>{unit}{scale}</small></h3>{drawn}</figure>"
    if not panels:
        return '<p class="empty">The run folder holds no metrics.csv, so there are no curves.</p>'
    lines = [
        Series(f"{run.name}, {word}", [], [], number, dashed)
        for number, run in enumerate(runs)
        for word, dashed in (("held out", False), ("train", True))
    ]
    return (
        f'{legend(lines)}<div class="panels">{panels}</div>'
        '<p class="note">The loss is each objective\'s own sum, and the gap is '
        "under each run's own transformations: compare these two within a run only.</p>"
    )


def reconstructions(runs: Sequence[Evaluation], galleries: Sequence[Gallery]) -> str:
    """Each shape, what every run makes of it, and the errors; all drawn to the shape's own scale."""
    tiles = ""
    for index, name in enumerate(galleries[0].names):
        frame = Frame.of(galleries[0].inputs[index])
        parts = [_role(cloud_svg(galleries[0].inputs[index], f"{name}, input", frame), "input", "given")]
        told = []
        for run, gallery in zip(runs, galleries, strict=True):
            error = f"{gallery.cd_l2_mean[index]:.4f}"
            label = run.name if len(runs) > 1 else "reconstruction"
            svg = cloud_svg(gallery.outputs[index], f"{name}, reconstructed by {run.name}, error {error}", frame)
            parts.append(_role(svg, label, "made"))
            told.append(error if len(runs) == 1 else f"{escape(run.name)} {error}")
        caption = f"{escape(name)} · cd_l2_mean {', '.join(told)}"
        pair = f'<div class="pair">{"".join(parts)}</div>'
        tiles += f'<figure class="tile">{pair}<figcaption>{caption}</figcaption></figure>'
    width = 108 * (1 + len(runs))
    return f'<div class="gallery" style="--tile:{width}px">{tiles}</div>'


def _role(svg: str, label: str, kind: str) -> str:
    return f'<div>{svg.replace("cloud", f"cloud {kind}", 1)}<div class="role">{escape(label)}</div></div>'


def latent_map(run: Evaluation) -> str:
    """The run's test shapes in the plane."""
    data = run.latent_map
    how = {
        "pca": "the two directions of largest variance (PCA)",
        "tsne": "t-SNE, which keeps neighbours together; distances between groups mean nothing",
    }[data.method]
    of = f"{len(data.names):,} of {data.of:,}" if len(data.names) < data.of else f"All {data.of:,}"
    title = f"Map of the posterior means of {len(data.names)} test shapes of {run.name}"
    drawn = map_html(data.places, data.labels, run.classes, data.names, data.clouds, title=title)
    return f'{drawn}<p class="note">{of} shapes, posterior means, laid out by {how}.</p>'


def samples(run: Evaluation) -> str:
    """Draws from the prior."""
    tiles = "".join(
        cloud_svg(cloud, f"sample {number} of {run.name}").replace("cloud", "cloud made", 1)
        for number, cloud in enumerate(run.samples, 1)
    )
    return f'<div class="strip">{tiles}</div>'


def interpolation(run: Evaluation) -> str:
    """The way between two test shapes, the shapes themselves at its ends."""
    frame = Frame.of(run.path_ends.reshape(-1, 3))
    steps = [
        cloud_svg(cloud, f"step {number} of {len(run.path)} from {run.path_names[0]} to {run.path_names[1]}", frame)
        for number, cloud in enumerate(run.path, 1)
    ]
    ends = [
        cloud_svg(cloud, name, frame).replace("cloud", "cloud given", 1)
        for cloud, name in zip(run.path_ends, run.path_names, strict=True)
    ]
    made = "".join(step.replace("cloud", "cloud made", 1) for step in steps)
    return (
        f'<figure><div class="strip">{ends[0]}{made}{ends[1]}</div><figcaption>{escape(run.path_names[0])} (first) '
        f"to {escape(run.path_names[1])} (last): the shapes themselves at the ends, decoded latents between them."
        "</figcaption></figure>"
    )
