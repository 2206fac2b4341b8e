"""Every named configuration opens with its command, and trains."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from pointvae import Shapes, cli, save_pretrained
from pointvae.command import make, parser_for
from pointvae.models.build import build_model
from pointvae.training.fit import fit
from pointvae.training.refine import refine
from pointvae.training.run_folder import describe

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))
PLACES = {"train": ["DATASET", "RUN"], "refine": ["RUN", "NEW_RUN"]}


def verb_of(path: Path) -> str:
    """The verb of the command that a configuration opens with."""
    return path.read_text().split(maxsplit=3)[2]


def parsed(path: Path, *more: str):
    verb = verb_of(path)
    return make(verb, cli.VERBS[verb], [*PLACES[verb], "--config", str(path), *more])[0]


TRAINED = [path for path in CONFIGS if verb_of(path) == "train"]
REFINED = [path for path in CONFIGS if verb_of(path) == "refine"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_it_opens_with_the_command_that_runs_it(path):
    verb = verb_of(path)
    first = f"# pointvae {verb} {' '.join(PLACES[verb])} --config configs/{path.name}"
    assert path.read_text().splitlines()[0] == first


@pytest.mark.parametrize("path", REFINED, ids=lambda p: p.stem)
def test_it_refines_two_steps_and_its_run_repeats_it(path, tmp_path):
    small = {"latent_dim": 4, "points": 16, "encoder_args": {"widths": [8, 8]}, "decoder_args": {"widths": [8]}}
    save_pretrained(build_model(small, 0), tmp_path / "run", {"seed": 0, "points": 16})
    objective = parsed(path)["objective"]
    numbers = {"epochs": 1, "batch_size": 4, "shapes": 8}
    made = refine(tmp_path / "run", tmp_path / "new", objective, accelerator="cpu", **numbers)
    again = parsed(made.path / "config.yaml")
    assert describe(again["objective"]) == describe(objective)
    assert {name: again[name] for name in numbers} == numbers and again["points"] == 16


@pytest.mark.parametrize("path", TRAINED, ids=lambda p: p.stem)
def test_it_trains_two_steps_and_its_run_repeats_it(path, tmp_path):
    latent_dim = 132 if "ladder" in path.stem else 4  # 16 anchors of 8 leave 4 to the global group
    settings = parsed(path, "--points", "32", "--model.latent_dim", str(latent_dim), "--batch_size", "4")
    rng = np.random.default_rng(0)
    shapes = Shapes(rng.normal(size=(8, 32, 3)).astype(np.float32), None, [str(i) for i in range(8)], [])
    model, objective = settings["model"], settings["objective"]
    numbers = {"epochs": 1, "batch_size": 4, "points": 32, "validation_fraction": 0.0}
    made = fit(model, shapes, tmp_path / "run", objective, accelerator="cpu", **numbers)
    assert made.model.latent_dim == latent_dim
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


@pytest.mark.parametrize(("verb", "function"), [("train", fit), ("refine", refine)], ids=["train", "refine"])
def test_the_parser_knows_every_setting_and_its_default(verb, function):
    import inspect

    known, own = (inspect.signature(f).parameters for f in (cli.VERBS[verb], function))
    assert set(own) - {"progress"} == set(known)
    differ = {name for name in known if own[name].default != known[name].default}
    assert differ == ({"model", "points"} if verb == "train" else set())
    assert parser_for(verb, cli.VERBS[verb]).prog == f"pointvae {verb}"


@pytest.mark.parametrize("name", ["vae", "beta-vae", "iwae", "ladder", "avae"])
def test_each_method_with_consistency_differs_from_the_method_by_consistency_alone(name):
    plain, wrapped = (
        yaml.safe_load((CONFIGS[0].parent / f"{stem}.yaml").read_text()) for stem in (name, f"cr-{name}")
    )
    inner, outer = plain.pop("objective"), wrapped.pop("objective")
    assert plain == wrapped
    assert outer["class_path"] == "Consistency"
    base = outer["init_args"]["base"]
    base = {"class_path": base} if isinstance(base, str) else base
    assert base["class_path"] == inner["class_path"]
    given, expected = base.get("init_args", {}), inner.get("init_args", {})
    assert {**expected, **given} == expected, "the base must not set what the method does not"


def test_every_method_that_is_promised_has_its_configuration():
    promised = "vae beta-vae iwae ladder cr-vae cr-beta-vae cr-iwae cr-ladder vae-aug triplet avae se se-avae avae-ss"
    assert set(promised.split()) <= {path.stem for path in CONFIGS}
