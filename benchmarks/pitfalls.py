"""The figures of docs/mathematics/pitfalls.md: runs the page's own blocks and keeps what they find, in half a minute.

python benchmarks/pitfalls.py                      # rows in results/pitfalls.csv, those of before are replaced
python benchmarks/experiments/verify.py --write    # puts them into the page
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import platform
import re
from collections.abc import Callable
from typing import Any

from pointvae.version import __version__
from runs import ROOT, add_rows, commit, read_rows

RESULTS, PAGE = ROOT / "results" / "pitfalls.csv", ROOT / "docs" / "mathematics" / "pitfalls.md"
COLUMNS = ["section", "figure", "value", "seed", "version", "commit", "machine"]
RUNNABLE = re.compile(r"^<!-- runnable -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAMPLES = (1, 4, 16, 64)
OTHERS = (1, 2, 3)  # seeds of other first weights
Names = dict[str, Any]
Figures = dict[str, float]


def collapse(names: Names) -> Figures:
    """Section 1: R and KL, at a useful and at a blunt sigma."""
    return {f"{run} {name}": names[run][name] for run in ("plain", "blunt") for name in ("R", "kl")}


def widths(names: Names) -> Figures:
    """Section 2: the same VAE with wider posteriors."""
    steps = zip(("0", "1/2", "1"), names["found"], strict=True)
    return {f"c {c} {name}": found[name] for c, found in steps for name in ("R", "kl", "s")}


def augmentation(names: Names) -> Figures:
    """Section 3: R of the controls, and what a turned cloud's code decodes to."""
    error, turned = names["error"], names["turned"]
    errors = {f"{run} error": error(names[run], turned, turned) for run in ("one_bound", "control")}
    return {f"{run} R": value for run, value in names["R"].items()} | errors | _other_weights(names)


def _other_weights(names: Names) -> Figures:
    """R of the VAE and of the control from other first weights."""
    build, found = names["build_model"], {}
    objectives = {"plain": names["ELBO"](), "control": names["Consistency"](names["ELBO"](), 0.0, [names["turn"]])}
    for seed in OTHERS:
        names["build_model"] = lambda config, seed, other=seed: build(config, seed=other)
        found |= {f"{run} R, weights {seed}": names["look"](names["train"](o))["R"] for run, o in objectives.items()}
    names["build_model"] = build
    return found


def targets(names: Names) -> Figures:
    """Section 4: errors against what has to be reconstructed, for each target and weight."""
    error, shapes, turned = names["error"], names["shapes"], names["turned"]
    runs = {
        "transformed 0": (names["control"], turned),
        "transformed 30": (names["pulled"], turned),
        "canonical 0": (names["canonical_control"], shapes),
        "canonical 30": (names["canonical"], shapes),
        "block 0": (names["control"], turned),  # without a pull no block is pulled
        "block 30": (names["block"], turned),
    }
    found = {name: error(model, turned, target) for name, (model, target) in runs.items()}
    own = {f"original {w}": error(names[run], shapes, shapes) for w, run in ((0, "control"), (30, "pulled"))}
    return found | own


def coupling(names: Names) -> Figures:
    """Section 5: where a hundred steps have brought a dimension without use."""
    log_s = names["log_s"].detach()
    scale = log_s.mul(2).exp()
    return {"log s": log_s.item(), "price": names["price"](scale, scale).item()}


def samples(names: Names) -> Figures:
    """Section 7: bounds, signal-to-noise and effective draws."""
    found: Figures = {f"bound {k}": names["bounds"][k] for k in SAMPLES}
    found |= {f"{'dreg' if dreg else 'plain'} {k}": names["snr"][dreg, k] for dreg in (False, True) for k in SAMPLES}
    found |= {f"effective of 100, {dim} dimensions": value for dim, value in names["effective"].items()}
    few, many = names["few"], names["many"]
    return found | {
        "nll 10": few.nll.mean().item(),
        "nll 100": many.nll.mean().item(),
        "negative elbo": -many.elbo.mean().item(),
        "effective of 100, mixture": many.effective_samples.mean().item(),
    }


SECTIONS: dict[str, Callable[[Names], Figures]] = {
    "1": collapse,
    "2": widths,
    "3": augmentation,
    "4": targets,
    "5": coupling,
    "7": samples,
}


def measure() -> list[dict[str, Any]]:
    """Run the page, section by section."""
    import torch

    torch.set_num_threads(1)
    names: Names = {}
    facts = {"seed": 0, "version": __version__, "commit": commit(), "machine": f"{platform.machine()} cpu"}
    rows = []
    for part in re.split(r"^(?=## )", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE):
        for block in RUNNABLE.findall(part):
            exec(compile(block, PAGE.name, "exec"), names)
        section = part.removeprefix("## ").partition(".")[0]
        if section in SECTIONS:
            found = SECTIONS[section](names)
            rows += [{"section": section, "figure": n, "value": f"{v:.7g}", **facts} for n, v in found.items()]
    return rows


def figures() -> Figures:
    """The rows by figure."""
    return {row["figure"]: float(row["value"]) for row in read_rows(RESULTS)}


def target_table() -> str:
    """The table of section 4."""
    found = figures()
    labels = {"transformed": "`transformed`", "canonical": "`canonical`", "block": "`transformed`, block of 4 of 8"}
    lines = [f"| {label} | {found[f'{name} 0']:.0f} | {found[f'{name} 30']:.0f} |" for name, label in labels.items()]
    return "\n".join(["| target | weight 0 | weight 30 |", "|---|---|---|", *lines])


def samples_table() -> str:
    """The table of section 7."""
    found = figures()
    rows = {"bound, nats": ("bound", 3), "signal-to-noise, plain": ("plain", 2), "signal-to-noise, DReG": ("dreg", 1)}
    lines = [f"| K | {' | '.join(map(str, SAMPLES))} |", "|---" * (len(SAMPLES) + 1) + "|"]
    for label, (name, digits) in rows.items():
        cells = [f"{found[f'{name} {k}']:.{digits}f}" for k in SAMPLES]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


BLOCKS: dict[str, Callable[[], str]] = {"pitfalls-targets": target_table, "pitfalls-samples": samples_table}


if __name__ == "__main__":
    made = measure()
    RESULTS.unlink(missing_ok=True)  # figures of one run belong together
    add_rows(RESULTS, COLUMNS, made)
    for row in made:
        print(row["section"], row["figure"], row["value"])
