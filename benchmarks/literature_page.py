"""What docs/literature.md shows of results/literature.csv and results/modelnet40.csv.

python benchmarks/literature_page.py            print the blocks
python benchmarks/literature_page.py --write    put them in their places in docs/literature.md
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from literature import QUICK, RESULTS, UNTRAINED, groups
from yardsticks import ROTATED, YARDSTICKS, Yardstick, markdown

import modelnet40
from blocks import fill
from pointvae.evaluation.probing.literature import LITERATURE
from pointvae.evaluation.probing.protocols import Protocol
from pointvae.evaluation.probing.registry import LINEAR_SVM
from runs import ROOT, read_rows

PAGE = ROOT / "docs" / "literature.md"
NAMES = {
    UNTRAINED: "untrained PointNet",
    "vae": "VAE",
    "vae-aug": "VAE + augmentation",
    "cr-vae": "CR-VAE",
    "cr-vae-canonical": "CR-VAE, canonical target",
}
FEATURES = {"encoder": "encoder feature, 1,024", "posterior_mean": "posterior mean, 256"}
FITTED = [[LINEAR_SVM], *groups(LITERATURE)]  # protocols of one classifier stand in one row
Matrix = npt.NDArray[np.float64]
Figures = dict[tuple[str, str, str, str], float]  # method, seed, feature, protocol: percent


def measured() -> Figures:
    """Every accuracy in percent; those of our protocol from results/modelnet40.csv, where all seeds are."""
    found = {
        (r["method"], r["seed"], r["feature"], r["protocol"]): 100 * float(r["accuracy"]) for r in read_rows(RESULTS)
    }
    for r in read_rows(modelnet40.RESULTS):
        if r["rotation"] == "none":
            found[r["config"], r["seed"], r["feature"], r["protocol"]] = 100 * float(r["accuracy"])
            found[UNTRAINED, r["seed"], r["feature"], r["protocol"]] = 100 * float(r["untrained_accuracy"])
    return found


def told(values: list[float]) -> str:
    """Mean ± standard deviation over seeds; how many where there are fewer than three."""
    if not values:
        return "-"
    spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    few = f" ({len(values)} seed{'s' * (len(values) > 1)})" if len(values) < 3 else ""
    return f"{np.mean(values):.1f}{spread}{few}"


def over_seeds(figures: Figures, method: str, feature: str, protocol: Protocol) -> list[float]:
    """The accuracies of one method under one protocol, in the order of seeds."""
    return [
        figures[key] for key in sorted(figures) if (key[0], key[2], key[3]) == (method, feature, protocol.identifier)
    ]


def named(protocols: list[Protocol]) -> str:
    """The classifier that some protocols share, and their names."""
    first = protocols[0]
    names = ", ".join(f"`{each.name}`" for each in protocols)
    if first is LINEAR_SVM:
        return f"{names}: standardised, C by cross-validation on train"
    kind = "LinearSVC" if first.loss == "squared_hinge" else "SVC"
    return f"{names}: {kind}, C = {first.c_grid[0]:g}, unscaled"


def comparison() -> str:
    """The literature and ours in one table."""
    figures = measured()
    rows = list(YARDSTICKS)
    chosen: dict[tuple[str, str], set[float]] = {}
    for r in read_rows(modelnet40.RESULTS):
        if r["rotation"] == "none":
            chosen.setdefault((r["config"], r["feature"]), set()).add(float(r["C"]))
            chosen.setdefault((UNTRAINED, r["feature"]), set()).add(float(r["untrained_C"]))
    for feature, name in FEATURES.items():
        for method in NAMES:
            values = over_seeds(figures, method, feature, LINEAR_SVM)
            grid = " or ".join(f"{c:g}" for c in sorted(chosen[method, feature]))
            rows.append(
                Yardstick(
                    f"**ours:** {NAMES[method]}",
                    told(values),
                    "nothing" if method == UNTRAINED else "ModelNet40 train",
                    encoder="PointNet",
                    points="256",
                    classifier=f"linear SVM (squared hinge), standardised, C = {grid}",
                    chosen_c="5-fold cross-validation on train",
                    chosen_epoch="-" if method == UNTRAINED else "fixed, the last of 10",
                    feature=name,
                    seeds=str(len(values)),
                )
            )
    return markdown(rows)


def protocols(feature: str) -> str:
    """One feature under every protocol."""
    figures = measured()
    lines = [f"| {FEATURES[feature]} | {' | '.join(NAMES.values())} |", "|---" * (len(NAMES) + 1) + "|"]
    for group in FITTED:
        cells = [told(over_seeds(figures, method, feature, group[0])) for method in NAMES]
        lines.append(f"| {named(group)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def common(figures: Figures, methods: Sequence[str], feature: str) -> tuple[list[str], list[list[Protocol]]]:
    """The seeds in which all these methods have every quick protocol, and the protocols that all of those have."""

    def there(seed: str, group: list[Protocol]) -> bool:
        return all((method, seed, feature, group[0].identifier) in figures for method in methods)

    quick = [[LINEAR_SVM], *groups(QUICK)]
    seeds = [s for s in sorted({key[1] for key in figures}) if all(there(s, group) for group in quick)]
    return seeds, [group for group in FITTED if all(there(s, group) for s in seeds)]


def seen(
    figures: Figures, method: str, feature: str, seeds: Sequence[str], shared: Sequence[list[Protocol]]
) -> Matrix:
    """Accuracies (seeds, protocols)."""
    return np.array([[figures[method, s, feature, group[0].identifier] for group in shared] for s in seeds])


def spreads() -> str:
    """How far the protocol alone moves a figure: lowest and highest over protocols, seed by seed."""
    figures = measured()
    scales = {(r["method"], r["seed"], r["feature"]): float(r["feature_std"]) for r in read_rows(RESULTS)}
    lines = [
        "| encoder | feature | spread of a feature | classifiers | lowest | highest | difference, points |",
        "|---|---|---|---|---|---|---|",
    ]
    for feature, name in FEATURES.items():
        for method in NAMES:
            seeds, shared = common(figures, [method], feature)
            if not seeds:
                continue
            each = seen(figures, method, feature, seeds, shared)
            low, high = int(each.mean(axis=0).argmin()), int(each.mean(axis=0).argmax())
            cells = [
                f"{np.mean([scales[method, s, feature] for s in seeds]):.2g}",
                f"{len(shared)} of {len(FITTED)}",
                f"{told(list(each[:, low]))}, `{shared[low][0].name}`",
                f"{told(list(each[:, high]))}, `{shared[high][0].name}`",
                told(list(np.ptp(each, axis=1))),
            ]
            lines.append(f"| {NAMES[method]} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def gains(feature: str) -> str:
    """What training seems to bring under each protocol: trained minus untrained, seed by seed."""
    figures = measured()
    trained = [method for method in NAMES if method != UNTRAINED]
    heads = " | ".join(NAMES[method] for method in trained)
    lines = [f"| {FEATURES[feature]}: minus untrained, points | {heads} |", "|---" * (len(trained) + 1) + "|"]
    for group in FITTED:
        cells = []
        for method in trained:
            keys = [(k, (UNTRAINED, *k[1:])) for k in sorted(figures) if k[0] == method]
            mine = [
                figures[k] - figures[u]
                for k, u in keys
                if u in figures and (k[2], k[3]) == (feature, group[0].identifier)
            ]
            cells.append(told(mine) if not mine or np.mean(mine) < 0 else f"+{told(mine)}")
        lines.append(f"| {named(group)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary() -> str:
    """What the tables of the encoder's feature come to, in words."""
    figures = measured()
    moved = {}
    for method in NAMES:
        seeds, shared = common(figures, [method], "encoder")
        if seeds:
            moved[method] = float(np.ptp(seen(figures, method, "encoder", seeds, shared), axis=1).mean())
    floor = moved.pop(UNTRAINED, None)
    seeds, shared = common(figures, ["vae", UNTRAINED], "encoder")
    if floor is None or not seeds:
        return "- Too few rows are there yet."
    vae, untrained = (seen(figures, method, "encoder", seeds, shared) for method in ("vae", UNTRAINED))
    gain = (vae - untrained).mean(axis=0)
    (least, low), (most, high) = ((f"`{shared[i][0].name}`", gain[i]) for i in (gain.argmin(), gain.argmax()))
    ours = [np.mean(over_seeds(figures, method, "encoder", LINEAR_SVM)) for method in NAMES if method != UNTRAINED]
    lines = [
        f"- The protocol alone moves a trained encoder by {np.mean(list(moved.values())):.1f} points.",
        f"- It moves the untrained encoder by {floor:.1f} points.",
        f"- The VAE is {low:.1f} points better than untrained by {least}, {high:.1f} points by {most}.",
        f"- Our trained methods differ among themselves by {np.ptp(ours):.1f} points, by `{LINEAR_SVM.name}`.",
    ]
    return "\n".join(lines)


def rotated() -> str:
    """The published figures under rotation, all of them supervised."""
    lines = ["| supervised | z/z | z/SO(3) | SO(3)/SO(3) |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in ROTATED)])


BLOCKS: dict[str, Callable[[], str]] = {
    "comparison": comparison,
    "protocols-encoder": lambda: protocols("encoder"),
    "protocols-mean": lambda: protocols("posterior_mean"),
    "spreads": spreads,
    "gains-encoder": lambda: gains("encoder"),
    "summary": summary,
    "rotated": rotated,
}


def main() -> None:
    """Print the blocks, or write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the blocks in their places in docs/literature.md")
    if parser.parse_args().write:
        fill(PAGE, BLOCKS)
    else:
        print("\n\n".join(block() for block in BLOCKS.values()))


if __name__ == "__main__":
    main()
