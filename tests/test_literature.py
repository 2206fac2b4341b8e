"""docs/literature.md says what its rows and the published figures say, and the rows are what the probes give."""

import re

import literature
import literature_page
import numpy as np
import pytest
from yardsticks import ROTATED, YARDSTICKS

import modelnet40
from blocks import BLOCK, filled
from pointvae.data.prepare import prepare
from pointvae.evaluation.probes import probe_run
from pointvae.evaluation.probing.literature import LITERATURE
from pointvae.evaluation.probing.registry import LINEAR_SVM, PROTOCOLS
from pointvae.hub import save_pretrained
from runs import read_rows
from tests.evaluation.shapes import CLASSES, make_model, make_shapes

PAGE = literature_page.PAGE.read_text(encoding="utf-8")
ROWS = read_rows(literature.RESULTS)
PUBLISHED = {  # a second copy, typed from the notes on the literature
    "3D-GAN": "83.3",
    "Latent-GAN": "83.7 or 85.7",
    "PointGrow": "83.8",
    "MRTNet-VAE": "86.4",
    "PointFlow": "86.8",
    "FoldingNet": "88.4",
    "MAP-VAE": "88.4 or 90.2",
    "FoldingNet decoder, DGCNN encoder": "91.0",
    "untrained DGCNN": "69.5 to 73.0",
    "CrossPoint": "91.2",
    "PoCCA": "91.7",
    "IAE": "92.1",
    "PointGLR": "92.2 to 93.0",
    "Point-MAE": "91.0",
    "Point-M2AE": "92.9",
    "Point-JEPA": "93.7",
    "CrossJEPA": "94.2",
}


def test_every_block_of_the_page_is_what_the_rows_give():
    assert filled(PAGE, literature_page.BLOCKS) == PAGE
    assert [found[2] for found in BLOCK.finditer(PAGE)] == list(literature_page.BLOCKS)


def test_no_accuracy_stands_in_the_text_that_is_neither_published_nor_made_from_rows():
    text = BLOCK.sub("", PAGE)
    quoted = {"89.7", "90.3", "91.2", "92.06"}  # reproductions, from the threads that the page names
    assert set(re.findall(r"\b\d\d\.\d+", text)) <= quoted


def test_published_figures_stand_in_the_table_as_in_the_notes():
    found = {re.sub(r" \(.*", "", row.method): row.accuracy for row in YARDSTICKS}
    assert list(found) == list(PUBLISHED)
    for method, accuracy in PUBLISHED.items():
        assert re.match(rf"{accuracy}($| \(|, sources disagree)", found[method]), method
        assert ("sources disagree" in found[method]) == (" or " in accuracy)
    assert ROTATED == (("DGCNN", "92.2", "20.6", "81.1"), ("LocoTrans", "91.6", "91.6", "91.5"))


def test_a_published_row_with_a_known_c_agrees_with_the_registered_protocol_of_its_source():
    pairs = {
        "FoldingNet": "foldingnet-c1",
        "CrossPoint": "crosspoint-c001",
        "IAE": "iae-c1",
        "Point-M2AE": "pointm2ae-c0012",
    }
    found = {re.sub(r" \(.*", "", row.method): row.classifier for row in YARDSTICKS}
    for method, name in pairs.items():
        protocol = PROTOCOLS[name]
        kind = "LinearSVC" if protocol.loss == "squared_hinge" else "SVC"
        assert found[method].startswith(f"{kind}, C = {protocol.c_grid[0]:g}, unscaled"), method


def test_each_row_stands_once_and_names_its_protocol_data_commit_and_machine():
    keys = [(r["method"], r["seed"], r["feature"], r["protocol"]) for r in ROWS]
    assert ROWS and len(keys) == len(set(keys))
    for row in ROWS:
        assert all(row[name] for name in literature.COLUMNS)
        name, version = row["protocol"].split("/")
        assert int(version) == PROTOCOLS[name].version
        if row["C_chosen_on"] == "given":
            assert (float(row["C"]),) == PROTOCOLS[name].c_grid
        right = float(row["accuracy"]) * int(row["n_test"])
        assert right == pytest.approx(round(right), abs=1e-6)


def test_the_rows_are_of_the_shapes_points_and_splits_of_the_modelnet40_experiment():
    names = ("points", "n_train", "n_test", "dataset_sha256", "subsample_sha256")
    of = {tuple(r[n] for n in names) for r in read_rows(modelnet40.RESULTS)}
    assert {tuple(r[n] for n in names) for r in ROWS} == of


def test_rows_of_our_protocol_agree_with_the_modelnet40_experiment_digit_by_digit():
    other = {
        (r["config"], r["seed"], r["feature"]): r for r in read_rows(modelnet40.RESULTS) if r["rotation"] == "none"
    }
    for row in ROWS:
        if row["protocol"] == LINEAR_SVM.identifier:
            untrained = "untrained_" if row["method"] == literature.UNTRAINED else ""
            there = other["vae" if untrained else row["method"], row["seed"], row["feature"]]
            assert (row["accuracy"], row["C"]) == (there[f"{untrained}accuracy"], there[f"{untrained}C"])


def test_protocols_that_fit_the_same_classifier_share_a_fit_and_a_figure():
    names = [[protocol.name for protocol in group] for group in literature.groups(LITERATURE)]
    assert ["foldingnet-c1", "iae-c1", "pointmae-c1"] in names
    assert sorted(name for group in names for name in group) == sorted(protocol.name for protocol in LITERATURE)
    for group in literature.groups(LITERATURE):
        for row in ROWS:
            if row["protocol"] == group[0].identifier:
                same = [
                    r
                    for r in ROWS
                    if [r[n] for n in ("method", "seed", "feature")]
                    == [row[n] for n in ("method", "seed", "feature")]
                ]
                figures = {r["accuracy"] for r in same if r["protocol"] in {p.identifier for p in group}}
                assert figures == {row["accuracy"]}


def test_a_mean_and_its_deviation_are_those_of_the_seeds():
    assert literature_page.told([80.0, 81.0, 82.0]) == "81.0 ± 1.0"
    assert literature_page.told([80.0, 81.0]) == "80.5 ± 0.7 (2 seeds)"
    assert literature_page.told([80.0]) == "80.0 (1 seed)"
    assert literature_page.told([]) == "-"


def test_gains_and_spreads_are_paired_by_seed(monkeypatch):
    names = [group[0].identifier for group in literature_page.FITTED]
    planted = {
        (method, str(seed), "encoder", name): 50 + 10 * seed + place + (3 if method == "vae" else 0)
        for method in ("untrained", "vae")
        for seed in range(3)
        for place, name in enumerate(names)
    }
    scales = [
        {"method": m, "seed": str(s), "feature": "encoder", "feature_std": "0.5"}
        for m in ("untrained", "vae")
        for s in range(3)
    ]
    monkeypatch.setattr(literature_page, "measured", lambda: planted)
    monkeypatch.setattr(literature_page, "read_rows", lambda path: scales)
    assert literature_page.gains("encoder").count("| +3.0 ± 0.0 |") == len(names)
    lines = literature_page.spreads().splitlines()[2:]
    assert len(lines) == 2
    last = len(names) - 1
    assert lines[1] == (
        f"| VAE | encoder feature, 1,024 | 0.5 | {len(names)} of {len(names)} | "
        f"63.0 ± 10.0, `{names[0].split('/')[0]}` | "
        f"{63 + last}.0 ± 10.0, `{names[last].split('/')[0]}` | {last}.0 ± 0.0 |"
    )


def test_encoders_are_compared_over_the_protocols_that_all_their_seeds_have():
    quick = [LINEAR_SVM, *literature.QUICK]
    figures = {("vae", seed, "encoder", p.identifier): 80.0 for seed in "01" for p in quick}
    slow = literature.SLOW[0].identifier
    seeds, shared = literature_page.common({**figures, ("vae", "0", "encoder", slow): 70.0}, ["vae"], "encoder")
    assert seeds == ["0", "1"]
    assert slow not in {group[0].identifier for group in shared}
    del figures["vae", "1", "encoder", quick[-1].identifier]  # not finished
    seeds, shared = literature_page.common({**figures, ("vae", "0", "encoder", slow): 70.0}, ["vae"], "encoder")
    assert seeds == ["0"]
    assert shared == literature_page.FITTED


PLAN = (
    ("encoder", [PROTOCOLS[name] for name in ("foldingnet-c1", "iae-c1", "crosspoint-c001")]),
    ("posterior_mean", [PROTOCOLS["crosspoint-c001"]]),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small dataset and one run, the rows made of them, and how many fits a second call made."""
    folder = tmp_path_factory.mktemp("literature")
    arrays = {"classes": np.array(CLASSES)}
    for split, n in (("train", 30), ("test", 15)):
        shapes = make_shapes(n, seed=n)
        arrays |= {f"{split}_points": shapes.points, f"{split}_labels": shapes.labels}
        arrays[f"{split}_names"] = np.array(shapes.names)
    np.savez(folder / "shapes.npz", **arrays)
    prepare(str(folder / "shapes.npz"), str(folder / "data"))
    facts = {
        "seed": 0,
        "points": 24,
        "preparation": {"up": "z", "normalize": "sphere"},
        "classes": CLASSES,
        "epochs": 3,
    }
    save_pretrained(make_model(seed=1), folder / "vae-0", facts)
    results = folder / "results.csv"
    bench = literature.Bench(str(folder / "data"), folder)
    literature.make_rows(bench, ("untrained", "vae"), (0,), results, PLAN)
    return folder, results


def test_rows_are_what_probe_gives_for_the_run_and_its_untrained_twin(made):
    folder, results = made
    rows = {(r["method"], r["feature"], r["protocol"]): float(r["accuracy"]) for r in read_rows(results)}
    assert len(rows) == 2 * 4
    for feature, name in (("encoder", "iae-c1"), ("posterior_mean", "crosspoint-c001")):
        figures = probe_run(folder / "vae-0", folder / "data", protocol=name, feature=feature)
        identifier = PROTOCOLS[name].identifier
        assert rows["vae", feature, identifier] == figures["accuracy"]
        assert rows["untrained", feature, identifier] == figures["untrained_accuracy"]


def test_rows_that_are_there_are_not_made_again(made, tmp_path):
    folder, results = made
    lines = results.read_text().splitlines(keepends=True)
    cut = tmp_path / "results.csv"
    cut.write_text("".join(lines[:-2]))  # as after an interruption
    bench = literature.Bench(str(folder / "data"), folder)
    fits = []
    original = bench.rows
    bench.rows = lambda *arguments: fits.append(arguments) or original(*arguments)
    literature.make_rows(bench, ("untrained", "vae"), (0,), cut, PLAN)
    assert len(fits) == 2
    assert cut.read_text().splitlines(keepends=True) == lines
