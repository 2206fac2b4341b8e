"""The hierarchical model: the contract of every model, and the mathematics of its posterior."""

import math

import pytest
import torch

import pointvae
from pointvae import ELBO, Consistency, InputError, Jitter, LadderPointVAE, RotateUp, Scale
from pointvae.models.build import build_model
from pointvae.models.decoders import DECODERS
from pointvae.models.encoders import ENCODERS
from pointvae.models.likelihoods import LIKELIHOODS
from pointvae.objectives import OBJECTIVES, reduce_terms
from pointvae.objectives.elbo import kl_to_prior
from tests.models.test_contract import PARTS, clouds

GROUPS = [3, 4, 4]
DIM = sum(GROUPS)


def ladder(encoder="pointnet", decoder="mlp", likelihood="chamfer", points=9, **settings) -> LadderPointVAE:
    config = {
        "encoder": encoder,
        "decoder": decoder,
        "likelihood": likelihood,
        "latent_dim": DIM,
        "points": points,
        "anchors": [2, 4],
        "local_dims": [2, 1],
        "neighbours": 3,
        "width": 6,
        "encoder_args": ENCODERS.entries[encoder].tiny,
        "decoder_args": DECODERS.entries[decoder].tiny,
        "likelihood_args": LIKELIHOODS.entries[likelihood].tiny,
    }
    model = build_model(config | settings, seed=0, kind="LadderPointVAE").double()
    with torch.no_grad():  # larger than at the start, so that every group depends on those above it
        for name, weight in model.named_parameters():
            if name.endswith(("place.weight", "move.weight", "prior.weight")):
                weight.mul_(8.0)
    return model


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(batch=3, seed=5) -> torch.Tensor:
    return torch.randn(batch, DIM, dtype=torch.float64, generator=gen(seed))


def assert_same_path(first, second):
    for name in ("z", "mean", "stddev"):
        torch.testing.assert_close(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize("parts", PARTS, ids="-".join)
def test_every_combination_encodes_decodes_scores_and_learns(parts):
    model, x = ladder(*parts), clouds()
    assert model.groups == GROUPS
    assert model.posterior(x).event_shape == (DIM,)
    terms = ELBO()(model, x, generator=gen())
    assert terms["reconstruction"].value.shape == (3,)
    reduce_terms(terms).backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not silent
    model.eval()
    assert model.reconstruct(x).shape == (3, 9, 3)
    assert model.sample(2, gen()).shape == (2, 9, 3)
    assert model.interpolate(x[0], x[1], steps=4).shape == (4, 9, 3)


def test_every_parameter_matters():
    model, x = ladder(likelihood="mixture", width=16), clouds()
    reduce_terms(ELBO()(model, x, generator=gen())).backward()
    idle = [n for n, p in model.named_parameters() if not p.grad.abs().any()]
    assert not idle


@pytest.mark.parametrize("parts", PARTS, ids="-".join)
def test_the_configuration_and_a_saved_folder_make_the_same_model(parts, tmp_path):
    model, x = ladder(*parts).float().eval(), clouds().float()
    again = LadderPointVAE(**model.config).eval()
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again.reconstruct(x), model.reconstruct(x))
    pointvae.save_pretrained(model, tmp_path)
    loaded = pointvae.from_pretrained(tmp_path)
    assert isinstance(loaded, LadderPointVAE)
    torch.testing.assert_close(loaded.reconstruct(x), model.reconstruct(x))
    assert {name.split(".")[0] for name in model.state_dict()} <= {
        "encoder",
        "head",
        "local",
        "decoder",
        "likelihood",
    }


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_the_order_of_points_does_not_matter(training):
    model, x = ladder().train(training), clouds()
    order = torch.randperm(11, generator=gen(1))
    assert_same_path(model.posterior(x).path(noise()), model.posterior(x[:, order]).path(noise()))


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_padding_changes_nothing(training):
    model, x = ladder().train(training), clouds()
    padded = torch.cat([x, torch.zeros(3, 4, 3, dtype=x.dtype)], dim=1)
    mask = torch.arange(15).expand(3, 15) < 11
    assert_same_path(model.posterior(x).path(noise()), model.posterior(padded, mask).path(noise()))


def test_in_evaluation_a_cloud_does_not_see_its_batch():
    model, x = ladder().eval(), clouds()
    whole, mask = noise(), torch.arange(11).expand(3, 11) < torch.tensor([[11], [4], [2]])
    path = model.posterior(x, mask).path(whole)
    for i in range(3):
        alone = slice(i, i + 1)
        one = model.posterior(x[alone], mask[alone]).path(whole[alone])
        torch.testing.assert_close(one.z, path.z[alone])
        assert_same_path(one, model.posterior(x, mask).select(alone).path(whole[alone]))


@pytest.mark.parametrize("count", [1, 2])
def test_clouds_of_fewer_points_than_neighbours_are_encoded(count):
    model, x = ladder().eval(), clouds()
    path = model.posterior(x[:, :count]).path(noise())
    assert torch.isfinite(path.z).all()
    assert_same_path(path, model.posterior(x, torch.arange(11).expand(3, 11) < count).path(noise()))


@pytest.mark.parametrize("points", [1, 2, 5, 16, 45])
@pytest.mark.parametrize("decoder", DECODERS.names())
def test_the_decoder_gives_the_number_of_points_it_was_asked_for(decoder, points):
    assert ladder(decoder=decoder, points=points).sample(2).shape == (2, points, 3)


def test_patches_lie_about_their_anchors():
    decoder, z = ladder(points=8).decoder, noise()
    anchors = decoder.begin(z[:, :3])
    for level, u in zip(decoder.levels, (z[:, 3:7], z[:, 7:]), strict=True):
        anchors = level.arrive(anchors)
        anchors = level.refine(anchors, u.reshape(3, len(anchors.points[0]), -1))
    rows = decoder(z)
    for a in range(4):
        patch = decoder.patch(decoder.norm(anchors.features[:, a])) + anchors.points[:, a].unsqueeze(1)
        torch.testing.assert_close(rows[:, a::4], patch)


def test_a_drawn_path_followed_again_has_the_same_moments_and_its_noise_back():
    posterior = ladder().eval().posterior(clouds())
    path = posterior.path(noise())
    assert_same_path(path, posterior.along(path.z))
    torch.testing.assert_close((path.z - path.mean) / path.stddev, noise())
    assert_same_path(
        posterior.repeat(2).path(noise(6)), posterior.repeat(2).along(posterior.repeat(2).path(noise(6)).z)
    )
    torch.testing.assert_close(posterior.repeat(2).path(noise().repeat(2, 1)).z[3:], path.z)


def test_log_prob_is_the_sum_of_the_conditionals():
    posterior, z = ladder().eval().posterior(clouds()), noise()
    expected = [0.0] * 3
    for start, size in ((0, 3), (3, 4), (7, 4)):
        known = z.clone()
        known[:, start:] = 99.0  # a group's Gaussian may know the groups before it, and nothing else
        path = posterior.along(known)
        for i in range(3):
            for d in range(start, start + size):
                m, s = path.mean[i, d].item(), path.stddev[i, d].item()
                expected[i] -= 0.5 * ((z[i, d].item() - m) / s) ** 2 + math.log(s) + 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(posterior.log_prob(z), torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=0)


@pytest.mark.parametrize(("changed", "first_to_notice"), [(0, 3), (3, 7)])
def test_every_group_depends_on_the_groups_above_it(changed, first_to_notice):
    posterior, z = ladder().eval().posterior(clouds()), noise()
    other = z.clone()
    other[:, changed] += 1.0
    a, b = posterior.along(z), posterior.along(other)
    assert torch.equal(a.mean[:, :first_to_notice], b.mean[:, :first_to_notice])
    assert ((a.mean - b.mean)[:, 7:].abs().amax(dim=1) > 1e-6).all()


def test_the_kl_along_paths_is_the_mean_log_ratio_to_the_prior():
    model = ladder().eval()
    many = 20000
    with torch.no_grad():
        path = model.posterior(clouds(1)).repeat(many).path(noise(many))
        log_prior = -0.5 * (path.z.square() + math.log(2 * math.pi)).sum(dim=1)
        difference = path.log_prob() - log_prior - kl_to_prior(path).sum(dim=1)
    error = difference.std().item() / math.sqrt(many)
    assert error < 0.05
    assert abs(difference.mean().item()) < 4 * error


def test_whitened_latents_have_the_kl_of_residual_normal_ones():
    model, x = ladder().eval(), clouds()
    path = model.posterior(x).path(noise())
    level = model.decoder.levels[0]
    anchors = level.arrive(model.decoder.begin(path.z[:, :3]))
    mean, std = (part.flatten(1) for part in level.conditional(anchors))
    prior = torch.distributions.Normal(mean, std)
    posterior = torch.distributions.Normal(mean + std * path.mean[:, 3:7], std * path.stddev[:, 3:7])
    torch.testing.assert_close(torch.distributions.kl_divergence(posterior, prior), kl_to_prior(path)[:, 3:7])
    assert (mean.abs() > 1e-3).any() and ((std - 1.0).abs() > 1e-3).any()


def test_a_frozen_posterior_passes_gradients_to_the_latent_alone():
    model, x = ladder().eval(), clouds().requires_grad_()
    z = noise().requires_grad_()
    live, still = model.posterior(x), model.posterior(x).frozen()
    torch.testing.assert_close(still.log_prob(z), live.log_prob(z))
    still.log_prob(z).sum().backward()
    assert x.grad is None and all(p.grad is None for p in model.parameters())
    (expected,) = torch.autograd.grad(live.log_prob(z).sum(), z)
    torch.testing.assert_close(z.grad, expected)
    assert not still.path(noise()).z.requires_grad
    assert not still.select(slice(0, 2)).repeat(2).path(noise(4)).z.requires_grad


@pytest.mark.parametrize(
    "name", ["head.linear.weight", "local.0.out.weight", "local.1.near.0.weight", "decoder.levels.0.prior.weight"]
)
def test_the_bounds_gradient_equals_finite_differences(name):
    model, x = ladder(likelihood="mixture").eval(), clouds(2, 6)

    def loss(value: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(_Loss(model), {f"model.{name}": value}, (x,))

    value = model.get_parameter(name).detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, value, atol=1e-4)


class _Loss(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return reduce_terms(ELBO()(self.model, x, generator=gen()))


def test_zero_strength_transforms_give_no_gap_and_two_equal_bounds():
    model, x = ladder().eval(), clouds()
    objective = Consistency(weight=3.0, transforms=[RotateUp(0), Scale(1, 1), Jitter(0)])
    terms = objective(model, x, generator=gen())
    torch.testing.assert_close(terms["consistency"].value, torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)
    for name in ("kl", "reconstruction"):
        torch.testing.assert_close(terms[name].value, terms[f"transformed/{name}"].value)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: o.__name__)
def test_every_objective_trains_it(objective):
    model, x = ladder(likelihood="mixture"), clouds(4)
    reduce_terms(objective()(model, x, generator=gen())).backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
    assert model.local[1].out.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"latent_dim": 8}, "latent_dim"),
        ({"anchors": []}, "anchors"),
        ({"anchors": [2]}, "local_dims"),
        ({"anchors": [2, 3]}, "multiple"),
        ({"local_dims": [2, 0]}, "local_dims"),
        ({"neighbours": 0}, "neighbours"),
        ({"width": 1}, "width"),
    ],
    ids=str,
)
def test_impossible_settings_are_refused_in_one_line(settings, named):
    with pytest.raises(InputError, match=named) as caught:
        ladder(**settings)
    assert "\n" not in str(caught.value)
