"""Importance-sampled likelihoods against a slow second implementation; exact answers are in the objectives' tests."""

import json
import math

import pytest
import torch
from torch.distributions import Normal

from pointvae import InputError
from pointvae.evaluation.likelihood import _noise, bound_and_nll, importance_nll, measure_likelihood
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.models.build import build_model
from tests.evaluation.shapes import make_shapes
from tests.models.hierarchical import two_groups
from tests.models.test_contract import clouds, tiny

SHAPES = make_shapes(7, points=20)
MODELS = pytest.mark.parametrize("make", [lambda: tiny(likelihood="mixture"), two_groups], ids=["flat", "two groups"])


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(likelihood="mixture"):
    config = {"likelihood": likelihood, "latent_dim": 4, "points": 16, "likelihood_args": {"sigma": 0.5}}
    config |= {"encoder_args": {"widths": (8, 16)}, "decoder_args": {"widths": (16,)}}
    return build_model(config, seed=0)


@MODELS
@torch.no_grad()
def test_the_estimate_equals_a_slow_second_implementation(make):
    model, x, samples = make().eval(), clouds(), 6
    found = importance_nll(model, x, samples=samples, chunk=4, generator=gen())
    noise = torch.randn(samples, 3, 5, dtype=torch.float64, generator=gen())
    q = model.posterior(x)
    for i in range(3):
        weights, elbos = [], []
        for k in range(samples):
            path = q.path(noise[k]) if make is two_groups else None
            mean, std = (path.mean, path.stddev) if path else (q.mean, q.stddev)
            z = mean + std * noise[k]
            score = model.likelihood.log_prob(model.decoder(z[i : i + 1]), x[i : i + 1]).item()
            log_w, kl = score, 0.0
            for d in range(5):
                m, s = mean[i, d].item(), std[i, d].item()
                log_w += Normal(0.0, 1.0).log_prob(z[i, d]).item() - Normal(m, s).log_prob(z[i, d]).item()
                kl += 0.5 * (m**2 + s**2 - 1) - math.log(s)
            weights.append(log_w)
            elbos.append(score - kl)
        top = max(weights)
        w = [math.exp(v - top) for v in weights]
        mean = sum(w) / samples
        variance = sum((v - mean) ** 2 for v in w) / (samples - 1)
        assert found.nll[i].item() == pytest.approx(-top - math.log(mean), rel=1e-9)
        assert found.effective_samples[i].item() == pytest.approx(sum(w) ** 2 / sum(v**2 for v in w), rel=1e-9)
        assert found.standard_error[i].item() == pytest.approx(math.sqrt(variance / samples) / mean, rel=1e-6)
        assert found.elbo[i].item() == pytest.approx(sum(elbos) / samples, rel=1e-9)


@MODELS
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_the_chunk_changes_nothing(make, chunk):
    model, x = make().eval(), clouds()
    whole = importance_nll(model, x, samples=10, chunk=10, generator=gen())
    parts = importance_nll(model, x, samples=10, chunk=chunk, generator=gen())
    for name in ("nll", "effective_samples", "standard_error", "elbo"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name))


def test_absent_points_count_for_nothing():
    model, x = tiny(likelihood="mixture").eval(), clouds(2, 6)
    padded = torch.cat([x, torch.full((2, 3, 3), 9.0, dtype=x.dtype)], dim=1)
    mask = torch.arange(9).expand(2, 9) < 6
    plain = importance_nll(model, x, samples=5, generator=gen())
    torch.testing.assert_close(importance_nll(model, padded, mask, samples=5, generator=gen()).nll, plain.nll)


def test_the_model_is_left_as_it_was():
    model = tiny(likelihood="mixture").train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found = importance_nll(model, clouds(), samples=4, generator=gen())
    assert model.training and not found.nll.requires_grad
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize(("batch_size", "chunk"), [(1, 8), (3, 1), (50, 3)])
def test_the_figures_of_a_set_are_the_same_for_every_batch_and_chunk(batch_size, chunk):
    model, view = small(), View(12, "z", 3)
    whole = bound_and_nll(model, SHAPES, view, samples=8, chunk=8, work=Work(7), seed=5)
    found = bound_and_nll(model, SHAPES, view, samples=8, chunk=chunk, work=Work(batch_size), seed=5)
    assert found.samples == 8
    for name in ("elbo", "nll", "standard_error", "effective_samples"):
        assert getattr(found, name) == pytest.approx(getattr(whole, name), rel=1e-4)
    other = bound_and_nll(model, SHAPES, view, samples=8, seed=6)
    assert other.nll != pytest.approx(whole.nll, rel=1e-6)


def test_the_figures_are_means_over_shapes_and_points():
    model = small()
    found = bound_and_nll(model, SHAPES, samples=400)
    each = importance_nll(model, torch.from_numpy(SHAPES.points), samples=400, generator=gen())
    assert found.nll == pytest.approx(each.nll.mean().item() / 20, abs=5 * found.standard_error)
    assert found.elbo == pytest.approx(each.elbo.mean().item() / 20, rel=0.02)
    assert found.elbo < -found.nll
    assert found.effective_samples == pytest.approx(each.effective_samples.mean().item(), rel=0.3)
    expected = each.standard_error.square().sum().sqrt().item() / (7 * 20)
    assert found.standard_error == pytest.approx(expected, rel=0.5)


@pytest.mark.parametrize(
    "measure", [lambda m: importance_nll(m, torch.from_numpy(SHAPES.points)), lambda m: bound_and_nll(m, SHAPES)]
)
def test_a_likelihood_that_is_no_density_is_refused_with_the_mend(measure):
    with pytest.raises(InputError, match="chamfer") as caught:
        measure(small("chamfer"))
    assert "mixture" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("setting", [{"samples": 1}, {"chunk": 0}], ids=str)
def test_too_small_numbers_are_refused_by_name(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        importance_nll(small(), torch.from_numpy(SHAPES.points), **setting)


def test_no_shape_is_refused():
    with pytest.raises(InputError, match="no shape"):
        bound_and_nll(small(), SHAPES[:0])


def test_every_shape_has_draws_of_its_own_wherever_the_batch_begins():
    noise = _noise(range(4), 6, 5, seed=3)
    assert noise.shape == (6, 4, 5) and len(noise.unique()) == 6 * 4 * 5
    assert torch.equal(_noise(range(1, 3), 6, 5, seed=3), noise[:, 1:3])


def test_the_part_tells_what_the_functions_do():
    shapes, view = make_shapes(20, points=20), View(12, "z", 3)
    part = measure_likelihood(small(), shapes, view, seed=4, quick=True)
    bounds = bound_and_nll(small(), shapes, view, samples=32, seed=4)
    found = part.figures["importance"]
    assert found["nll"] == pytest.approx(bounds.nll) == pytest.approx(part.arrays["nll"].mean())
    assert found["elbo"] == pytest.approx(bounds.elbo)
    assert found["standard_error_of_draws"] == pytest.approx(bounds.standard_error)
    assert found["effective_samples"] == pytest.approx(bounds.effective_samples)
    assert found["standard_error_over_shapes"] == pytest.approx(part.arrays["nll"].std(ddof=1) / math.sqrt(20))
    below = (part.arrays["effective_samples"] < 2).mean()
    assert found["share_below_2_effective_samples"] == pytest.approx(below)
    annealed, few = part.figures["annealed"], part.arrays["annealed_places"]
    assert annealed["n_shapes"] == len(few) == 16 and annealed["leaps"] == 60
    assert annealed["nll"] == pytest.approx(part.arrays["annealed_nll"].mean())
    assert annealed["importance_nll_of_these"] == pytest.approx(part.arrays["nll"][few].mean())
    assert annealed["gain"] == pytest.approx(annealed["importance_nll_of_these"] - annealed["nll"])
    assert part.figures["points"] == 12 and not any(a.dtype == object for a in part.arrays.values())
    json.dumps(part.figures, allow_nan=False)


@pytest.mark.parametrize("work", [Work(16, jobs=1), Work(64, jobs=3)], ids=["one", "three"])
def test_the_part_is_the_same_for_every_number_of_threads(work):
    shapes = make_shapes(40, points=20)
    one, other = (measure_likelihood(small(), shapes, quick=True, work=w) for w in (Work(32, jobs=2), work))
    assert one.figures == other.figures


def test_a_part_without_a_density_is_left_out_with_the_mend():
    figures = measure_likelihood(small("chamfer"), SHAPES).figures
    assert "chamfer" in figures["left_out"] and "mixture" in figures["left_out"]
    assert "no shape" in measure_likelihood(small(), SHAPES[:0]).figures["left_out"]
