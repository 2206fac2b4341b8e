"""What the README says was measured is what the rows of results/ say."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def experiment(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_modelnet40_tables_are_made_from_their_rows():
    readme, module = (ROOT / "README.md").read_text(encoding="utf-8"), experiment("modelnet40")
    assert module.table() in readme
    assert module.paired() in readme


def test_every_row_names_its_protocol_seed_data_commit_and_machine():
    rows = experiment("modelnet40").read_rows()
    assert rows
    for row in rows:
        assert all(row[name] for name in ("protocol", "seed", "dataset_sha256", "commit", "machine", "version"))


def test_each_row_stands_once_and_each_configuration_has_all_its_seeds():
    module = experiment("modelnet40")
    keys = [(r["config"], r["seed"], r["rotation"], r["feature"]) for r in module.read_rows()]
    assert len(keys) == len(set(keys))
    seeds = {config: {k[1] for k in keys if k[0] == config} for config in module.CONFIGS}
    assert all(len(found) >= 3 for found in seeds.values())
