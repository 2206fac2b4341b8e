"""What the README and the pages say was measured is what the rows of results/ say."""

import pytest

import costs
import methods
import methods_page
import modelnet40
import speed
from runs import ROOT, read_rows


def test_the_modelnet40_tables_are_made_from_their_rows():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert modelnet40.table() in readme
    assert modelnet40.paired() in readme


def test_the_methods_tables_are_made_from_their_rows():
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    for make in methods_page.BLOCKS.values():
        assert make() in page


def test_the_tables_of_costs_are_made_from_their_rows():
    page = (ROOT / "docs" / "costs.md").read_text(encoding="utf-8")
    for make in costs.BLOCKS.values():
        assert make() in page


def test_the_table_of_speed_is_made_from_its_rows_and_no_target_is_missed():
    assert speed.table(speed.newest()) in (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    assert [row["row"] for row in speed.newest() if speed.missed(row)] == []


@pytest.mark.parametrize("module", [methods, modelnet40], ids=lambda m: m.__name__)
def test_every_row_names_its_protocol_seed_data_commit_and_machine(module):
    rows = read_rows(module.RESULTS)
    assert rows
    for row in rows:
        assert all(row[name] for name in ("protocol", "seed", "dataset_sha256", "commit", "machine", "version"))


def test_each_row_stands_once_and_each_configuration_has_all_its_seeds():
    keys = [(r["config"], r["seed"], r["rotation"], r["feature"]) for r in read_rows(modelnet40.RESULTS)]
    assert len(keys) == len(set(keys))
    seeds = {config: {k[1] for k in keys if k[0] == config} for config in modelnet40.CONFIGS}
    assert all(len(found) >= 3 for found in seeds.values())


def test_each_method_has_one_row_for_each_of_three_seeds():
    keys = [(r["method"], r["seed"]) for r in read_rows(methods.RESULTS)]
    assert len(keys) == len(set(keys))
    for method in methods.METHODS:
        assert len({seed for name, seed in keys if name == method}) >= 3, method
