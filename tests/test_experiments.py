"""The experiments: what was laid down can be trained, tables say what their rows say, nothing is made twice."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import yaml

import budgets
import page
import pointvae
import run
from budgets import BUDGETS
from cells import CELLS
from pointvae import cli
from pointvae.command import make
from pointvae.data.dataset import load_dataset
from questions import TABLES
from recipes import SEARCH


def test_every_table_is_made_of_cells_that_there_are():
    for table in TABLES.values():
        assert set(table.cells) <= set(CELLS), table.name
        assert {cell for pair in table.pairs for cell in pair} <= set(table.cells), table.name
        assert len(set(table.cells)) == len(table.cells)
        assert table.matters > 0


def test_no_cell_is_trained_for_nothing():
    assert set(CELLS) == {cell for table in TABLES.values() for cell in table.cells}


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_command_takes_every_cell_s_configuration(budget, tmp_path):
    for cell in CELLS.values():
        file = tmp_path / "cell.yaml"
        file.write_text(yaml.safe_dump(run.config_of(cell, BUDGETS[budget])))
        verb = "refine" if cell.refines else "train"
        settings, _ = make(verb, cli.VERBS[verb], ["a", "b", "--config", str(file)])
        assert settings["points"] == BUDGETS[budget].points
        if not cell.refines:
            assert settings["model"].config["points"] == BUDGETS[budget].points


def test_the_command_takes_every_candidate_of_the_search(tmp_path):
    seen = set()
    for name, cell in SEARCH.items():
        assert cell.name == name
        file = tmp_path / "cell.yaml"
        file.write_text(yaml.safe_dump(run.config_of(cell, BUDGETS["search"])))
        make("train", cli.VERBS["train"], ["a", "b", "--config", str(file)])
        seen.add(file.read_text())
    assert len(seen) == len(SEARCH)


def test_cr_and_its_control_differ_in_the_weight_alone():
    def as_text(cell):
        return json.dumps(run.config_of(CELLS[cell], BUDGETS["cpu-hour"]), sort_keys=True)

    for cell, control in page.cr_pairs():
        assert as_text(cell).replace('"weight": 1.0', '"weight": 0.0') == as_text(control)
        assert as_text(cell) != as_text(control)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([2.0, 2.1, 2.2], "better"),
        ([-2.0, -2.1, -2.2], "worse"),
        ([0.1, 0.0, -0.1], "no difference that matters"),
        ([0.5, 0.6, 0.55], "no difference that matters"),
        ([4.0, 0.0, 2.0], "open"),
        ([2.0, 2.1], "too few seeds"),
    ],
)
def test_the_verdict_is_the_rule_of_the_page(values, said):
    assert page.verdict(values, 1.0) == said


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Rows of three seeds in which CR adds two points and augmentation one, to a seed's own level."""
    file = tmp_path / "experiments.csv"
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, run.columns(), restval="", lineterminator="\n")
        writer.writeheader()
        for seed in range(3):
            for cell in TABLES["bases"].cells:
                gain = (
                    0.01 * cell.endswith("+aug") + 0.03 * cell.endswith("+cr") + 0.001 * seed * cell.endswith("+cr")
                )
                told = {name: f"{0.7 + 0.01 * seed + gain:.6g}" for name, _, _ in page.ACCURACIES.values()}
                writer.writerow({"budget": "cpu-hour", "cell": cell, "seed": seed, **told})
    monkeypatch.setattr(page.rows_of, "__defaults__", (page.BUDGET, file))
    return file


def test_differences_are_taken_seed_by_seed(rows):
    assert page.differences(("vae+cr", "vae+aug"), "mean_z") == pytest.approx([2.0, 2.1, 2.2])
    line = next(
        each for each in page.paired_of(TABLES["bases"]).splitlines() if each.startswith("| vae+cr - vae+aug")
    )
    assert "+2.1 ± 0.1" in line and line.endswith("| +1.9 to +2.3 | better |")
    assert page.paired_of(TABLES["bases"]).splitlines()[-1].startswith("| all four, cr - aug | +2.1 ± 0.1")


def test_a_cell_without_rows_shows_as_such(rows):
    assert "| untrained | - | - | - | - | 0 |" in page.table_of(TABLES["bases"], page.ACCURACIES)


def test_a_table_that_no_training_is_of_says_so(rows):
    assert page.BLOCKS["experiments-methods"]() == page.NOT_YET
    assert page.BLOCKS["experiments-bases"]() != page.NOT_YET


def test_what_has_a_row_is_not_made_again_and_what_failed_is_tried_again(tmp_path, monkeypatch):
    results, made = tmp_path / "rows.csv", []

    def one(task):
        made.append(task.cell)
        if task.cell == "vae+cr" and len(made) < 10:
            raise OSError("the disk is full")
        return {"budget": task.budget, "cell": task.cell, "seed": task.seed}

    class AtOnce:
        def __init__(self, jobs):
            self.jobs = jobs

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def submit(self, function, task):
            import concurrent.futures

            future = concurrent.futures.Future()
            try:
                future.set_result(one(task))
            except OSError as fault:
                future.set_exception(fault)
            return future

    monkeypatch.setattr(run, "ProcessPoolExecutor", AtOnce)
    monkeypatch.setattr(run, "budget_dataset", lambda budget, dataset, runs: dataset)
    command = ["run.py", "weight", "--dataset", str(tmp_path), "--seeds", "0", "--results", str(results)]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit, match="1 of 6 trainings failed"):
        run.main()
    assert made[-1] == "untrained" and len(made) == 6
    made[:] = ["before"] * 10
    run.main()
    assert made[10:] == ["vae+cr"]
    with results.open() as file:
        assert len(list(csv.DictReader(file))) == 6


@pytest.fixture
def forty(tmp_path):
    """A dataset of three classes, one of which a budget leaves out."""
    rng = np.random.default_rng(0)
    classes = ["bed", "airplane", "chair"]

    def shapes(count):
        labels = np.arange(count) % 3
        points = rng.normal(size=(count, 64, 3)) * np.eye(3)[labels][:, None] * 3 + rng.normal(size=(count, 64, 3))
        names = [f"{i}" for i in range(count)]
        return pointvae.Shapes(points.astype(np.float32), labels.astype(np.int64), names, classes)

    pointvae.prepare({"train": shapes(60), "test": shapes(30)}, tmp_path / "forty")
    return tmp_path / "forty"


def test_a_budget_takes_its_classes_and_leaves_the_clouds_as_they_are(forty, tmp_path):
    budget = dataclasses.replace(BUDGETS["cpu-minute"], classes=("chair", "bed"))
    part = load_dataset(budgets.budget_dataset(budget, forty, tmp_path / "parts"))
    whole = load_dataset(forty)
    assert part.classes == ["chair", "bed"] and len(part["train"]) == 40 and len(part["test"]) == 20
    for i in range(len(part["train"])):
        j = whole["train"].names.index(part["train"].names[i])
        assert np.array_equal(part["train"].points[i], whole["train"].points[j])
        assert part.classes[part["train"].labels[i]] == whole.classes[whole["train"].labels[j]]


@pytest.mark.slow
def test_two_trainings_of_one_seed_give_the_same_row(forty, tmp_path, monkeypatch):
    budget = dataclasses.replace(BUDGETS["cpu-minute"], classes=())
    monkeypatch.setitem(BUDGETS, "cpu-minute", budget)
    for cell in ("vae+cr", "avae-ss", "untrained"):
        first, second = (
            run.make(run.Task(cell, 0, "cpu-minute", forty, tmp_path / folder)) for folder in ("one", "two")
        )
        assert first["minutes"] and {**first, "minutes": 0} == {**second, "minutes": 0}
        assert float(first["mean_none"]) > 0.3
