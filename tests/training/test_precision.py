"""Half the digits where they do no harm: what stays in single precision under autocast, and whole trainings."""

import csv
import math

import numpy as np
import pytest
import torch

import pointvae
from pointvae import ELBO, IWAE, Consistency, InputError, SelfConsistency, Shapes, SmoothEncoder, Triplet, fit
from pointvae.geometry.distances import chamfer_distance
from pointvae.models.build import build_model
from pointvae.objectives.base import Objective, reduce_terms
from pointvae.objectives.consistency import kl_between
from pointvae.objectives.elbo import kl_to_prior
from pointvae.objectives.iwae import weigh
from pointvae.randomness import generator_for
from pointvae.training.loop import compile_decoder

CONFIG = {
    "latent_dim": 6,
    "points": 16,
    "encoder_args": {"widths": [8, 16]},
    "decoder_args": {"widths": [16]},
    "likelihood_args": {"sigma": 0.3},
}
OBJECTIVES = {
    "elbo": ELBO,
    "iwae": IWAE,
    "consistency": Consistency,
    "self-consistency": SelfConsistency,
    "smooth-encoder": SmoothEncoder,
    "triplet": Triplet,
}
KINDS = {
    "chamfer": CONFIG,
    "mixture": CONFIG | {"likelihood": "mixture"},
    "folding": CONFIG | {"decoder": "folding", "decoder_args": {"width": 16}},
    "dgcnn": CONFIG | {"encoder": "dgcnn", "encoder_args": {"widths": [8, 8], "features": 16, "k": 4}},
}
BOUND = 0.05  # bf16 has 8 binary digits: 0.4 % for each rounding, of which a loss sees many


def clouds(batch: int = 12, n: int = 40) -> torch.Tensor:
    points = torch.randn(batch, n, 3, generator=torch.Generator().manual_seed(0))
    return points / points.norm(dim=2, keepdim=True)


def terms(objective: Objective, config: dict, precision: torch.dtype | None) -> dict:
    model = build_model(config, 0).train()
    with torch.autocast("cpu", precision or torch.bfloat16, enabled=precision is not None):
        made = objective(model, clouds(), generator=generator_for(1), step=0)
        return made | {"model": model}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_in_bf16_are_those_of_single_precision_but_for_rounding(name, kind):
    full, half = (terms(OBJECTIVES[name](), KINDS[kind], precision) for precision in (None, torch.bfloat16))
    models = full.pop("model"), half.pop("model")
    assert all(term.value.dtype == torch.float32 for term in half.values())
    losses = [reduce_terms(made) for made in (full, half)]
    assert abs(losses[0] - losses[1]) < BOUND * abs(losses[0]), [float(loss) for loss in losses]
    for loss in losses:
        loss.backward()
    for (part, a), b in zip(models[1].named_parameters(), models[0].parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None), part
        assert a.grad is None or (a.grad.dtype == torch.float32 and a.grad.isfinite().all()), part


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_delicate_stays_in_single_precision(kind):
    model, x = build_model(KINDS[kind], 0).train(), clouds()
    with torch.autocast("cpu", torch.bfloat16):
        posterior = model.posterior(x)
        rows = model.decoder(posterior.mean)
        log_prob = model.likelihood.log_prob(rows, x)
        distance = chamfer_distance(x, x[:, :20] + 1e-3)
    assert posterior.mean.dtype == posterior.stddev.dtype == rows.dtype == log_prob.dtype == torch.float32
    exact = model.likelihood.log_prob(rows, x)
    torch.testing.assert_close(log_prob, exact, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(distance, chamfer_distance(x, x[:, :20] + 1e-3), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_divergences_and_sums_of_exponentials_take_no_half_precision_step(kind):
    model, x = build_model(KINDS[kind], 0).train(), clouds()
    first, second, path = (model.posterior(x + shift) for shift in (0.0, 0.1, 0.0))
    noise = torch.randn(3 * 12, 6, generator=torch.Generator().manual_seed(0))

    def values():
        weighed = weigh(model, path, x, None, noise)
        weights = weighed.log_weight - weighed.log_likelihood  # the decoder's products may be halved, these not
        return kl_to_prior(first), kl_between(first, second), weights, weights.logsumexp(dim=0)

    exact = values()
    with torch.autocast("cpu", torch.bfloat16):
        made = values()
    for a, b in zip(made, exact, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-4)  # half precision errs by 4e-3


@pytest.fixture(scope="module")
def shapes() -> Shapes:
    points = clouds(48).numpy().astype(np.float32)
    return Shapes(points, np.repeat([0, 1], 24), [f"s{i}" for i in range(48)], ["box", "ball"])


def run_of(shapes, path, **settings):
    settings = {"epochs": 2, "batch_size": 16, "accelerator": "cpu"} | settings
    return fit(build_model(CONFIG, 0), shapes, path, Consistency(), **settings)


def test_a_training_in_bf16_ends_near_that_in_single_precision(shapes, tmp_path):
    runs = [run_of(shapes, tmp_path / kind, precision=kind) for kind in ("32-true", "bf16-mixed")]
    losses = [run.metrics["val/loss"] for run in runs]
    assert all(math.isfinite(loss) for loss in losses) and losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
    kept = pointvae.from_pretrained(runs[1].path)
    assert all(p.dtype == torch.float32 for p in kept.parameters())
    with (runs[1].path / "metrics.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2


def test_compile_is_refused_where_there_is_no_compiler(monkeypatch):
    monkeypatch.setattr("pointvae.training.loop.which", lambda name: None)
    with pytest.raises(InputError, match=r"--compile.*C\+\+ compiler"):
        compile_decoder(build_model(CONFIG, 0))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch's compiler warns of parts of its own
def test_a_compiled_decoder_trains_the_same_model(shapes, tmp_path):
    plain, compiled = (run_of(shapes, tmp_path / str(on), compile=on) for on in (False, True))
    assert compiled.metrics["val/loss"] == pytest.approx(plain.metrics["val/loss"], rel=1e-4)
    assert plain.model.state_dict().keys() == compiled.model.state_dict().keys()
