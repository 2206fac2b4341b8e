"""A training step of everything on an accelerator: no tensor left behind on the CPU, no look at a number."""

from functools import partial

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException

from pointvae.geometry.sampling import random_subset
from pointvae.models.build import MODELS, seeded
from pointvae.models.decoders import DECODERS
from pointvae.models.encoders import ENCODERS
from pointvae.models.likelihoods import LIKELIHOODS
from pointvae.objectives import ELBO
from pointvae.training import module as module_file
from pointvae.training.module import TrainingModule
from pointvae.training.refine import RefiningModule
from tests.absent_device.conftest import AbsentGenerator
from tests.test_configs import REFINED, TRAINED, parsed

B, N = 4, 40


def moved(model: nn.Module, device: torch.device) -> nn.Module:
    """The model on the device: what it has registered, and nothing else, as ``Module.to`` does."""
    for part in model.modules():
        for name, value in part._parameters.items():
            if value is not None:
                part._parameters[name] = nn.Parameter(torch.empty(value.shape, dtype=value.dtype, device=device))
        for name, value in part._buffers.items():
            if value is not None:
                part._buffers[name] = torch.empty(value.shape, dtype=value.dtype, device=device)
    return model


def step(model, objective, device, monkeypatch, make=TrainingModule) -> None:
    """One training step with its gradients, and one validation step."""
    asked = []

    def generator_for(*key, device):
        asked.append(device)
        return AbsentGenerator()

    monkeypatch.setattr(module_file, "generator_for", generator_for)
    module = make(moved(model, device), objective, N, 1e-3, "constant", 0).train()
    loss = module.training_step(torch.empty(B, 2 * N, 3, device=device), 0)
    loss.backward()
    assert loss.device.type == device.type and all(told.type == device.type for told in asked)
    missing = [name for name, value in module.model.named_parameters() if value.requires_grad and value.grad is None]
    assert not missing, missing
    module.eval()
    with torch.no_grad():
        module.validation_step(torch.empty(B, 2 * N, 3, device=device), 0)


def built(**config):
    with seeded(0):
        return MODELS["PointVAE"](latent_dim=6, points=N, **config)


@pytest.mark.parametrize("path", TRAINED, ids=lambda p: p.stem)
def test_every_configuration_trains(path, absent, monkeypatch):
    latent_dim = 132 if "ladder" in path.stem else 4
    settings = parsed(path, "--points", str(N), "--model.latent_dim", str(latent_dim))
    step(settings["model"], settings["objective"], absent, monkeypatch)


@pytest.mark.parametrize("path", REFINED, ids=lambda p: p.stem)
def test_every_refinement_trains(path, absent, monkeypatch):
    step(built(), parsed(path)["objective"], absent, monkeypatch, partial(RefiningModule, source=""))


def test_a_tensor_left_on_the_cpu_is_noticed(absent, monkeypatch):
    model = built()
    model.encoder.register_forward_pre_hook(lambda part, inputs: (inputs[0] + torch.zeros(3), *inputs[1:]))
    with pytest.raises(RuntimeError, match="same device"):
        step(model, ELBO(), absent, monkeypatch)


def test_a_look_at_a_number_is_noticed(absent, monkeypatch):
    model = built()
    model.encoder.register_forward_pre_hook(lambda part, inputs: setattr(part, "seen", float(inputs[0].sum())))
    with pytest.raises(DataDependentOutputException):
        step(model, ELBO(), absent, monkeypatch)


def test_a_generator_of_another_device_is_noticed(absent):
    with pytest.raises(RuntimeError, match="generator"):
        random_subset(torch.empty(2, 9, 3, device=absent), 4, torch.Generator())


@pytest.mark.parametrize("encoder", ENCODERS.names())
def test_every_encoder_trains(encoder, absent, monkeypatch):
    step(built(encoder=encoder), ELBO(), absent, monkeypatch)


@pytest.mark.parametrize("likelihood", LIKELIHOODS.names())
@pytest.mark.parametrize("decoder", DECODERS.names())
def test_every_decoder_trains_under_every_likelihood(decoder, likelihood, absent, monkeypatch):
    step(built(decoder=decoder, likelihood=likelihood), ELBO(), absent, monkeypatch)
