"""Results for people, on stderr: a table where there is one, plain lines otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from pointvae.errors import printable_tree
from pointvae.glance import glance

FEW = 4  # runs whose figures stand side by side in a terminal


def present(verb: str, result: Mapping[str, Any]) -> None:
    """Show a verb's result."""
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    result = printable_tree(dict(result))
    if verb == "doctor":
        _examination(console, result)
        return
    if verb == "inspect":
        console.print(_splits(result))
    elif verb == "probe":
        console.print(
            accuracy_table(_rows(result), f"{result['protocol']} on frozen features, rotation {result['rotation']}")
        )
    elif verb == "attack":
        console.print(_attacks(result))
        for check in result["checks"]:
            if not check["passed"]:
                figures = f"{check['weaker']:.4g} to {check['stronger']:.4g}"
                told = f"check failed: {check['check']}, {check['norm']}, {check['goal']}: {figures}"
                console.print(told, style="bold", markup=False)
        console.print(
            f"checks of the attack: {sum(c['passed'] for c in result['checks'])} of {len(result['checks'])}"
        )
    elif verb == "evaluate":
        if "rotations" in result.get("probes", {}):
            console.print(accuracy_table(_probed(result)))
        for line in glance(result):
            console.print(line)
        return
    elif verb == "compare":
        several = any(len(method["runs"]) > 1 for method in result["methods"])
        if several:
            console.print(_methods(result))
        if not several or len(result["runs"]) <= FEW:
            console.print(_comparison(result))
    elif verb == "demo":
        console.print(accuracy_table(result["rows"]))
    elif verb == "datasets":
        console.print(_datasets(result))
        for licence in dict.fromkeys(row["licence"] for row in result["datasets"]):
            names = [row["name"] for row in result["datasets"] if row["licence"] == licence]
            console.print(f"{', '.join(names)}: {licence}")
        for row in result["datasets"]:
            for dataset in row["prepared"]:
                console.print(f"prepared: {row['name']} in {dataset}")
    elif verb == "models":
        console.print(_models(result))
        for row in result["models"]:
            cited = f"; cite {row['citation']}" if row["citation"] else ""
            console.print(f"{row['name']}: {row['description']}; {row['licence']}{cited}")
    for name, value in result.items():
        if verb in ("probe", "attack") and name not in (
            "protocol",
            "points",
            "n_train",
            "n_test",
            "n_shapes",
            "seed",
        ):
            continue
        if isinstance(value, float):
            console.print(f"{name}: {value:.5g}", markup=False)
        elif isinstance(value, str | int):
            console.print(f"{name}: {value}", markup=False)
    for hint in result.get("hints", ()):
        console.print(f"hint: {hint}", markup=False)


def _examination(console: Console, result: Mapping[str, Any]) -> None:
    """What the doctor found, a line each; how to mend it beneath, and the verdict last."""
    marks = {"ok": " ", "hint": "?", "fault": "!"}
    for title, findings in result["sections"].items():
        console.print(title, style="bold")
        width = max((len(name) for name in findings), default=0)
        for name, found in findings.items():
            console.print(f"{marks[found['state']]} {name:<{width}}  {found['value']}")
            if found["mend"]:
                console.print(f"  {'':<{width}}  -> {found['mend']}")
    console.print(f"{result['verdict']} ({result['seconds']:.0f} seconds)", style="bold")


def _datasets(result: Mapping[str, Any]) -> Table:
    """The named sets: how large, under which licence, whether here, and what was made of them."""
    caption = "`pointvae prepare NAME DATASET` downloads and prepares one; --json tells all that is known"
    table = Table(title="named sets", caption=caption, box=None, padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True)
    for name in ("shapes", "classes"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("use", "SHA-256", "archive"):
        table.add_column(name, no_wrap=True)
    for row in result["datasets"]:
        here = "here" if row["downloaded"] else "gated" if row["steps"] else "" if not row["archive"] else "to fetch"
        shapes = "" if row["shapes"] is None else f"{row['shapes']:,}"
        use = "research" if row["research_only"] else "any"
        checksum = "" if row["checksum"] == "none" else row["checksum"]
        table.add_row(row["name"], shapes, str(row["classes"]), use, checksum, here)
    return table


def _models(result: Mapping[str, Any]) -> Table:
    """The models that come with the package: of what, how large, how good, for which use."""
    caption = "`pointvae embed pretrained:NAME chair.stl out.npz` uses one; SVM: linear, % of its data's test shapes"
    table = Table(title="bundled models", caption=caption, box=None, padding=(0, 2, 0, 0))
    for name in ("name", "data", "encoder"):
        table.add_column(name, no_wrap=True)
    for name in ("latents", "MB", "SVM (untrained)"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("use", no_wrap=True)
    for row in result["models"]:
        right = f"{100 * row['accuracy']:.1f} ({100 * row['untrained_accuracy']:.1f})"
        use = "research" if row["research_only"] else "any"
        size = f"{row['bytes'] / 1e6:.1f}"
        table.add_row(row["name"], row["data"], row["encoder"], str(row["latent_dim"]), size, right, use)
    return table


def _splits(result: Mapping[str, Any]) -> Table:
    """Shapes of each class and split."""
    table = Table(title="shapes")
    table.add_column("class")
    splits = result["splits"]
    for split in splits:
        table.add_column(split, justify="right")
    for name in result["classes"]:
        table.add_row(name, *[str(s["classes"].get(name, 0)) for s in splits.values()])
    table.add_row("all", *[str(s["shapes"]) for s in splits.values()], style="bold")
    return table


def _attacks(result: Mapping[str, Any]) -> Table:
    """Accuracy under attack with 95 % intervals, under random moves, and how far the code goes, by radius."""
    title = "under attack: shapes still right in %, with the 95 % interval, beside noise of the same size"
    told = "way: how far the code goes, in spreads of all codes"
    table = Table(title=title, caption=told, box=None, padding=(0, 2, 0, 0))
    for name in ("norm", "goal", "radius"):
        table.add_column(name, no_wrap=True)
    for name in ("trained", "noise", "way", "untrained", "noise", "way"):
        table.add_column(name, justify="right", no_wrap=True)
    names = list(result["subjects"])
    clean = ["", "none", "0"]
    for name in names:
        clean += [_share(result["subjects"][name]["clean"], interval=name == "trained"), "", "0"]
    table.add_row(*clean, end_section=True)
    for norm in result["norms"]:
        for goal in result["goals"]:
            for index, radius in enumerate(result["radii"]):
                cells = [norm, goal, f"{radius:g}"]
                for name in names:
                    row = result["subjects"][name][norm][goal][index]
                    cells += [_share(row, interval=name == "trained"), _share(row["noise"], interval=False)]
                    cells.append(f"{row['way_in_spreads']:.2f}")
                table.add_row(*cells, end_section=index == len(result["radii"]) - 1)
    return table


def _share(row: Mapping[str, Any], *, interval: bool) -> str:
    if "accuracy" not in row:
        return "–"
    low, high = row["accuracy_interval"]
    return f"{100 * row['accuracy']:.1f}" + (f" ({100 * low:.0f}, {100 * high:.0f})" if interval else "")


def _rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each feature that was probed, and each setting of a protocol with several."""
    rows = [{**result, **probe} for probe in result.get("probes", [result])]
    return [{**row, **setting} for row in rows for setting in row.get("settings", [{}])]


def setting_words(row: Mapping[str, Any]) -> str:
    """A setting of a protocol with several, such as ``5-way 10-shot``; empty of one without."""
    if "ways" in row:
        return f"{row['ways']}-way {row['shots']}-shot"
    return f"{100 * row['share']:g} % of labels" if "share" in row else ""


def _probed(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every linear probe of an evaluation."""
    return [
        {"run": result["run"], "rotation": rotation, **probe}
        for rotation, found in result["probes"]["rotations"].items()
        for probe in found["probes"]
    ]


def _comparison(result: Mapping[str, Any]) -> Table:
    """Each figure of every run, with its difference to the first run's."""
    pairs = {(pair["run"], pair["figure"]): pair for pair in result["pairs"]}
    columns = {run["run"]: run["figures"] for run in result["runs"]}
    table = _side_by_side(result, columns, pairs, "difference")
    table.title = "means over test shapes; in brackets the difference to the first run"
    table.caption = "*: the 95 % interval over test shapes excludes 0; of methods that takes several seeds of each"
    return table


def _methods(result: Mapping[str, Any]) -> Table:
    """Mean and deviation of each figure over training seeds, with the difference to the first method."""
    pairs = {(pair["method"], pair["figure"]): pair for pair in result["method_pairs"]}
    columns = {method["method"]: method["figures"] for method in result["methods"]}
    table = _side_by_side(result, columns, pairs, "mean")
    table.title = "mean ± deviation over training seeds; in brackets the difference to the first method"
    table.caption = "*: the 95 % t-interval of the differences, paired by seed, excludes 0"
    return table


def _side_by_side(
    result: Mapping[str, Any],
    columns: Mapping[str, Mapping[str, Any]],
    pairs: Mapping[tuple[str, str], Mapping[str, Any]],
    difference: str,
) -> Table:
    """A row for each figure that two columns have; shares in per cent."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for name, facts in result["figures"].items():
        if sum(figures[name] is not None for figures in columns.values()) < 2:
            continue
        cells = []
        for column, figures in columns.items():
            told, pair = figures[name], pairs.get((column, name))
            if told is None:
                cells.append("")
                continue
            spread = told.get("standard_deviation")
            words = _figure(facts, told["mean"]) + (f" ± {_figure(facts, spread)}" if spread is not None else "")
            if pair is not None and pair["interval"] is not None:
                low, high = pair["interval"]
                words += f" ({_figure(facts, pair[difference], '+')}{'' if low <= 0 <= high else ' *'})"
            cells.append(words)
        table.add_row(facts["words"] + (", %" if facts["share"] else ""), *cells)
    return table


def _figure(facts: Mapping[str, Any], value: float, sign: str = "") -> str:
    return f"{100 * value:{sign}.1f}" if facts["share"] else f"{value:{sign}.3g}"


def accuracy_table(rows: Sequence[Mapping[str, Any]], title: str = "linear SVM on frozen features") -> Table:
    """Accuracy of frozen features in percent, with 95 % intervals, beside the untrained encoder."""
    table = Table(title=f"{title}: accuracy in %, with its 95 % interval")
    several = any(setting_words(row) for row in rows)
    for name in ("feature", "setting") if several else ("run", "feature", "rotation"):
        table.add_column(name, no_wrap=True)
    for name in ("trained", "untrained"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        cells = [str(row["run"]), str(row["feature"]).replace("_", " "), str(row["rotation"])]
        cells = [cells[1], setting_words(row)] if several else cells
        if "left_out" in row:
            table.add_row(*cells, "left out", "")
            continue
        for prefix in ("", "untrained_"):
            low, high = row[f"{prefix}accuracy_interval"]
            cells.append(f"{100 * row[f'{prefix}accuracy']:.1f} ({100 * low:.1f}, {100 * high:.1f})")
        table.add_row(*cells)
    return table
