"""Every named method trained by two processes, and by one on the same global batches: the same losses and weights."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader

from pointvae import ELBO, IWAE, Consistency, LadderPointVAE, PointVAE, SelfConsistency, global_batch
from pointvae.models.build import seeded
from pointvae.training.module import TrainingModule
from pointvae.training.refine import RefiningModule
from pointvae.transforms import DropPoints, RotateSO3, Translate
from tests.ranks import in_processes
from tests.test_configs import CONFIGS, parsed, verb_of

STEPS, BATCH, POINTS = 20, 8, 24
FLAT = {"latent_dim": 6, "points": 16, "encoder_args": {"widths": [8, 16]}, "decoder_args": {"widths": [16]}}
LOCAL = {"latent_dim": 12, "points": 16, "anchors": (4,), "local_dims": (2,), "neighbours": 4, "width": 8}
WIDE = {"encoder": "dgcnn", "encoder_args": {"widths": [8, 8], "features": 8, "k": 4}}
FOLDED = {"encoder": "foldingnet", "encoder_args": {"widths": [8], "graph_widths": [8, 8], "out_features": 8, "k": 4}}

# what is added to features that the next batch norm centres again: Adam makes steps of the rounding of its gradient
WITHOUT_EFFECT = ("encoder.pool.norm.bias", "encoder.out.2.bias", "head.norm.running_mean")


def from_config(path: Path) -> Callable[[], TrainingModule]:
    """A configuration's method on a tiny model of its kind."""

    def make() -> TrainingModule:
        settings = parsed(path)
        asked = settings.get("model")
        ladder = isinstance(asked, LadderPointVAE)
        with seeded(0):
            kind = LadderPointVAE if ladder else PointVAE
            likelihood = asked.config["likelihood"] if asked else "chamfer"
            model = kind(**(FLAT | LOCAL if ladder else FLAT), likelihood=likelihood)
        objective = settings["objective"]
        if asked is None:
            return RefiningModule(model, objective, POINTS, 1e-3, "constant", 3, "")
        return TrainingModule(model, objective, POINTS, 1e-3, "constant", 3)

    return make


def built(
    objective: Callable[[], Any], kind: type[PointVAE] = PointVAE, **config: Any
) -> Callable[[], TrainingModule]:
    def make() -> TrainingModule:
        with seeded(0):
            model = kind(**(FLAT | config))
        return TrainingModule(model, objective(), POINTS, 1e-3, "constant", 3)

    return make


CASES: dict[str, Callable[[], TrainingModule]] = {path.stem: from_config(path) for path in CONFIGS} | {
    "dgcnn": built(lambda: Consistency(ELBO()), **WIDE),
    "foldingnet": built(lambda: Consistency(ELBO()), **FOLDED),
    "every draw": built(lambda: Consistency(transforms=[RotateSO3(), Translate(), DropPoints()], symmetric=True)),
    "drawn chain": built(lambda: SelfConsistency(draw="sample"), likelihood="mixture"),
    "thinned chain": built(lambda: SelfConsistency(), points=40, likelihood_args={"learned": True}),
    "free bits": built(lambda: ELBO(free_bits=0.2)),
    "dreg on a ladder": built(lambda: Consistency(IWAE(3, dreg=True)), LadderPointVAE, likelihood="mixture", **LOCAL),
}


class Losses(pl.Callback):
    """The loss of every step."""

    def __init__(self) -> None:
        self.values: list[Tensor] = []

    def on_train_batch_end(self, trainer, module, outputs, batch, index) -> None:
        self.values.append(module.latest["loss"].clone())


def batches(dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [0.5 * torch.randn(BATCH, 40, 3, generator=generator, dtype=torch.float64).to(dtype) for _ in range(STEPS)]


def trained(name: str, dtype: torch.dtype) -> dict[str, Any]:
    """Losses of every step, and the state after them."""
    module = CASES[name]()
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    seen = batches(dtype)
    if isinstance(module, RefiningModule):
        seen = [torch.empty(BATCH, POINTS, 0, dtype=dtype) for _ in seen]
    losses = Losses()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=world,
            strategy="ddp" if world > 1 else "auto",
            precision="64-true" if dtype == torch.float64 else "32-true",
            max_epochs=1,
            callbacks=[losses],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        trainer.fit(module, DataLoader([batch[rank::world] for batch in seen], batch_size=None))
    state = {key: value.clone() for key, value in module.model.state_dict().items()}
    return {"losses": torch.stack(losses.values), "state": state}


def all_trained(names: list[str], dtype: torch.dtype) -> dict[str, dict[str, Any]]:
    return {name: trained(name, dtype) for name in names}


def unsynchronised(names: list[str], dtype: torch.dtype) -> dict[str, dict[str, Any]]:
    """As it would be if no process asked the others about the batch."""
    global_batch._several = lambda: False
    return all_trained(names, dtype)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> list[dict[str, dict[str, Any]]]:
    return in_processes(tmp_path_factory.mktemp("two"), all_trained, list(CASES), torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CASES))
def test_losses_and_parameters_after_20_steps_are_those_of_one_process(two, name):
    one, found = trained(name, torch.float64), [results[name] for results in two]
    losses = torch.stack([f["losses"] for f in found]).mean(dim=0)
    torch.testing.assert_close(losses, one["losses"], rtol=1e-9, atol=0.0)
    assert len(losses) == STEPS and losses[-1] != losses[0]
    for f in found:
        for key, value in one["state"].items():
            atol = 1e-3 if key in WITHOUT_EFFECT else 1e-9
            torch.testing.assert_close(f["state"][key], value, rtol=0.0, atol=atol, msg=lambda m, k=key: f"{k}: {m}")
    assert all(torch.equal(found[0]["state"][key], found[1]["state"][key]) for key in one["state"])


@pytest.mark.slow
def test_without_synchronisation_they_are_others(tmp_path):
    cases = ["vae", "triplet", "dgcnn"]
    for name, found in in_processes(tmp_path, unsynchronised, cases, torch.float64)[0].items():
        one = trained(name, torch.float64)
        for part in ("encoder", "head", "decoder"):
            names = [key for key in one["state"] if key.startswith(part) and key not in WITHOUT_EFFECT]
            assert max((found["state"][key] - one["state"][key]).abs().max() for key in names) > 1e-3


@pytest.mark.slow
def test_in_single_precision_losses_agree_as_far_as_its_digits(tmp_path):
    names = ["vae", "cr-vae", "avae", "iwae", "ladder"]
    two = in_processes(tmp_path, all_trained, names, torch.float32)
    for name in names:
        losses = torch.stack([results[name]["losses"] for results in two]).mean(dim=0)
        torch.testing.assert_close(losses, trained(name, torch.float32)["losses"], rtol=1e-3, atol=0.0)


def test_every_configuration_is_among_them():
    assert {path.stem for path in CONFIGS} <= CASES.keys()
    assert sum(verb_of(path) == "refine" for path in CONFIGS) > 0
