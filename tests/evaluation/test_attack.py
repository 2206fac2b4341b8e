"""Attacks on frozen models: the figures, what they do not depend on, and checks that can fail."""

import json
from functools import cache

import numpy as np
import pytest
import torch

from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation.attack import measure_attacks
from pointvae.evaluation.attacking.plan import AttackSettings
from pointvae.evaluation.features import encode, encode_clouds
from pointvae.evaluation.probing.linear_probe import fit_probe
from pointvae.evaluation.subject import Subject
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.geometry.balls import BALLS
from pointvae.geometry.distances import chamfer_distance
from pointvae.models.build import build_model
from tests.evaluation.shapes import make_model, make_shapes

SHAPES = make_shapes(20)
FEW = AttackSettings(shapes=18, radii=(0.02, 0.1), steps=4, restarts=2)
LADDER = {"latent_dim": 10, "points": 24, "anchors": (4,), "local_dims": (1,), "neighbours": 6}


def subject_of(model) -> Subject:
    train = make_shapes(30, seed=1)
    return Subject(
        model, {"posterior_mean": fit_probe(encode(model, train).posterior_mean, train.labels, train.classes)}
    )


@cache
def subjects() -> dict[str, Subject]:
    return {"trained": subject_of(make_model(seed=1)), "untrained": subject_of(make_model())}


def measure(settings=FEW, view=View(24), **options):  # noqa: B008
    return measure_attacks(subjects(), SHAPES, view, settings=settings, **options)


@cache
def part():
    return measure(work=Work(jobs=1))


def check(figures, name, norm="linf", goal="margin"):
    (row,) = [c for c in figures["checks"] if (c["check"], c["norm"], c["goal"]) == (name, norm, goal)]
    return row


def test_every_norm_goal_and_radius_has_its_figures_beside_noise_and_the_untrained():
    figures = json.loads(json.dumps(part().figures))
    assert figures["protocol"] == "attacks/1" and figures["n_shapes"] == 18 and figures["radii"] == [0.02, 0.1]
    for name in ("trained", "untrained"):
        clean = figures["subjects"][name]["clean"]
        for norm in BALLS:
            for goal in ("margin", "kl", "w2"):
                for row in figures["subjects"][name][norm][goal]:
                    for of in (row, row["noise"]):
                        assert of["accuracy"] <= clean["accuracy"]
                        assert of["accuracy_interval"][0] <= of["accuracy"] <= of["accuracy_interval"][1]
                        lost = (clean["accuracy"] - of["accuracy"]) / clean["accuracy"]
                        assert of["success_rate"] == pytest.approx(lost)
                    assert len(row["goal_by_step"]) == 5
                    if goal != "margin":
                        assert row["value"] == pytest.approx(row[goal], rel=1e-5)
    assert not any(array.dtype == object for array in part().arrays.values())


@pytest.mark.parametrize("norm", BALLS)
def test_the_shown_clouds_are_within_the_ball_and_what_they_are_taken_for_is_the_probes_word(norm):
    shown, arrays = part().figures["shown"], part().arrays
    move = torch.from_numpy(arrays[f"shown_{norm}"] - arrays["shown"])
    size = BALLS[norm](shown["radius"]).size(move)
    assert (size <= shown["radius"] * 1.001).all() and (size > 0.5 * shown["radius"]).all()
    trained = subjects()["trained"]
    for clouds, words in ((arrays["shown"], shown["before"]), (arrays[f"shown_{norm}"], shown[f"after_{norm}"])):
        codes = encode_clouds(trained.model, lambda places, c=clouds: (c[list(places)], None), len(clouds))
        guess = trained.probes["posterior_mean"].predict(codes.posterior_mean)
        assert [SHAPES.classes[label] for label in guess] == words


def test_radius_zero_is_the_unattacked_encoder():
    figures = measure(AttackSettings(18, (0.0, 0.05), ("linf",), ("margin", "kl"), 2, 1)).figures
    trained = figures["subjects"]["trained"]
    codes, labels = encode(subjects()["trained"].model, SHAPES, View(24)), SHAPES.labels
    places = measure(AttackSettings(18, (0.05,), ("linf",), ("kl",), 1, 1)).arrays["places"]
    right = subjects()["trained"].right(codes, labels)["posterior_mean"][places]
    for row in (trained["clean"], trained["linf"]["margin"][0], trained["linf"]["kl"][0]):
        assert row["accuracy"] == right.mean()
        assert row["kl"] == pytest.approx(0, abs=1e-6) and row["way"] == 0
    clouds = torch.from_numpy(View(24).clouds(SHAPES, [int(p) for p in places]))
    with torch.no_grad():
        model = subjects()["trained"].model
        error = chamfer_distance(model.reconstruct(clouds), clouds).mean()
    assert trained["clean"]["cd_l2_mean"] == pytest.approx(float(error), rel=1e-4)


def test_the_attack_harms_more_than_noise_and_grows_with_the_radius():
    for norm in BALLS:
        for name in ("rises_with_steps", "rises_with_radius", "beats_noise"):
            for goal in ("margin", "kl", "w2"):
                assert check(part().figures, name, norm, goal)["passed"], (name, norm, goal)
        for name in ("beats_search_without_gradients", "beats_transfer", "unbounded_succeeds"):
            assert check(part().figures, name, norm)["passed"], (name, norm)
        assert check(part().figures, "unbounded_succeeds", norm)["stronger"] == 0


class Masked(torch.nn.Module):
    """A layer whose output is the same to a thousandth, and whose gradient is gone."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.out_features = inner, inner.out_features

    def forward(self, points, mask=None):
        features = self.inner(points, mask)
        return torch.round(features * 1000) / 1000 + 0 * features


def test_masked_gradients_are_found_out():
    """An encoder that rounds looks robust to gradients; the checks must say that it is not."""
    model = make_model(seed=1)
    honest = measure_attacks({"trained": subject_of(model)}, SHAPES, View(24), settings=FEW).figures
    model.encoder = Masked(model.encoder)
    masked = measure_attacks({"trained": subject_of(model)}, SHAPES, View(24), settings=FEW).figures
    curves = [f["subjects"]["trained"]["linf"]["margin"][-1]["accuracy"] for f in (honest, masked)]
    assert curves[0] < curves[1]  # the false security
    for name in ("rises_with_steps", "beats_search_without_gradients"):
        assert check(honest, name)["passed"] and not check(masked, name)["passed"]
    assert check(masked, "beats_search_without_gradients")["share_of_shapes_beaten"] > 0.5


def test_nothing_depends_on_jobs_or_batch_size_and_two_runs_are_alike():
    for work in (Work(jobs=3), Work(batch_size=16, jobs=2)):
        other = measure(work=work)
        assert other.figures == part().figures
        for name, array in part().arrays.items():
            np.testing.assert_array_equal(other.arrays[name], array)


def test_another_seed_draws_other_starts():
    few = AttackSettings(20, (0.05,), ("linf",), ("kl",), 1, 1)
    first, second = (measure(few, seed=seed).figures["subjects"]["trained"]["linf"]["kl"][0] for seed in (0, 1))
    assert first["value"] != second["value"]


def test_a_second_restart_is_no_weaker_for_any_shape():
    one, two = (
        measure(AttackSettings(18, (0.1,), ("linf",), ("kl",), 3, restarts)).arrays["kl_trained_linf_kl"]
        for restarts in (1, 2)
    )
    assert (two >= one * (1 - 1e-5)).all() and (two > one).any()


def test_without_labels_the_code_is_attacked_alone():
    shapes = Shapes(SHAPES.points, None, SHAPES.names, [])
    few = AttackSettings(10, (0.05,), ("l2",), ("margin", "kl"), 2, 1)
    part = measure_attacks({"trained": Subject(make_model(seed=1))}, shapes, View(24), settings=few)
    assert part.figures["goals"] == ["kl"] and not part.figures["labelled"]
    assert "accuracy" not in json.dumps(part.figures["subjects"])
    with pytest.raises(InputError, match="--goal margin"):
        measure_attacks(
            {"trained": Subject(make_model())}, shapes, View(24), settings=AttackSettings(goals=("margin",))
        )


def test_a_hierarchical_posterior_is_attacked_along_its_paths():
    model = build_model(LADDER, 0, "LadderPointVAE").eval()
    few = AttackSettings(8, (0.05,), ("linf",), ("kl", "w2"), 3, 1)
    shapes = Shapes(SHAPES.points, None, SHAPES.names, [])
    first, second = (
        measure_attacks({"trained": Subject(model)}, shapes, View(24), settings=few, work=Work(jobs=jobs)).figures
        for jobs in (1, 2)
    )
    assert first == second
    for goal in ("kl", "w2"):
        assert check(first, "rises_with_steps", "linf", goal)["passed"]


def test_the_models_come_back_as_they_were():
    model = make_model(seed=1).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    few = AttackSettings(4, (0.05,), ("linf",), ("kl",), 1, 1)
    measure_attacks({"trained": Subject(model)}, SHAPES, View(24), settings=few)
    assert all(module.training for module in model.modules())
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_class_that_the_probe_has_not_seen_is_refused():
    shapes = Shapes(SHAPES.points, SHAPES.labels + 1, SHAPES.names, [*SHAPES.classes, "new"])
    with pytest.raises(InputError, match="'new'"):
        measure_attacks(subjects(), shapes, View(24), settings=FEW)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"shapes": 0}, "--shapes 0"),
        ({"steps": 0}, "--steps 0"),
        ({"restarts": 0}, "--restarts 0"),
        ({"norms": ("l1",)}, "--norm l1"),
        ({"goals": ("loss",)}, "--goal loss"),
        ({"radii": ()}, "--radii"),
        ({"radii": (0.1, 0.05)}, "--radii 0.1,0.05"),
        ({"radii": (float("nan"),)}, "--radii nan"),
    ],
)
def test_settings_that_make_no_attack_are_refused(settings, told):
    with pytest.raises(InputError, match=told):
        AttackSettings(**settings)
