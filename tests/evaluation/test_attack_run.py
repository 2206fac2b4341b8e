"""The verb `attack` on a run folder."""

import json

import pytest

from pointvae import cli
from pointvae.command import run
from pointvae.errors import InputError
from pointvae.evaluation.attack_run import attack_run
from pointvae.present import present

SMALL = {"radii": "0.02,0.1", "steps": 2, "restarts": 1, "shapes": 6, "norm": "linf"}


def test_it_attacks_a_run_and_writes_figures_and_a_picture(run_folder, dataset_folder, tmp_path, capsys):
    found = attack_run(run_folder, dataset_folder, out=tmp_path / "out", jobs=1, **SMALL)
    assert found["run"] == "tiny" and found["goals"] == ["margin", "kl", "w2"] and found["norms"] == ["linf"]
    written = json.loads((tmp_path / "out" / "attack.json").read_text())
    assert {**written, "written": found["written"]} == found
    assert (tmp_path / "out" / "attack.png").read_bytes().startswith(b"\x89PNG")
    present("attack", found)
    told = capsys.readouterr().err
    assert "0.02" in told and "checks of the attack:" in told and "untrained" in told


def test_the_command_line_gives_the_same_as_json(run_folder, dataset_folder, capsys):
    options = [word for name, value in SMALL.items() for word in (f"--{name}", str(value))]
    assert run(cli.VERBS, ["attack", str(run_folder), str(dataset_folder), *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == attack_run(run_folder, dataset_folder, jobs=1, **SMALL)


def test_radii_that_are_no_numbers_are_refused(run_folder, dataset_folder):
    with pytest.raises(InputError, match="--radii small"):
        attack_run(run_folder, dataset_folder, radii="small")
