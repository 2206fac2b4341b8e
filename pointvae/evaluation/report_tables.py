"""The report's tables: what was trained on what, the figures at a glance, the probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pointvae.evaluation.results import Evaluation

ROTATION_WORDS = {
    "none": "aligned",
    "z": "rotated about up (z/z)",
    "z/so3": "trained z, tested freely (z/SO(3))",
    "so3": "rotated freely (SO(3)/SO(3))",
}
FEATURE_WORDS = {"posterior_mean": "posterior mean", "encoder": "encoder feature"}


def html_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    kind: str = "",
    caption: str = "",
    figures: Sequence[int] = (),
) -> str:
    """A table of cells that are HTML already; the first of each row is its heading.

    Args:
        head: the columns' names.
        rows: the cells.
        kind: CSS classes.
        caption: what the table tells.
        figures: columns of numbers, set to the right.
    """
    style = ["figure" if column in figures else "" for column in range(len(head))]
    top = "".join(f'<th scope="col" class="{s}">{cell}</th>' for s, cell in zip(style, head, strict=True))
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f'<td class="{s}">{cell}</td>' for s, cell in zip(style[1:], row[1:], strict=True))
        + "</tr>"
        for row in rows
    )
    told = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table class="{kind}">{told}<thead><tr>{top}</tr></thead><tbody>{body}</tbody>'
        "</table></div>"
    )


def percent(share: float) -> str:
    """A share as per cent, to one place."""
    return f"{100 * share:.1f}"


PROBES = ("probes", "rotations")
SVM = ("probes", 0)
GLANCE = (  # words, the way to the figure, the way to the untrained model's; shares, told in per cent
    ("linear SVM, aligned", (*PROBES, "none", *SVM, "accuracy"), (*PROBES, "none", *SVM, "untrained_accuracy")),
    ("rotated about up, z/z", (*PROBES, "z", *SVM, "accuracy"), (*PROBES, "z", *SVM, "untrained_accuracy")),
    ("turned freely, z/SO(3)", (*PROBES, "z/so3", *SVM, "accuracy"), (*PROBES, "z/so3", *SVM, "untrained_accuracy")),
    ("SO(3)/SO(3)", (*PROBES, "so3", *SVM, "accuracy"), (*PROBES, "so3", *SVM, "untrained_accuracy")),
    (
        "wrong under 15 corruptions",
        ("corruptions", "scores", "trained", "posterior_mean", "mean_error"),
        ("corruptions", "scores", "untrained", "posterior_mean", "mean_error"),
    ),
    (
        "retrieval, mAP",
        ("retrieval", "aligned", "trained", "posterior_mean", "cosine", "map"),
        ("retrieval", "aligned", "untrained", "posterior_mean", "cosine", "map"),
    ),
)


def summary_table(runs: Sequence[Evaluation]) -> str:
    """The main figures, a column for each run."""
    rows = []
    for words, trained, untrained in GLANCE:
        if any(_dig(run, trained) is not None for run in runs):
            rows.append([f"{words}, %", *(_beside(_dig(run, trained), _dig(run, untrained)) for run in runs)])
    rows += [
        [words, *(_told(run, form) for run in runs)]
        for words, form in (
            ("reconstruction error, cd_l2_mean", "{cd_l2_mean:.4f}"),
            ("active units", "{active_units} of {latent_dim}"),
            ("KL to the prior, nats", "{kl:.1f}"),
            ("consistency gap, nats", "{consistency_gap:.2f}"),
        )
    ]
    head = ["test shapes", *(escape(run.name) for run in runs)]
    return html_table(head, rows, kind="summary", figures=range(1, len(head)))


def _dig(run: Evaluation, path: Sequence[str | int]) -> float | None:
    """The figure at the end of a way through the metrics; None where the way breaks off."""
    value: Any = run.metrics
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError):
            return None
    return None if value is None else float(value)


def _told(run: Evaluation, form: str) -> str:
    """Headline figures in words; a dash where their part was not measured."""
    try:
        return form.format(**run.metrics)
    except (KeyError, TypeError):  # TypeError: null, where it was no number
        return "–"


def _beside(trained: float | None, untrained: float | None) -> str:
    if trained is None:
        return "–"
    told = "" if untrained is None else f" <small>untrained {percent(untrained)}</small>"
    return f"<strong>{percent(trained)}</strong>{told}"


def facts_table(runs: Sequence[Evaluation]) -> str:
    """What was trained: a row for each setting, a column for each run, differences shaded."""
    columns = [_facts(run) for run in runs]
    names = list(dict.fromkeys(name for facts in columns for name in facts))
    body = ""
    for name in names:
        values = [facts.get(name, "–") for facts in columns]
        kind = ' class="differs"' if len(set(values)) > 1 else ""
        cells = "".join(f"<td{kind}>{escape(value)}</td>" for value in values)
        body += f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    head = "".join(f'<th scope="col">{escape(run.name)}</th>' for run in runs)
    return (
        f'<div class="scroll"><table class="facts"><thead><tr><th scope="col">setting</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _facts(run: Evaluation) -> dict[str, str]:
    model, config = run.config["model"], run.config
    facts = {"objective": in_words(config.get("objective", "unknown"))}
    for part in ("encoder", "decoder", "likelihood"):
        facts[part] = f"{model[part]}{_arguments(model.get(f'{part}_args') or {})}"
    own = {name: model[name] for name in ("anchors", "local_dims", "neighbours", "width") if name in model}
    facts["model"] = f"{config.get('model_class', 'PointVAE')}{_arguments(own)}"
    facts["latent dimensions"] = str(model["latent_dim"])
    facts["parameters"] = f"{run.metrics['parameters']:,}"
    if "refined_from" in config:
        facts["refined from"] = str(config["refined_from"]["name"])
    for name, key in (
        ("epochs", "epochs"),
        ("shapes a step", "batch_size"),
        ("points of a shape", "points"),
        ("learning rate", "learning_rate"),
        ("schedule", "schedule"),
        ("decay of the weights' average", "ema"),
        ("held out of train", "validation_fraction"),
        ("seed", "seed"),
        ("pointvae", "version"),
    ):
        if key in config:
            facts[name] = str(config[key])
    return facts


def in_words(described: Any) -> str:
    """An object's description (class and arguments) as the Python that makes it: ``RotateUp(degrees=15)``."""
    if isinstance(described, Mapping) and "class_path" in described:
        name = str(described["class_path"]).split(".")[-1]
        return f"{name}{_arguments(described.get('init_args') or {}) or '()'}"
    if isinstance(described, list | tuple):
        return f"[{', '.join(in_words(part) for part in described)}]"
    return str(described)


def _arguments(arguments: Mapping[str, Any]) -> str:
    told = ", ".join(f"{name}={in_words(value)}" for name, value in arguments.items())
    return f"({told})" if told else ""


def drift_table(runs: Sequence[Evaluation]) -> str:
    """How far codes drift over rounds of decoding and encoding: some rows for each run, a column for each round."""
    rounds = runs[0].metrics["drift"]["rounds"]
    rows = []
    for run in runs:
        drift, name = run.metrics["drift"], f"{escape(run.name)}: " if len(runs) > 1 else ""
        way = [f"{value:.2f}" for value in drift["distance_to_start"]]
        rows.append([f"{name}way from the start, prior deviations", "0", *way])
        for key, words in (("kl_to_start", "KL to the start, nats"), ("kl_step", "KL to the round before, nats")):
            rows.append([name + words, "–", *(f"{value:.1f}" for value in drift[key])])
        if "probe_accuracy" in drift:
            rows.append([f"{name}frozen linear SVM, %", *(percent(share) for share in drift["probe_accuracy"])])
    head = ["drift after rounds of decoding and encoding", *(str(number) for number in range(rounds + 1))]
    caption = (
        "Self-consistency: the posterior mean of each test shape is decoded and encoded again and again. KLs are in "
        "widths of each run's own posterior; the way compares runs."
    )
    return html_table(head, rows, kind="drift", caption=caption, figures=range(1, len(head)))


def dataset_table(run: Evaluation) -> str:
    """The dataset's card in short, and what was used of it."""
    card, metrics = run.card, run.metrics
    splits = ", ".join(f"{name} {facts['shapes']:,}" for name, facts in card["splits"].items() if facts["shapes"])
    rows = [
        ["name", escape(metrics["dataset"]["name"])],
        ["source", escape(metrics["dataset"]["source"])],
        ["shapes", escape(splits)],
        ["classes", str(len(run.classes) or "none")],
        ["points of a shape", f"{card['points']}, of which {metrics['points']} are seen here"],
        ["up, size", f"z up, normalised to: {escape(str(card.get('normalize', 'unknown')))}"],
        ["licence", escape(str(card.get("licence", "unknown")))],
        ["sha256 of its shards", f"<code>{metrics['dataset']['sha256'][:16]}…</code>"],
        ["evaluated on", f"{metrics['n_shapes']:,} shapes of the {escape(metrics['split'])} split"],
    ]
    return html_table(["dataset", ""], rows, kind="facts")


def probe_table(runs: Sequence[Evaluation]) -> str:
    """Every probe: a row for each rotation, feature and run."""
    head = ["shapes", "feature", "run", "trained, %", "untrained, %", "gain, points", "class mean, %", "C"]
    rows = []
    for rotation in runs[0].metrics["probes"]["rotations"]:
        for index, feature in enumerate(
            p["feature"] for p in runs[0].metrics["probes"]["rotations"][rotation]["probes"]
        ):
            for run in runs:
                probe = run.metrics["probes"]["rotations"][rotation]["probes"][index]
                rows.append(_probe_row(ROTATION_WORDS[rotation], FEATURE_WORDS[feature], run.name, probe))
    if len(runs) == 1:
        head, rows = [*head[:2], *head[3:]], [[*row[:2], *row[3:]] for row in rows]
    return html_table(head, rows, kind="probes", figures=range(len(head) - 5, len(head)))


def _probe_row(rotation: str, feature: str, name: str, probe: Mapping[str, Any]) -> list[str]:
    low, high = probe["gain_interval"]
    sign = "good" if low > 0 else "bad" if high < 0 else ""
    return [
        escape(rotation),
        f"{escape(feature)} <small>{probe['dimension']}</small>",
        escape(name),
        f"<strong>{percent(probe['accuracy'])}</strong> {_interval(probe['accuracy_interval'])}",
        f"{percent(probe['untrained_accuracy'])} {_interval(probe['untrained_accuracy_interval'])}",
        f'<span class="{sign}">{100 * probe["gain"]:+.1f}</span> '
        f"<small>{100 * low:+.1f} to {100 * high:+.1f}</small>",
        percent(probe["mean_class_accuracy"]),
        f"{probe['C']:g} <small>untrained {probe['untrained_C']:g}</small>",
    ]


def _interval(ends: Sequence[float]) -> str:
    return f"<small>{percent(ends[0])} to {percent(ends[1])}</small>"


def class_table(run: Evaluation) -> str:
    """Accuracy of the posterior mean by class, trained and untrained, in every rotation probed."""
    probes = run.metrics["probes"]["rotations"]
    first = next(iter(probes.values()))
    sizes = [sum(row) for row in first["confusion_matrix"]]
    head = ["class", "test shapes"]
    for rotation in probes:
        head += [f"{ROTATION_WORDS[rotation]}, %", "untrained, %"]
    rows = []
    for name, size in zip(run.classes, sizes, strict=True):
        row = [escape(name), str(size)]
        for probe in probes.values():
            for prefix in ("", "untrained_"):
                share = probe[f"{prefix}per_class_accuracy"][name]
                row.append("–" if share is None else percent(share))
        rows.append(row)
    return html_table(head, rows, kind="classes-table", figures=range(1, len(head)))
