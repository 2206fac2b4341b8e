"""Codes averaged over turns: which turns, what stays the same, and that results say so."""

import json
import math
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pointvae
from pointvae.errors import InputError
from pointvae.evaluation.average import Average, headings, spread_rotations
from pointvae.evaluation.embedding import embed_to
from pointvae.evaluation.features import encode
from pointvae.evaluation.probes import probe_rotations, probe_run
from pointvae.evaluation.probing.registry import PROTOCOLS
from pointvae.evaluation.probing.training import Encoded, encode_splits, encode_training
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.models.build import build_model
from tests.evaluation.shapes import make_model, make_shapes

SHAPES = make_shapes()
PARTS = ("posterior_mean", "posterior_std", "encoder")
WIDE = {"encoder": "dgcnn", "encoder_args": {"widths": (8, 8), "features": 8, "k": 4}, "latent_dim": 4, "points": 24}


def turned(shapes, turn):
    return replace(shapes, points=(shapes.points @ turn.T).astype(np.float32))


def angles(turns):
    """The smallest angle of each turn to another one, radians."""
    cosines = (np.einsum("kij,lij->kl", turns, turns) - 1) / 2
    np.fill_diagonal(cosines, -1)
    return np.arccos(np.clip(cosines, -1, 1)).min(axis=1)


def random_turns(count, seed):
    view = View(rotation="so3", seed=seed)
    return np.stack([view._turn(place) for place in range(count)])


@pytest.mark.parametrize("model", [make_model(seed=1), build_model(WIDE, 1).eval()], ids=["pointnet", "dgcnn"])
@given(count=st.integers(2, 9), steps=st.integers(1, 8))
@settings(max_examples=8)
def test_a_shape_turned_by_one_of_the_headings_has_the_same_codes(model, count, steps):
    average = Average(count)
    one = encode(model, SHAPES[:6], average=average)
    other = encode(model, turned(SHAPES[:6], headings(count)[steps % count]), average=average)
    for name in PARTS:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=2e-5)


def test_between_the_headings_codes_differ_and_the_less_the_more_there_are():
    model, changes = make_model(seed=1), []
    for count in (1, 4, 16):
        half = turned(SHAPES, headings(2 * count)[1])
        codes = [encode(model, shapes, average=Average(count)).encoder for shapes in (SHAPES, half)]
        changes.append(np.linalg.norm(codes[0] - codes[1]))
    assert changes[0] > 2 * changes[1] > 4 * changes[2] > 0


def test_rotations_make_codes_depend_less_on_any_rotation():
    model, turn, changes = make_model(seed=1), random_turns(1, 5)[0], []
    for count in (1, 8, 64):
        average = Average(count, "rotations")
        codes = [encode(model, shapes, average=average).encoder for shapes in (SHAPES, turned(SHAPES, turn))]
        changes.append(np.linalg.norm(codes[0] - codes[1]))
    assert changes[0] > 2 * changes[1] > 4 * changes[2]


def test_codes_are_means_over_the_copies_of_means_deviations_and_features():
    model, average = make_model(seed=1), Average(3, "rotations")
    view = View(20, "z", seed=2)
    found = encode(model, SHAPES, view, average=average)
    clouds = torch.from_numpy(view.clouds(SHAPES)).double()
    model = model.double()
    made = []
    with torch.no_grad():
        for turn in spread_rotations(3):
            posterior = model.posterior(clouds @ torch.from_numpy(turn).T)
            made.append((posterior.mean, posterior.stddev, model.features(clouds @ torch.from_numpy(turn).T)))
    for name, parts in zip(PARTS, zip(*made, strict=True), strict=True):
        np.testing.assert_allclose(getattr(found, name), torch.stack(parts).mean(dim=0).numpy(), atol=1e-5)


@pytest.mark.parametrize("over", ["headings", "rotations"])
def test_over_one_turn_nothing_changes_by_a_bit(over):
    model, view = make_model(seed=1), View(20, "so3")
    plain, one = encode(model, SHAPES, view), encode(model, SHAPES, view, average=Average(1, over))
    assert all(np.array_equal(getattr(plain, name), getattr(one, name)) for name in PARTS)


def test_neither_the_batch_size_nor_threads_change_a_digit():
    model, average = make_model(seed=1), Average(4)
    first = encode(model, make_shapes(40), average=average, work=Work(16, 1))
    other = encode(model, make_shapes(40), average=average, work=Work(64, 3))
    assert all(np.array_equal(getattr(first, name), getattr(other, name)) for name in PARTS)


@pytest.mark.parametrize("count", [1, 2, 7, 100])
@pytest.mark.parametrize("made", [headings, spread_rotations])
def test_turns_are_different_rotations_and_the_first_is_none(made, count):
    turns = made(count)
    assert turns.shape == (count, 3, 3) and np.array_equal(turns[0], np.eye(3))
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turns.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    assert count == 1 or angles(turns).min() > 0.8 / count


def test_headings_are_evenly_spaced_about_the_up_axis():
    found = headings(5)
    assert (found[:, 2] == [0, 0, 1]).all()
    np.testing.assert_allclose(
        np.arctan2(found[:, 1, 0], found[:, 0, 0]) % (2 * math.pi), np.arange(5) * 2 * math.pi / 5
    )


def test_rotations_lie_further_apart_and_leave_smaller_gaps_than_random_ones():
    count, seen = 200, random_turns(2_000, 9)

    def gap(turns):
        """The largest angle of any rotation to the nearest of the set."""
        cosines = (np.einsum("kij,lij->kl", seen, turns) - 1) / 2
        return np.arccos(np.clip(cosines, -1, 1)).min(axis=1).max()

    spread, random = spread_rotations(count), [random_turns(count, seed) for seed in range(5)]
    assert angles(spread).min() > 2 * max(angles(turns).min() for turns in random)
    assert gap(spread) < 0.9 * min(gap(turns) for turns in random)


@pytest.mark.parametrize(
    ("rotation", "over"), [("none", "headings"), ("z", "headings"), ("z/so3", "rotations"), ("so3", "rotations")]
)
def test_a_probe_says_over_what_its_features_are_averaged(run_folder, dataset_folder, rotation, over):
    options = {"protocol": "knn", "feature": "encoder", "rotation": rotation}
    found = probe_run(run_folder, dataset_folder, average=3, **options)
    assert (found["average"], found["averaged_over"]) == (3, over)
    assert found["protocol"] == f"knn/1+3-{over}"
    plain = probe_run(run_folder, dataset_folder, **options)
    assert plain["average"] == 1 and plain["protocol"] == "knn/1" and "averaged_over" not in plain


def test_a_probes_figures_are_those_of_averaged_codes_of_both_splits_and_both_models(run_folder, dataset_folder):
    from pointvae.hub import from_pretrained, untrained_twin

    data, view, average = pointvae.load_dataset(dataset_folder), View(24), Average(3)
    pair = [
        encode_splits(make(run_folder), data["train"], data["test"], view, average=average)
        for make in (from_pretrained, untrained_twin)
    ]
    codes = ({"none": encoded} for encoded in pair)
    expected = probe_rotations(*codes, data["train"], data["test"], view, protocol=PROTOCOLS["knn"])["none"]
    found = probe_run(run_folder, dataset_folder, protocol="knn", average=3)
    assert {name: found[name] for name in expected} == expected


def test_splits_or_models_averaged_differently_are_never_probed_together():
    train, test, view = make_shapes(30, seed=3), make_shapes(15, seed=4), View(24)
    model = make_model(seed=1)
    trainings = [encode_training(model, train, view, average=Average(count)) for count in (1, 2)]
    tests = [encode(model, test, view, average=Average(count)) for count in (1, 2)]
    mixed, whole = Encoded(trainings[0], tests[1]), [Encoded(*pair) for pair in zip(trainings, tests, strict=True)]
    with pytest.raises(ValueError, match="of the two splits are averaged over different turns"):
        probe_rotations({"none": mixed}, {"none": mixed}, train, test, view, protocol=PROTOCOLS["knn"])
    with pytest.raises(ValueError, match="of the two models are averaged over different turns"):
        probe_rotations({"none": whole[0]}, {"none": whole[1]}, train, test, view, protocol=PROTOCOLS["knn"])


def test_embedded_vectors_are_averaged_and_files_say_so(run_folder, dataset_folder, tmp_path):
    for suffix in ("npz", "parquet"):
        found = embed_to(run_folder, dataset_folder, tmp_path / f"a.{suffix}", split="test", average=4)
        assert found["average"] == 4
    arrays = np.load(tmp_path / "a.npz")
    table = pq.read_table(tmp_path / "a.parquet")
    assert arrays["average"] == 4
    told = json.loads(table.schema.metadata[b"pointvae"])
    assert (told["average"], told["averaged_over"]) == (4, "headings")
    vectors = np.stack(table["posterior_mean"].to_numpy())
    np.testing.assert_array_equal(vectors, arrays["posterior_mean"])
    shapes = pointvae.load_dataset(dataset_folder)["test"]
    np.testing.assert_array_equal(pointvae.embed(run_folder, shapes, average=4).features, arrays["features"])
    embed_to(run_folder, dataset_folder, tmp_path / "plain.npz", split="test")
    plain = np.load(tmp_path / "plain.npz")
    assert "average" not in plain and not np.allclose(plain["features"], arrays["features"], atol=1e-3)


@pytest.mark.parametrize("count", [0, -3])
def test_fewer_than_one_turn_is_refused_by_name(run_folder, dataset_folder, tmp_path, count):
    message = f"--average {count}: must be at least 1"
    with pytest.raises(InputError, match=message):
        probe_run(run_folder, dataset_folder, average=count)
    with pytest.raises(InputError, match=message):
        embed_to(run_folder, dataset_folder, tmp_path / "a.npz", average=count)
    assert not (tmp_path / "a.npz").exists()
