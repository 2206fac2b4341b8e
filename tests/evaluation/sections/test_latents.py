"""The section on latent health."""

import re
from html import unescape
from types import SimpleNamespace

import numpy as np
import pytest

from pointvae.evaluation.disentanglement import measure_disentanglement
from pointvae.evaluation.drift import self_consistency_drift
from pointvae.evaluation.features import encode
from pointvae.evaluation.information import measure_information
from pointvae.evaluation.latents import describe_latents
from pointvae.evaluation.likelihood import measure_likelihood
from pointvae.evaluation.sections.latents import section
from pointvae.models.build import build_model
from tests.evaluation.shapes import make_model, make_shapes
from tests.evaluation.test_disentanglement import codes_of, shapes_with_factors

SHAPES = make_shapes(12)


def run(metrics, name="a"):
    return SimpleNamespace(name=name, metrics=metrics, arrays={})


def text_of(*runs):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", section(list(runs)))).split())


@pytest.fixture(scope="module")
def metrics():
    model = make_model(seed=1)
    codes = {"trained": encode(model, SHAPES), "untrained": encode(make_model(seed=0), SHAPES)}
    mixture = build_model({**model.config, "likelihood": "mixture", "likelihood_args": {"sigma": 0.5}}, 0)
    train, known = shapes_with_factors(40)
    pairs = {name: (codes_of(known), codes_of(known * k)) for name, k in (("trained", 1), ("untrained", 0))}
    return {
        "latents": describe_latents(codes["trained"]),
        "information": measure_information(codes, model.groups, quick=True).figures,
        "likelihood": measure_likelihood(mixture, SHAPES[:4], quick=True).figures,
        "drift": self_consistency_drift(model, SHAPES[:4], rounds=2).describe(),
        "disentanglement": measure_disentanglement(pairs, train, train, quick=True).figures,
    }


@pytest.mark.parametrize("names", [["a"], ["a", "b & c"]], ids=str)
def test_it_tells_every_figure_beside_the_untrained_one(metrics, names):
    text = text_of(*(run(metrics, name) for name in names))
    for who in ("trained", "untrained"):
        own = metrics["information"][who]
        assert f"{round(own['mutual_information'], 2) + 0.0:.2f} ±" in text and f"of {own['ceiling']:.2f}" in text
        for value in (own["kl"], own["marginal_kl"], own["total_correlation"], 1000 * own["prior_distance"]["mmd2"]):
            assert f"{round(value, 2) + 0.0:.2f}" in text
        scores = metrics["disentanglement"][who]
        assert f"{scores['mig_pose']:.2f} ± {scores['mig_pose_deviation']:.2f}" in text
    for kind in ("importance", "annealed"):
        own = metrics["likelihood"][kind]
        assert f"{own['nll']:.3f} ± {own['standard_error_over_shapes']:.3f}" in text
        assert f"{own['effective_samples']:.1f} of {own['draws']} draws" in text
    assert f"sampling on these {metrics['likelihood']['annealed']['importance_nll_of_these']:.3f}" in text
    assert "-0.00" not in text and "8 all dimensions" in text
    assert "KL by dimension" in text and "Mutual information by dimension" in text and "drift" in text
    assert ("b & c" in text) == (len(names) > 1)


def test_saturation_is_called_by_its_name(metrics):
    own = metrics["information"]
    for saturated in (True, False):
        figures = {**own, "trained": {**own["trained"], "saturated": saturated}}
        assert ("2.48 saturated" in text_of(run({"information": figures}))) == saturated


def test_what_was_left_out_is_said(metrics):
    html = section(
        [run({part: {"left_out": f"<{part}>"} for part in ("information", "likelihood", "disentanglement")})]
    )
    for part in ("information", "likelihood", "disentanglement"):
        assert f"&lt;{part}&gt;" in html and f"<{part}>" not in html
    assert section([run({})]).count('class="empty"') == 3


def test_it_does_without_the_untrained_twin_and_without_pose(metrics):
    information = {k: v for k, v in metrics["information"].items() if k != "untrained"}
    factors = {**metrics["disentanglement"], "pose_factors": []}
    text = text_of(run({"information": information, "disentanglement": factors}))
    assert "Known factors" in text and "pose" not in text.lower()
    assert f"untrained {metrics['information']['untrained']['kl']:.2f}" not in text


def test_every_dimension_is_drawn(metrics):
    html = section([run({"information": metrics["information"]})])
    assert html.count("<svg") == 1
    values = metrics["information"]["trained"]["mutual_information_per_dimension"]
    assert html.count("H", html.index('class="area')) >= len(values) == 8
    assert np.isfinite(values).all()
