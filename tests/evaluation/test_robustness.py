"""Frozen probes under corruption."""

import dataclasses
import json

import numpy as np
import pytest

from pointvae.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation import robustness
from pointvae.evaluation.corrupted import corrupted, corrupted_clouds
from pointvae.evaluation.features import encode, encode_clouds
from pointvae.evaluation.probing.linear_probe import fit_probe
from pointvae.evaluation.robustness import corruption_errors, describe_right, describe_shift, measure_corruptions
from pointvae.evaluation.subject import Subject
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from tests.evaluation.shapes import make_model, make_shapes

SHAPES = make_shapes(20, points=80)
VIEW = View(32, seed=2)
TRAIN = make_shapes(30, points=80, seed=1)
NAMES = list(CORRUPTIONS)


def subject(seed: int) -> Subject:
    model = make_model(seed=seed)
    codes = encode(model, TRAIN, VIEW)
    features = ("posterior_mean", "encoder")
    return Subject(model, {f: fit_probe(getattr(codes, f), TRAIN.labels, TRAIN.classes) for f in features})


SUBJECTS = {"trained": subject(1), "untrained": subject(0)}


@pytest.fixture(scope="module")
def part():
    return measure_corruptions(SUBJECTS, SHAPES, VIEW, work=Work(jobs=1))


@pytest.mark.parametrize("name", NAMES)
def test_a_corrupted_shape_depends_on_its_own_place_alone(name):
    together, mask = corrupted_clouds(SHAPES, [3, 5, 1], VIEW, name, 4, seed=7)
    for row, place in enumerate([3, 5, 1]):
        alone, none = corrupted_clouds(SHAPES, [place], VIEW, name, 4, seed=7)
        exists = slice(None) if mask is None else mask[row]
        assert none is None
        np.testing.assert_array_equal(together[row][exists], alone[0])
        assert mask is None or not together[row][~mask[row]].any()
    other, _ = corrupted_clouds(SHAPES, [3], VIEW, name, 4, seed=8)
    alone, _ = corrupted_clouds(SHAPES, [3], VIEW, name, 4, seed=7)
    assert alone.shape != other.shape or not np.array_equal(alone, other)


def test_as_many_points_are_seen_as_a_corruption_leaves_of_those_of_the_view():
    shapes, view = make_shapes(4, points=1024), View(256)
    counts = {name: corrupted_clouds(shapes, range(4), view, name, 5)[0].shape[1] for name in NAMES}
    assert counts.pop("occlusion") <= 256 and counts.pop("lidar") <= 192
    assert counts.pop("density_inc") == 256  # made from 512
    assert counts.pop("density") == 256 - 5 * 18 and counts.pop("cutout") == 256 - 10 * 8  # 0.75 of 25, 24 and so on
    assert counts.pop("upsampling") == 512 and counts.pop("background") == 256 + 12
    assert set(counts.values()) == {256}


def test_points_that_a_corruption_only_moves_are_those_of_the_view():
    seen = VIEW.clouds(SHAPES)
    found, _ = corrupted_clouds(SHAPES, range(len(SHAPES)), VIEW, "uniform", 1)
    assert np.abs(found - seen).max() < 0.06


def test_occlusion_sees_all_that_is_stored():
    shapes = make_shapes(2, points=1000)
    found, _ = corrupted_clouds(shapes, [0], View(20), "occlusion", 1)
    assert found.shape[1] == 20 == len(np.unique(found[0], axis=0))
    assert corrupted_clouds(shapes, [0], View(1000), "occlusion", 1)[0].shape[1] < 700


def test_a_turned_view_is_corrupted_as_turned():
    turned = View(32, "so3", 2)
    found, _ = corrupted_clouds(SHAPES, [4], turned, "gaussian", 1)
    np.testing.assert_allclose(found[0], turned.clouds(SHAPES, [4])[0], atol=0.08)


@pytest.mark.parametrize("name", ["occlusion", "shear"])
def test_a_corrupted_dataset_has_one_count_of_points(name):
    shapes = dataclasses.replace(SHAPES, normals=np.zeros_like(SHAPES.points))
    found = corrupted(shapes, name, 2, seed=3)
    clouds, mask = corrupted_clouds(SHAPES, range(20), View(), name, 2, seed=3)
    assert found.points.shape == clouds.shape and found.normals is None and found.names == SHAPES.names
    for row, cloud in enumerate(found.points):
        own = clouds[row] if mask is None else clouds[row][mask[row]]
        np.testing.assert_array_equal(np.unique(cloud, axis=0), np.unique(own, axis=0))
    np.testing.assert_array_equal(found.labels, SHAPES.labels)


def test_accuracy_is_that_of_the_frozen_probe_on_the_corrupted_shapes(part):
    for name in ("occlusion", "shear"):
        for severity in (1, 5):
            for subject, measured in SUBJECTS.items():
                codes = encode_clouds(
                    measured.model,
                    lambda places, n=name, s=severity: corrupted_clouds(SHAPES, places, VIEW, n, s),
                    len(SHAPES),
                )
                expected = measured.accuracy(codes, SHAPES.labels)
                for feature, value in expected.items():
                    told = part.figures["scores"][subject][feature]
                    assert told["accuracy"][name][severity - 1] == pytest.approx(value)
                way = codes.posterior_mean - encode(measured.model, SHAPES, VIEW).posterior_mean
                moved = np.sqrt((way.astype(float) ** 2).mean(axis=1)).mean()
                found = part.figures["shift"][subject]["by_corruption"][name][severity - 1]
                assert found == pytest.approx(moved, rel=1e-5) and moved > 0


def test_shapes_that_keep_fewer_points_than_others_are_measured_by_these_alone():
    few, view = SHAPES[:4], View()
    _, mask = corrupted_clouds(few, range(4), view, "occlusion", 1)
    assert mask is not None  # padded in the measure, not below
    model = SUBJECTS["trained"].model
    found = measure_corruptions({"trained": Subject(model)}, few, view).figures["shift"]["trained"]
    moved = []
    for place in range(4):
        cloud, _ = corrupted_clouds(few, [place], view, "occlusion", 1)
        codes = encode_clouds(model, lambda places, c=cloud: (c, None), 1).posterior_mean
        moved.append(np.sqrt(((codes - encode(model, few[[place]]).posterior_mean) ** 2).mean()))
    assert found["by_corruption"]["occlusion"][0] == pytest.approx(np.mean(moved), rel=1e-4)


def test_clean_accuracy_is_that_of_the_same_shapes(part):
    for subject, measured in SUBJECTS.items():
        for feature, value in measured.accuracy(encode(measured.model, SHAPES, VIEW), SHAPES.labels).items():
            assert part.figures["scores"][subject][feature]["clean_accuracy"] == value


def test_arrays_and_figures_tell_the_same(part):
    json.dumps(part.figures, allow_nan=False)
    right = part.arrays["right/trained"]
    told = part.figures["scores"]["trained"]["posterior_mean"]
    assert right.shape == (20, 15, 5) and right.dtype == bool
    np.testing.assert_allclose(list(told["accuracy"].values()), right.mean(axis=0))
    assert told["mean_error"] == pytest.approx(1 - right.mean())
    assert told["clean_accuracy"] == part.arrays["right_clean/trained"].mean()
    assert part.arrays["picture"].shape[0] == len(part.arrays["picture_counts"]) == 15
    assert part.figures["points_left"]["upsampling"] == [38, 40, 42, 48, 64]


@pytest.mark.parametrize("work", [Work(1, jobs=1), Work(512, jobs=3)])
def test_no_digit_depends_on_the_batch_size_or_the_jobs(part, work):
    again = measure_corruptions(SUBJECTS, SHAPES, VIEW, work=work)
    assert again.figures == part.figures
    for name, values in part.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], values)


def test_the_untrained_encoder_has_an_mce_of_one(part):
    told = part.figures["scores"]["untrained"]["posterior_mean"]
    assert told["gain"] == told["gain_standard_error"] == 0
    assert told["mean_corruption_error"] in (None, 1)
    assert part.figures["baseline"] == "untrained"


def test_errors_by_hand():
    right, base = np.ones((4, 15, 5), bool), np.ones((4, 15, 5), bool)
    right[:1] = False  # error 0.25 everywhere
    base[:2] = False  # 0.5 everywhere
    base[2, 0] = False  # 0.75 under the first
    clean, base_clean = np.array([1, 1, 1, 1], bool), np.array([0, 1, 1, 1], bool)
    told = describe_right(right, clean, base, base_clean)
    assert told["mean_error"] == told["degradation"] == 0.25
    assert told["mean_error_standard_error"] == 0.25  # values 1, 0, 0, 0: deviation 0.5 over sqrt(4)
    assert told["corruption_error"]["occlusion"] == pytest.approx(1 / 3)
    assert told["mean_corruption_error"] == pytest.approx((1 / 3 + 14 / 2) / 15)
    assert told["relative_mean_corruption_error"] == pytest.approx((0.25 / 0.5 + 14 * 0.25 / 0.25) / 15)
    assert told["gain"] == pytest.approx(base.shape[0] ** -1 * (1 + 1 / 15))
    assert "gain" not in describe_right(right, clean)


def test_a_baseline_without_errors_has_no_ratio():
    assert corruption_errors(np.full((2, 5), 0.2), np.array([[0.4] * 5, [0.0] * 5])) == [pytest.approx(0.5), None]
    none = describe_right(
        *[np.zeros((3, 15, 5), bool), np.zeros(3, bool)], *[np.ones((3, 15, 5), bool), np.ones(3, bool)]
    )
    assert none["mean_corruption_error"] is None and none["relative_mean_corruption_error"] is None


def test_a_shift_stands_beside_the_spread_of_the_codes():
    codes = np.array([[1.0, 5.0], [-1.0, 5.0]], np.float32)
    told = describe_shift(np.full((2, 15, 5), 0.3), codes)
    assert told["mean"] == pytest.approx(0.3) and told["standard_error"] == pytest.approx(0)
    assert told["spread"] == pytest.approx(np.sqrt(0.5))


def test_without_labels_or_probes_the_shift_remains():
    few = SHAPES[:4]
    whole = measure_corruptions(SUBJECTS, few, VIEW)
    bare = dataclasses.replace(few, labels=None, classes=[])
    subjects = {name: Subject(measured.model) for name, measured in SUBJECTS.items()}
    for given, shapes in ((SUBJECTS, bare), (subjects, few)):
        found = measure_corruptions(given, shapes, VIEW)
        assert "scores" not in found.figures and not any(name.startswith("right") for name in found.arrays)
        assert found.figures["shift"] == whole.figures["shift"]


def test_the_trained_encoder_may_stand_alone():
    found = measure_corruptions({"trained": SUBJECTS["trained"]}, SHAPES[:3], VIEW)
    told = found.figures["scores"]["trained"]["posterior_mean"]
    assert found.figures["baseline"] is None and "mean_corruption_error" not in told
    assert set(told["accuracy"]) == set(NAMES)


def test_fewer_shapes_are_taken_unless_all_are_asked_for(monkeypatch):
    monkeypatch.setattr(robustness, "SHAPES", 6)
    monkeypatch.setattr(robustness, "QUICK_SHAPES", 3)
    subjects = {"trained": Subject(make_model())}
    for expected, options in ((6, {}), (3, {"quick": True}), (20, {"full": True})):
        found = measure_corruptions(subjects, SHAPES, VIEW, **options)
        assert found.figures["shapes"] == len(found.arrays["places"]) == expected
    assert sorted(SHAPES.labels[measure_corruptions(subjects, SHAPES, VIEW, quick=True).arrays["places"]]) == [
        0,
        1,
        2,
    ]


def test_the_model_comes_back_in_its_own_mode():
    model = make_model().train()
    measure_corruptions({"trained": Subject(model)}, SHAPES[[0]], VIEW)
    assert all(module.training for module in model.modules())


def test_every_corruption_of_the_table_is_what_corrupt_makes_of_the_view():
    view = View(seed=2)  # all points, so that only the draw of points to keep is between
    cloud = view.clouds(SHAPES, [6])[0]
    key = (5, 0xC0, NAMES.index("shear"), SEVERITIES[2], 6)
    expected = corrupt(cloud, "shear", 3, np.random.default_rng(key))
    np.testing.assert_array_equal(corrupted_clouds(SHAPES, [6], view, "shear", 3, seed=5)[0][0], expected)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match="no shape"):
        measure_corruptions({}, Shapes(SHAPES.points[:0], None, [], []), VIEW)
    with pytest.raises(InputError, match="--points 81"):
        measure_corruptions(SUBJECTS, SHAPES, View(81))
