"""Accuracy and consistency gap against the size of a change."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation import sensitivity
from pointvae.evaluation.changes import Change, changes_of
from pointvae.evaluation.features import encode
from pointvae.evaluation.probing.linear_probe import fit_probe
from pointvae.evaluation.sensitivity import measure_sensitivity
from pointvae.evaluation.subject import Subject
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.models.build import build_model
from pointvae.objectives.consistency import consistency_gap
from pointvae.transforms import Transform
from tests.evaluation.shapes import make_model, make_shapes

SHAPES, TRAIN, VIEW = make_shapes(20), make_shapes(30, seed=1), View(24)
LADDER = {"latent_dim": 10, "points": 24, "anchors": (4,), "local_dims": (1,), "neighbours": 6}


class Stub(nn.Module):
    """Features that are a function of the cloud, and the posterior N(features, 0.1²)."""

    def __init__(self, of):
        super().__init__()
        self.of, self.weight = of, nn.Parameter(torch.zeros(1))

    def features(self, points, mask=None):
        return self.of(points)

    def posterior_of(self, features, points, mask=None):
        return Independent(Normal(features, torch.full_like(features, 0.1)), 1)


def spectrum(points):
    """Moments of the pairwise distances, in double precision and rounded: no rotation can change them."""
    distances = torch.cdist(points.double(), points.double())
    return (
        torch.stack([distances.pow(k).mean(dim=(1, 2)) for k in (1, 2, 3)], dim=1).mul(1e4).round().div(1e4).float()
    )


def subject(model, shapes=TRAIN, view=VIEW):
    codes = encode(model, shapes, view)
    probes = {
        name: fit_probe(getattr(codes, name), shapes.labels, shapes.classes) for name in ("posterior_mean", "encoder")
    }
    return Subject(model, probes)


@pytest.fixture(scope="module")
def subjects():
    return {"trained": subject(make_model(seed=1)), "untrained": subject(make_model())}


@pytest.fixture(scope="module")
def part(subjects):
    return measure_sensitivity(subjects, SHAPES, VIEW, seed=3)


def only(name, *sizes, nothing=0):
    return [Change(name, name, "", sizes, nothing)]


def test_an_encoder_invariant_to_rotation_bears_every_angle():
    found = measure_sensitivity(
        {"trained": subject(Stub(spectrum))}, SHAPES, VIEW, changes=only("turn", 30, 90) + only("tilt", 30, 180)
    ).figures["changes"]
    whole = measure_sensitivity({"trained": subject(Stub(spectrum))}, SHAPES, VIEW, changes=only("turn", 0))
    unchanged = whole.figures["changes"]["turn"]["trained"]["accuracy"]
    for change in ("turn", "tilt"):
        own = found[change]["trained"]
        np.testing.assert_allclose(
            own["gap"], 0, atol=1e-4
        )  # a feature that rounds the other way is 1e-4 off: 5e-7 nats
        assert own["accuracy"] == {feature: each * 2 for feature, each in unchanged.items()}
        assert own["accuracy_change_interval"]["encoder"] == [[0, 0], [0, 0]]


def test_a_code_that_is_the_clouds_mean_goes_as_far_as_the_cloud():
    model = Stub(lambda points: points.mean(dim=1))
    own = measure_sensitivity({"m": Subject(model)}, SHAPES, VIEW, changes=only("translation", 0, 0.1, 0.5))
    figures = own.figures["changes"]["translation"]["m"]
    assert figures["way"] == pytest.approx([0, 0.1 / 3**0.5, 0.5 / 3**0.5])  # in root mean square of three dimensions
    assert figures["gap"] == pytest.approx([0, 0.1**2 / (2 * 0.01), 0.5**2 / (2 * 0.01)], rel=1e-4)
    assert figures["gap_median"] == pytest.approx(figures["gap"], rel=1e-4)
    means = VIEW.clouds(SHAPES).mean(axis=1)
    between = [np.square(a - b).mean() for i, a in enumerate(means) for b in means[:i]]
    assert figures["way_between_shapes"] == pytest.approx(np.sqrt(np.mean(between)), rel=1e-5)
    assert figures["way_share"] == pytest.approx(np.array(figures["way"]) / np.sqrt(np.mean(between)), rel=1e-5)


def test_one_code_for_all_goes_nowhere():
    model = Stub(lambda points: torch.ones(len(points), 4))
    own = measure_sensitivity({"m": Subject(model)}, SHAPES, VIEW, changes=only("jitter", 0, 0.1))
    figures = own.figures["changes"]["jitter"]["m"]
    assert figures["gap"] == figures["way"] == [0, 0] and figures["way_share"] == [None, None]


@pytest.mark.parametrize("change", changes_of(SHAPES, VIEW, quick=True), ids=lambda change: change.name)
def test_no_change_leaves_the_figures_of_the_shapes_as_they_are(subjects, part, change):
    """Also where it is measured and not taken for granted."""
    taken = Change(change.name, "", "", (change.nothing,), -1)
    made = measure_sensitivity(subjects, SHAPES, VIEW, changes=[taken], seed=3)
    for name in subjects:
        own, all_sizes = (f.figures["changes"][change.name] for f in (made, part))
        at = all_sizes["sizes"].index(change.nothing)
        assert own[name]["gap"] == [0] == [all_sizes[name]["gap"][at]]
        assert own[name]["way"] == [0] == [all_sizes[name]["way"][at]]
        for feature, accuracy in own[name]["accuracy"].items():
            assert accuracy == [all_sizes[name]["accuracy"][feature][at]]
            assert all_sizes[name]["accuracy_change_interval"][feature][at] == [0, 0]


def test_each_figure_is_what_changing_encoding_and_classifying_give(subjects, part):
    change = next(c for c in changes_of(SHAPES, VIEW) if c.name == "tilt")
    moved = torch.from_numpy(change.clouds(SHAPES, VIEW, range(20), 45, seed=3))
    at = change.sizes.index(45)

    class Moved(Transform):
        def __call__(self, points, mask=None, generator=None):
            return moved

    for name, own in subjects.items():
        clouds = torch.from_numpy(VIEW.clouds(SHAPES))
        with torch.no_grad():
            gaps = consistency_gap(own.model, clouds, Moved()).numpy()
            mean, features = own.model.posterior(moved).mean, own.model.features(moved)
            way = (mean - own.model.posterior(clouds).mean).square().mean(dim=1).sqrt().numpy()
        figures = part.figures["changes"]["tilt"][name]
        assert figures["gap"][at] == pytest.approx(gaps.mean(), rel=1e-3)
        assert figures["gap_standard_error"][at] == pytest.approx(gaps.std(ddof=1) / 20**0.5, rel=1e-3)
        assert figures["gap_median"][at] == pytest.approx(np.median(gaps), rel=1e-3)
        assert figures["way"][at] == pytest.approx(way.mean(), rel=1e-3)
        assert figures["way_standard_error"][at] == pytest.approx(way.std(ddof=1) / 20**0.5, rel=1e-3)
        np.testing.assert_allclose(part.arrays[f"{name}_tilt_gap"][at], gaps, rtol=1e-2, atol=1e-7)
        for feature, seen in (("posterior_mean", mean), ("encoder", features)):
            right = own.probes[feature].predict(seen.numpy()) == SHAPES.labels
            assert figures["accuracy"][feature][at] == right.mean()
            np.testing.assert_array_equal(part.arrays[f"{name}_tilt_right_{feature}"][at], right)


def test_a_hierarchical_posterior_is_followed_along_one_path_a_shape():
    model = build_model(LADDER, 0, "LadderPointVAE").eval()
    figures = measure_sensitivity({"m": Subject(model)}, SHAPES, VIEW, changes=only("turn", 0, 40)).figures[
        "changes"
    ]["turn"]["m"]
    assert figures["gap"][0] == 0 < figures["gap"][1]
    measured = measure_sensitivity(
        {"m": Subject(model)}, SHAPES, VIEW, changes=[Change("turn", "", "", (0,), -1)]
    ).figures["changes"]["turn"]["m"]
    assert measured["gap"] == pytest.approx([0], abs=1e-9)


def test_a_shapes_path_does_not_depend_on_which_others_are_taken(monkeypatch):
    model = build_model(LADDER, 0, "LadderPointVAE").eval()
    run = partial(measure_sensitivity, {"m": Subject(model)}, SHAPES, VIEW, changes=only("turn", 40))
    whole = run().arrays["m_turn_gap"]
    monkeypatch.setattr(sensitivity, "SHAPES", 7)
    fewer = run().arrays
    np.testing.assert_allclose(fewer["m_turn_gap"], whole[:, fewer["places"]], rtol=1e-3)
    assert np.abs(run(seed=1).arrays["m_turn_gap"] / fewer["m_turn_gap"].mean() - 1).max() > 0.1  # the path matters


@pytest.mark.parametrize("work", [Work(1, 1), Work(64, 2)], ids=str)
def test_no_digit_depends_on_how_the_work_is_spread(subjects, part, work):
    again = measure_sensitivity(subjects, SHAPES, VIEW, seed=3, work=work)
    assert again.figures == part.figures
    for name, array in part.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)


def test_a_shapes_figures_do_not_depend_on_which_others_are_taken(subjects, part, monkeypatch):
    monkeypatch.setattr(sensitivity, "SHAPES", 7)
    fewer = measure_sensitivity(subjects, SHAPES, VIEW, seed=3)
    places = fewer.arrays["places"]
    assert fewer.figures["n_shapes"] == 7 == len(places) and fewer.figures["of_shapes"] == 20
    assert set(SHAPES.labels[places]) == {0, 1, 2}
    found, all_found = (p.arrays["trained_jitter_gap"] for p in (fewer, part))
    np.testing.assert_allclose(found, all_found[:, places], rtol=1e-2, atol=1e-6)


def test_the_figures_are_plain_and_tell_their_settings(part):
    assert json.loads(json.dumps(part.figures, allow_nan=False)) == part.figures
    told = part.figures
    assert told["protocol"] == "sensitivity/1" and told["seed"] == 3 and told["points"] == 24
    assert list(told["changes"]) == ["turn", "tilt", "scale", "jitter", "translation", "points"]


def test_shapes_without_labels_have_gaps_and_no_accuracy():
    bare = Shapes(SHAPES.points, None, SHAPES.names, [])
    own = measure_sensitivity({"trained": Subject(make_model())}, bare, VIEW, quick=True).figures["changes"]["turn"]
    assert "accuracy" not in own["trained"] and own["trained"]["gap"][-1] > 0


def test_the_models_come_back_in_their_own_mode():
    model = make_model().train()
    measure_sensitivity({"m": Subject(model)}, SHAPES, VIEW, changes=only("turn", 10))
    assert all(module.training for module in model.modules())


def test_no_shape_is_refused():
    with pytest.raises(InputError, match="no shape"):
        measure_sensitivity({"m": Subject(make_model())}, SHAPES[[]], VIEW)
