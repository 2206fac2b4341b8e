"""The report's section on what distinguishes runs: every figure beside the first run's, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from pointvae.evaluation.report_tables import html_table, percent

FEW = 4  # runs that stand side by side on a page


def section(found: Mapping[str, Any]) -> str:
    """The section of a comparison as HTML."""
    methods = _methods(found)
    runs = _lead(found) + _runs(found)
    if methods and len(found["runs"]) > FEW:
        runs = f"<details><summary>Run by run</summary>{runs}</details>"
    return methods + runs


def _lead(found: Mapping[str, Any]) -> str:
    return (
        f"<p>Every run beside <strong>{escape(found['baseline'])}</strong>, on the same test shapes. The second line "
        "of a cell is the difference and its 95 % interval over test shapes, paired shape by shape; it is in bold "
        "where the interval excludes 0, green where that is for the better. These intervals tell whether "
        "<em>these</em> models differ; whether the <em>methods</em> do takes several training seeds of each.</p>"
    )


def _runs(found: Mapping[str, Any]) -> str:
    rows = []
    for name, facts in found["figures"].items():
        row = [escape(facts["words"]) + (", %" if facts["share"] else "")]
        for run in found["runs"]:
            told = run["figures"][name]
            row.append("–" if told is None else f"{_number(facts, told['mean'])}{_beside(found, run['run'], name)}")
        rows.append(row)
    head = ["mean over test shapes", *(escape(run["run"]) for run in found["runs"])]
    return html_table(head, rows, kind="comparison", figures=range(1, len(head)))


def _beside(found: Mapping[str, Any], run: str, figure: str) -> str:
    for pair in found["pairs"]:
        if pair["run"] == run and pair["figure"] == figure:
            chance = f", p {pair['p_value']:.2g}" if "p_value" in pair else ""
            return "<br>" + _difference(found["figures"][figure], pair) + f"<small>{chance}</small>"
    return ""


def _difference(facts: Mapping[str, Any], pair: Mapping[str, Any]) -> str:
    if pair["interval"] is None:
        return _number(facts, pair.get("difference", pair.get("mean")), signed=True)
    low, high = pair["interval"]
    value = _number(facts, pair.get("difference", pair.get("mean")), signed=True)
    told = f"{_number(facts, low, signed=True)} to {_number(facts, high, signed=True)}"
    if low <= 0 <= high:
        return f"{value} <small>{told}</small>"
    good = (low > 0) == (facts["better"] == "higher")
    return f'<strong class="{"good" if good else "bad"}">{value}</strong> <small>{told}</small>'


def _methods(found: Mapping[str, Any]) -> str:
    methods = found["methods"]
    if not found["method_pairs"] and all(len(method["runs"]) < 2 for method in methods):
        return ""
    rows = []
    for name, facts in found["figures"].items():
        row = [escape(facts["words"]) + (", %" if facts["share"] else "")]
        for method in methods:
            told = method["figures"][name]
            row.append("–" if told is None else _over_seeds(facts, told) + _paired(found, method["method"], name))
        rows.append(row)
    head = [
        "mean over seeds",
        *(f"{escape(m['method'])} <small>{len(m['runs'])} run{'s' * (len(m['runs']) != 1)}</small>" for m in methods),
    ]
    lead = (
        "<p>Would the methods rank the same way if trained again? Runs that differ in their training seed alone are "
        "taken together: mean and standard deviation; beneath, the difference to the first method, paired by seed, "
        "and the 95 % t-interval of its mean, in bold where it excludes 0. With few seeds it is wide.</p>"
    )
    return (
        "<h3>Over training seeds</h3>" + lead + html_table(head, rows, kind="comparison", figures=range(1, len(head)))
    )


def _over_seeds(facts: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    spread = told["standard_deviation"]
    return _number(facts, told["mean"]) + ("" if spread is None else f" <small>± {_number(facts, spread)}</small>")


def _paired(found: Mapping[str, Any], method: str, figure: str) -> str:
    for pair in found["method_pairs"]:
        if pair["method"] == method and pair["figure"] == figure:
            return "<br>" + _difference(found["figures"][figure], pair)
    return ""


def _number(facts: Mapping[str, Any], value: float, *, signed: bool = False) -> str:
    if facts["share"]:
        return f"{100 * value:+.1f}" if signed else percent(value)
    return f"{value:+.3g}" if signed else f"{value:.3g}"
