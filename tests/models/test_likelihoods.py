"""The likelihoods against slow formulas, and the mixture as a density."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from pointvae.errors import InputError
from pointvae.geometry import chunks
from pointvae.geometry.distances import chamfer_distance
from pointvae.models.likelihoods import Chamfer, Mixture

GEN = torch.Generator().manual_seed(0)


def rows(batch=2, m=4, channels=5):
    return torch.randn(batch, m, channels, dtype=torch.float64, generator=GEN)


def test_chamfer_is_the_scaled_distance_times_the_number_of_points():
    output, x = rows(channels=3), torch.randn(2, 6, 3, dtype=torch.float64, generator=GEN)
    mask = torch.arange(6).expand(2, 6) < torch.tensor([[6], [2]])
    counts = torch.tensor([6.0, 2.0], dtype=torch.float64)
    expected = -counts * chamfer_distance(output, x, y_mask=mask) / (2 * 0.2**2)
    torch.testing.assert_close(Chamfer(0.2).double().log_prob(output, x, mask), expected, rtol=1e-6, atol=1e-6)


def test_a_learned_sigma_settles_where_a_gaussian_would():
    likelihood = Chamfer(0.3, learned=True).double()
    output, x = rows(1, 5, 3), torch.randn(1, 8, 3, dtype=torch.float64, generator=GEN)
    optimizer = torch.optim.LBFGS([likelihood.log_sigma], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = -likelihood.log_prob(output, x).sum()
        value.backward()
        return value

    optimizer.step(loss)
    # d/dσ of N CD / (2 σ²) + 3 N log σ is zero at σ² = CD / 3
    assert likelihood.log_sigma.exp().item() ** 2 == pytest.approx(chamfer_distance(output, x).item() / 3, rel=1e-4)


def test_a_fixed_sigma_is_no_parameter_and_a_learned_one_is():
    assert not list(Chamfer().parameters())
    assert [n for n, _ in Chamfer(learned=True).named_parameters()] == ["log_sigma"]


def mixture_by_scipy(likelihood: Mixture, output: torch.Tensor, x: torch.Tensor) -> np.ndarray:
    centres, log_weights, log_scales = (t.numpy() for t in likelihood.components(output))
    total = np.zeros(len(x))
    for b in range(len(x)):
        for point in x[b].numpy():
            total[b] += math.log(
                sum(
                    math.exp(w) * multivariate_normal(c, np.eye(3) * math.exp(2 * s)).pdf(point)
                    for c, w, s in zip(centres[b], log_weights[b], log_scales[b], strict=True)
                )
            )
    return total


def test_the_mixture_equals_a_sum_over_scipy_densities():
    likelihood, output = Mixture(0.7), rows()
    x = torch.randn(2, 6, 3, dtype=torch.float64, generator=GEN)
    np.testing.assert_allclose(likelihood.log_prob(output, x).numpy(), mixture_by_scipy(likelihood, output, x))


def test_the_mixture_is_a_density_it_integrates_to_one():
    likelihood, output = Mixture(0.5), rows(1, 3) * 0.5
    axis = torch.linspace(-6, 6, 97, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).view(-1, 1, 3)
    density = torch.cat([likelihood.log_prob(output.expand(len(p), -1, -1), p).exp() for p in grid.split(100_000)])
    assert density.sum().item() * (12 / 96) ** 3 == pytest.approx(1.0, abs=1e-6)


def test_a_zero_row_means_sigma_and_no_scale_falls_below_the_floor():
    likelihood = Mixture(0.05, floor=0.1)
    _, weights, scales = likelihood.components(torch.zeros(1, 4, 5, dtype=torch.float64))
    torch.testing.assert_close(scales.exp(), torch.full_like(scales, 0.05))
    torch.testing.assert_close(weights.exp(), torch.full_like(weights, 0.25))
    _, _, low = likelihood.components(torch.full((1, 4, 5), -1e4, dtype=torch.float64))
    torch.testing.assert_close(low.exp(), torch.full_like(low, 0.005))


@pytest.mark.parametrize("budget", [1, 10**9])
def test_the_chunk_size_changes_neither_value_nor_gradient(monkeypatch, budget):
    output, x = rows(5).requires_grad_(), torch.randn(5, 6, 3, dtype=torch.float64, generator=GEN)
    reference = Mixture(0.7).log_prob(output, x).sum()
    (expected,) = torch.autograd.grad(reference, output)
    monkeypatch.setattr(chunks, "CPU_BYTES", budget)
    value = Mixture(0.7).log_prob(output, x).sum()
    torch.testing.assert_close(value, reference)
    torch.testing.assert_close(torch.autograd.grad(value, output)[0], expected)


def test_the_mixture_gradient_equals_finite_differences():
    x = torch.randn(2, 3, 3, dtype=torch.float64, generator=GEN)
    assert torch.autograd.gradcheck(lambda o: Mixture(0.7).log_prob(o, x), rows().requires_grad_())


def test_the_mixture_ignores_the_order_of_points_and_of_components():
    likelihood, output = Mixture(0.7), rows()
    x = torch.randn(2, 6, 3, dtype=torch.float64, generator=GEN)
    expected = likelihood.log_prob(output, x)
    points, components = torch.tensor([3, 0, 5, 1, 4, 2]), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(likelihood.log_prob(output, x[:, points]), expected)
    torch.testing.assert_close(likelihood.log_prob(output[:, components], x), expected)
    assert not torch.allclose(likelihood.log_prob(output.flip(2), x), expected)


def test_a_mixtures_cloud_takes_centres_as_often_as_their_weights_say():
    likelihood, output = Mixture(0.3), rows(3, 4)
    output[0, 2, 3] = -1e3  # a component of no weight
    cloud = likelihood.cloud(output, 50, torch.Generator().manual_seed(1))
    centres, log_weights, _ = likelihood.components(output)
    assert cloud.shape == (3, 50, 3)
    same = (cloud.unsqueeze(2) == centres.unsqueeze(1)).all(dim=3)
    assert (same.sum(dim=2) == 1).all()
    assert ((same.sum(dim=1) - 50 * log_weights.exp()).abs() < 1).all()
    assert same[0, :, 2].sum() == 0


def test_a_noisy_mixtures_cloud_has_the_mixtures_moments():
    likelihood, output = Mixture(0.5), rows(1, 4)
    centres, log_weights, log_scales = (t[0] for t in likelihood.components(output))
    cloud = likelihood.cloud(output, 200_000, torch.Generator().manual_seed(1), noisy=True)[0]
    weights, variances = log_weights.exp(), torch.exp(2.0 * log_scales)
    mean = weights @ centres
    spread = torch.einsum("m,mi,mj->ij", weights, centres - mean, centres - mean)
    covariance = spread + (weights @ variances) * torch.eye(3, dtype=torch.float64)
    size = covariance.diagonal().max().item()
    torch.testing.assert_close(cloud.mean(dim=0), mean, atol=0.02 * size**0.5, rtol=0)
    torch.testing.assert_close(cloud.T.cov(), covariance, atol=0.02 * size, rtol=0)


def test_a_distances_cloud_is_the_decoders_points_thinned():
    output = rows(2, 6, 3)
    generator = torch.Generator().manual_seed(1)
    assert torch.equal(Chamfer().cloud(output, 9, generator), output)
    thinned = Chamfer().cloud(output, 4, generator)
    assert thinned.shape == (2, 4, 3) and (torch.cdist(thinned, output).min(dim=2).values < 1e-6).all()


def test_nothing_can_be_drawn_from_a_distance():
    with pytest.raises(InputError, match="chamfer"):
        Chamfer().cloud(rows(), 4, noisy=True)
