"""Every named configuration opens with its command, and trains."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from pointvae import Shapes, cli
from pointvae.command import make, parser_for
from pointvae.training.fit import fit
from pointvae.training.run_folder import describe

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


def parsed(path: Path, *more: str):
    return make("train", cli.train, ["DATASET", "RUN", "--config", str(path), *more])[0]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_it_opens_with_the_command_that_runs_it(path):
    assert path.read_text().splitlines()[0] == f"# pointvae train DATASET RUN --config configs/{path.name}"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_it_trains_two_steps_and_its_run_repeats_it(path, tmp_path):
    settings = parsed(path, "--points", "32", "--model.latent_dim", "4", "--batch_size", "4")
    rng = np.random.default_rng(0)
    shapes = Shapes(rng.normal(size=(8, 32, 3)).astype(np.float32), None, [str(i) for i in range(8)], [])
    model, objective = settings["model"], settings["objective"]
    numbers = {"epochs": 1, "batch_size": 4, "points": 32, "validation_fraction": 0.0}
    made = fit(model, shapes, tmp_path / "run", objective, accelerator="cpu", **numbers)
    assert made.model.latent_dim == 4
    again = parsed(tmp_path / "run" / "config.yaml")
    assert again["model"].config == model.config
    assert describe(again["objective"]) == describe(objective)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_options_after_the_configuration_win(path):
    assert parsed(path, "--epochs", "7")["epochs"] == 7
    assert parsed(path)["epochs"] == yaml.safe_load(path.read_text())["epochs"]


def test_the_paper_and_its_controls_are_what_they_say():
    vae, aug, cr, canonical = (
        yaml.safe_load((CONFIGS[0].parent / f"{name}.yaml").read_text())
        for name in ("vae", "vae-aug", "cr-vae", "cr-vae-canonical")
    )
    assert vae["objective"]["class_path"] == "ELBO"
    assert cr["objective"]["init_args"]["target"] == "transformed"
    assert canonical["objective"]["init_args"]["target"] == "canonical"
    assert aug["objective"]["init_args"].pop("weight") == 0.0
    assert cr["objective"]["init_args"].pop("weight") > 0.0
    assert aug == cr  # the control differs by the regulariser alone
    assert all(config["model"] == vae["model"] and config["epochs"] == vae["epochs"] for config in (aug, canonical))


def test_the_parser_knows_every_setting_of_fit():
    import inspect

    known = set(inspect.signature(cli.train).parameters)
    assert set(inspect.signature(fit).parameters) - {"progress"} == known
    assert parser_for("train", cli.train).prog == "pointvae train"
