"""The report's section on latent health: what the codes hold, and whether they can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from pointvae.evaluation.report_tables import drift_table, html_table
from pointvae.evaluation.results import Evaluation
from pointvae.visualization.charts import Series, legend, line_chart

INFORMATION, LIKELIHOOD, FACTORS = "information", "likelihood", "disentanglement"
SCORES = ("disentanglement", "completeness", "informativeness", "mig")

Figures = Mapping[str, Any]


def section(runs: Sequence[Evaluation]) -> str:
    """The section of some runs as HTML."""
    measured = [run for run in runs if "trained" in run.metrics.get(INFORMATION, {})]
    parts = [_health(measured)] if measured else [_left_out(runs, INFORMATION, "No information in the latents")]
    parts += [_spectra(runs), _likelihood_note(runs), _disentanglement(runs)]
    drifting = [run for run in runs if "rounds" in run.metrics.get("drift", {})]
    if drifting:
        parts.append(drift_table(drifting))
    return "".join(parts)


def _health(runs: Sequence[Evaluation]) -> str:
    facts = runs[0].metrics[INFORMATION]
    lead = (
        "<p>What do the codes hold? Latents that have <em>collapsed</em> carry nothing: no dimension is active, and "
        "KL and mutual information are 0, as in the untrained model. The mutual information tells how well a code "
        f"gives away which of the {facts['n_shapes']:,} shapes it came from; it cannot exceed the logarithm of their "
        f"number, and within {_near(facts)} of that it is <em>saturated</em>: the codes hold more than so few shapes "
        "can show, and the rest of the KL is then no fault. Otherwise the rest, the aggregate to the prior, is how "
        "far all codes together lie from where samples are drawn.</p>"
    )
    rows = [[words, *(cell(run) for run in runs)] for words, cell in _ROWS]
    return lead + html_table(
        ["test shapes", *(escape(run.name) for run in runs)],
        [row for row in rows if any(cell != "–" for cell in row[1:])],
        kind="summary",
        figures=range(1, len(runs) + 1),
        caption="Nats a shape, unless said otherwise; ± is a standard error.",
    )


def _near(facts: Figures) -> str:
    return "1 nat" if "1 nat" in str(facts.get("saturation")) else "a little"


def _both(tell: Callable[[Figures], str]) -> Callable[[Evaluation], str]:
    """A cell with the trained model's figure, and the untrained one's beside it."""

    def cell(run: Evaluation) -> str:
        facts = run.metrics[INFORMATION]
        told = f"<strong>{tell(facts['trained'])}</strong>"
        return f"{told}<br><small>untrained {tell(facts['untrained'])}</small>" if "untrained" in facts else told

    return cell


def _units(run: Evaluation) -> str:
    return _both(lambda f: f"{f['active_units']} of {run.metrics[INFORMATION]['dimensions']}")(run)


def _group(run: Evaluation) -> str:
    facts = run.metrics[INFORMATION]
    return f"{facts['dimensions']}<br><small>{escape(facts['group'])}</small>"


def _two(value: float) -> str:
    """Two places, and no minus before a nought."""
    return f"{round(value, 2) + 0.0:.2f}"


def _information(f: Figures) -> str:
    saturated = "<br>saturated" if f["saturated"] else ""
    told = f"{_two(f['mutual_information'])} ± {f['mutual_information_standard_error']:.2f}"
    return f"{told} of {f['ceiling']:.2f}{saturated}"


def _distance(f: Figures) -> str:
    found = f["prior_distance"]
    return (
        f"{_two(1000 * found['mmd2'])} ± {1000 * found['standard_error']:.2f} (chance {1000 * found['null_95']:.2f})"
    )


def _bound(run: Evaluation) -> str:
    found = run.metrics.get(LIKELIHOOD, {})
    if "importance" not in found:
        return "–"
    return f"{-found['importance']['elbo']:.3f} ± {found['importance']['elbo_standard_error']:.3f}"


def _nll(kind: str) -> Callable[[Evaluation], str]:
    def cell(run: Evaluation) -> str:
        found = run.metrics.get(LIKELIHOOD, {}).get(kind)
        if found is None:
            return "–"
        here = found.get("importance_nll_of_these")
        same = "" if here is None else f";<br>importance sampling on these {here:.3f}"
        return (
            f"<strong>{found['nll']:.3f} ± {found['standard_error_over_shapes']:.3f}</strong><br><small>"
            f"{found['effective_samples']:.1f} of {found['draws']} draws count;<br>"
            f"{found['n_shapes']} shapes{same}</small>"
        )

    return cell


def _gain(run: Evaluation) -> str:
    found = run.metrics.get(LIKELIHOOD, {}).get("annealed")
    return "–" if found is None else f"{found['gain']:.3f} ± {found['gain_standard_error']:.3f}"


_ROWS: tuple[tuple[str, Callable[[Evaluation], str]], ...] = (
    ("dimensions measured", _group),
    ("active units", _units),
    ("KL to the prior", _both(lambda f: _two(f["kl"]))),
    ("mutual information of code and shape", _both(_information)),
    ("aggregate to the prior (KL minus information)", _both(lambda f: _two(f["marginal_kl"]))),
    ("of that, common to the dimensions", _both(lambda f: _two(f["total_correlation"]))),
    ("aggregate to the prior, MMD² × 1000", _both(_distance)),
    ("mean posterior deviation, prior 1", _both(lambda f: f"{f['posterior_std']:.3f}")),
    ("minus the bound, nats per point", _bound),
    ("NLL by importance sampling, nats per point", _nll("importance")),
    ("NLL by annealing, nats per point", _nll("annealed")),
    ("annealing's gain on the same shapes", _gain),
)


def _spectra(runs: Sequence[Evaluation]) -> str:
    """KL and mutual information of each dimension, largest first."""
    kl = [(run.name, values) for run in runs if (values := _kl_per_dimension(run))]
    information = [
        (run.name, run.metrics[INFORMATION]["trained"]["mutual_information_per_dimension"])
        for run in runs
        if "trained" in run.metrics.get(INFORMATION, {})
    ]
    panels, lines = "", []
    for title, found in (("KL", kl), ("Mutual information", information)):
        series = [
            Series(name, list(range(1, len(values) + 1)), sorted(values, reverse=True), number, dashed=number > 0)
            for number, (name, values) in enumerate(found)
        ]
        if series:
            lines = series
            full = f"{title} of each latent dimension, largest first"
            chart = line_chart(series, title=full, x_label="dimension, by rank", y_label="nats", steps=True)
            panels += f"<figure><h3>{title} by dimension <small>nats</small></h3>{chart}</figure>"
    if not panels:
        return ""
    return (
        f'{legend(lines) if len(lines) > 1 else ""}<div class="panels">{panels}</div>'
        '<p class="note">A dimension at 0 is unused; '
        "one whose KL is well above its information sits off the prior for every shape alike.</p>"
    )


def _kl_per_dimension(run: Evaluation) -> list[float]:
    for place in (run.metrics.get("latents", {}), run.metrics):
        if "kl_per_dimension" in place:
            return [float(value) for value in place["kl_per_dimension"]]
    return []


def _likelihood_note(runs: Sequence[Evaluation]) -> str:
    if any("importance" in run.metrics.get(LIKELIHOOD, {}) for run in runs):
        return (
            '<p class="note">A NLL is what describing a point costs under the model: lower is better. Both estimates '
            "lie above the true one on average, so of two on the same shapes the lower is nearer; where one or two "
            "draws count, neither is near and differences of a few hundredths mean little.</p>"
        )
    return _left_out(runs, LIKELIHOOD, "No NLL")


def _disentanglement(runs: Sequence[Evaluation]) -> str:
    measured = [run for run in runs if "trained" in run.metrics.get(FACTORS, {})]
    if not measured:
        return _left_out(runs, FACTORS, "No disentanglement")
    facts = measured[0].metrics[FACTORS]
    rows = []
    for run in measured:
        own = run.metrics[FACTORS]
        for subject in ("trained", "untrained"):
            if subject in own:
                name = f"{escape(run.name)}, {subject}" if len(measured) > 1 else subject
                rows.append([name, *_scores(own[subject])])
                rows.append([f"{name}, chance", *_scores(own[f"{subject}_chance"])])
    with_pose = bool(facts["pose_factors"])
    head = ["encoder", "disentanglement", "completeness", "informativeness, shape", "pose", "MIG, shape", "pose"]
    if not with_pose:
        head, rows = [*head[:4], head[5]], [[*row[:4], row[5]] for row in rows]
    pose = f" Pose is {escape(' and '.join(facts['pose_factors']))}: a code blind to it scores 0 there." * with_pose
    return (
        "<h3>Known factors</h3><p>These shapes were built from known numbers. Informativeness: how well a random "
        "forest reads them off the codes of unseen shapes (1 perfectly, 0 as a guess). Disentanglement and "
        "completeness: whether one dimension serves one factor, and one factor one dimension; MIG: by how much the "
        f"best dimension beats the next.{pose}</p>"
        + html_table(
            head,
            rows,
            kind="probes",
            figures=range(1, len(head)),
            caption=f"Within each of {len(facts['classes'])} classes; mean ± deviation between classes. Chance: the "
            "same with the factors permuted.",
        )
    )


def _scores(own: Figures) -> list[str]:
    names = [SCORES[0], SCORES[1], *(f"{name}_{kind}" for name in SCORES[2:] for kind in ("shape", "pose"))]
    return [
        f"{own[name]:.2f} <small>± {own[f'{name}_deviation']:.2f}</small>" if name in own else "–" for name in names
    ]


def _left_out(runs: Sequence[Evaluation], part: str, what: str) -> str:
    reasons = {str(run.metrics[part]["left_out"]) for run in runs if "left_out" in run.metrics.get(part, {})}
    told = "; ".join(sorted(reasons)) or "this evaluation did not measure it"
    return f'<p class="empty">{escape(what)}: {escape(told)}.</p>'
