"""Retrieval of like shapes."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointvae.errors import InputError
from pointvae.evaluation import retrieval
from pointvae.evaluation.features import Codes
from pointvae.evaluation.retrieval import chance, measure_retrieval, rank
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from tests.evaluation.shapes import make_shapes

SHAPES = make_shapes(24)
VIEW = View(20)


def codes(features):
    features = np.asarray(features, np.float32)
    return Codes(features, np.ones_like(features), features)


def noise(seed=0, n=24, dims=5):
    return np.random.default_rng(seed).standard_normal((n, dims))


def slow(asking, gallery, labels, how):
    """Average precision and relevant among the first 1, 5, 10 of each query, one at a time."""
    mean, scale = gallery.mean(axis=0), gallery.std(axis=0)
    asking, gallery = (asking - mean) / scale, (gallery - mean) / scale
    precisions, found = [], []
    for q in range(len(labels)):
        far = {}
        for g in range(len(labels)):
            if g != q:
                a, b = asking[q], gallery[g]
                far[g] = (
                    -a @ b / np.sqrt(a @ a) / np.sqrt(b @ b) if how == "cosine" else np.sqrt(np.sum((a - b) ** 2))
                )
        order = sorted(far, key=lambda g: (far[g], g))
        hits, at = 0, []
        for place, g in enumerate(order, 1):
            if labels[g] == labels[q]:
                hits += 1
                at.append(hits / place)
        precisions.append(np.mean(at))
        found.append([sum(labels[g] == labels[q] for g in order[:k]) for k in (1, 5, 10)])
    return np.array(precisions), np.array(found)


@pytest.mark.parametrize("how", ["cosine", "euclidean"])
@pytest.mark.parametrize("side", ["aligned", "turned"])
def test_it_is_what_asking_one_by_one_gives(how, side, monkeypatch):
    monkeypatch.setattr(retrieval, "BLOCK", 7)
    gallery = noise().astype(np.float32)
    asking = gallery if side == "aligned" else (gallery + 0.3 * noise(1)).astype(np.float32)
    part = measure_retrieval({"m": codes(gallery)}, SHAPES, VIEW, turned={"m": codes(asking)})
    own = part.figures[side]["m"]["encoder"][how]
    precision, found = slow(asking.astype(np.float64), gallery.astype(np.float64), SHAPES.labels, how)
    prefix = "" if side == "aligned" else "turned_"
    np.testing.assert_allclose(part.arrays[f"{prefix}m_encoder_{how}_ap"], precision, rtol=1e-6)
    error = precision.std(ddof=1) / 24**0.5
    assert own["map"] == pytest.approx(precision.mean()) and own["map_standard_error"] == pytest.approx(error)
    assert own["map_interval"] == pytest.approx([precision.mean() - 1.96 * error, precision.mean() + 1.96 * error])
    for column, k in enumerate((1, 5, 10)):
        assert own["precision"][str(k)] == pytest.approx(found[:, column].mean() / k)
        assert own["hit"][str(k)] == pytest.approx((found[:, column] > 0).mean())
        assert own["recall"][str(k)] == pytest.approx(found[:, column].mean() / 7)
    for label, name in enumerate(SHAPES.classes):
        assert own["map_per_class"][name] == pytest.approx(precision[SHAPES.labels == label].mean())
    assert own["map_class_mean"] == pytest.approx(np.mean(list(own["map_per_class"].values())))


def test_classes_far_apart_are_found_whole():
    features = 100 * np.eye(3)[SHAPES.labels] + noise(dims=3)
    own = measure_retrieval({"m": codes(features)}, SHAPES, VIEW).figures["aligned"]["m"]["posterior_mean"]
    for how in ("cosine", "euclidean"):
        assert own[how]["map"] == own[how]["hit"]["1"] == own[how]["precision"]["5"] == 1
        assert own[how]["recall"]["10"] == 1 and own[how]["precision"]["10"] == pytest.approx(0.7)


def test_ties_go_by_place():
    """One code for all: the ranking of each query is the gallery's order."""
    labels = np.array([0, 1, 0, 1, 1])
    own = rank(np.zeros((5, 2)), np.zeros((5, 2)), np.arange(5), labels, "cosine")
    assert own.nearest.tolist() == [[p for p in range(5) if p != q] for q in range(5)]
    expected = [1 / 2, np.mean([1 / 3, 2 / 4]), 1 / 1, np.mean([1 / 2, 2 / 4]), np.mean([1 / 2, 2 / 4])]
    np.testing.assert_allclose(own.average_precision, expected)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=5).filter(lambda sizes: max(sizes) > 1), st.integers(0, 99))
def test_the_chance_of_a_ranking_by_lot_is_exact(sizes, seed):
    sizes = np.array(sizes)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rng, maps, firsts = np.random.default_rng(seed), [], []
    asking = [q for q in range(len(labels)) if sizes[labels[q]] > 1]
    for _ in range(300):
        for q in asking:
            order = rng.permutation(np.delete(np.arange(len(labels)), q))
            relevant = labels[order] == labels[q]
            maps.append(np.mean((relevant.cumsum() / np.arange(1, len(order) + 1))[relevant]))
            firsts.append(relevant[0])
    own = chance(sizes)
    assert own["chance_map"] == pytest.approx(np.mean(maps), abs=5 * np.std(maps) / 300**0.5 + 1e-9)
    assert own["chance_precision"] == pytest.approx(np.mean(firsts), abs=5 * np.std(firsts) / 300**0.5 + 1e-9)


def test_a_class_of_one_asks_nothing_and_is_told():
    labels = SHAPES.labels.copy()
    labels[labels == 2] = 0
    labels[5] = 2
    part = measure_retrieval({"m": codes(noise())}, dataclasses.replace(SHAPES, labels=labels), VIEW)
    assert part.figures["left_out_classes"] == ["stick"] and part.figures["queries"] == 23
    assert part.figures["gallery"] == 23 and 5 not in part.arrays["places"]
    assert list(part.figures["aligned"]["m"]["encoder"]["cosine"]["map_per_class"]) == ["ball", "plate"]


def test_the_pictures_show_the_nearest_of_the_trained_models_posterior_means():
    trained = Codes(noise(1).astype(np.float32), np.ones((24, 5), np.float32), noise(2).astype(np.float32))
    part = measure_retrieval({"untrained": codes(noise()), "trained": trained}, SHAPES, VIEW, seed=4)
    standard = (trained.posterior_mean - trained.posterior_mean.mean(axis=0)) / trained.posterior_mean.std(axis=0)
    standard /= np.linalg.norm(standard, axis=1)[:, None]
    shown, place_of = part.figures["shown"], {name: place for place, name in enumerate(SHAPES.names)}
    assert len(shown) == 8 and {query["class"] for query in shown} == set(SHAPES.classes)
    for row, query in enumerate(shown):
        at = place_of[query["name"]]
        likeness = standard @ standard[at]
        likeness[at] = -np.inf
        expected = np.argsort(-likeness)[:5]
        assert [near["name"] for near in query["nearest"]] == [SHAPES.names[place] for place in expected]
        assert [near["right"] for near in query["nearest"]] == (SHAPES.labels[expected] == SHAPES.labels[at]).tolist()
        np.testing.assert_array_equal(part.arrays["query_clouds"][row], VIEW.clouds(SHAPES, [at])[0])
        np.testing.assert_array_equal(part.arrays["neighbour_clouds"][row], VIEW.clouds(SHAPES, expected.tolist()))


@pytest.mark.parametrize("work", [Work(jobs=1), Work(jobs=2)], ids=str)
def test_no_digit_depends_on_the_number_of_threads(work):
    both = {"trained": codes(noise()), "untrained": codes(noise(1))}
    whole, again = (measure_retrieval(both, SHAPES, VIEW, turned=both, seed=2, work=w) for w in (Work(jobs=3), work))
    assert whole.figures == again.figures
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)


def test_the_figures_are_plain_and_tell_their_settings():
    figures = measure_retrieval({"m": codes(noise())}, SHAPES, VIEW, seed=5).figures
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert figures["protocol"] == "retrieval/1" and figures["seed"] == 5 and "turned" not in figures


def test_two_shapes_of_one_class_find_each_other():
    pair = dataclasses.replace(SHAPES[:2], labels=np.array([0, 0]))
    own = measure_retrieval({"m": codes(noise(n=2))}, pair, VIEW).figures["aligned"]["m"]["encoder"]["cosine"]
    assert own["map"] == own["precision"]["10"] == own["recall"]["1"] == 1


def test_what_cannot_be_retrieved_is_refused():
    with pytest.raises(InputError, match="no labels"):
        measure_retrieval({"m": codes(noise())}, dataclasses.replace(SHAPES, labels=None), VIEW)
    with pytest.raises(InputError, match="two members"):
        measure_retrieval({"m": codes(noise(n=3))}, SHAPES[:3], VIEW)
    broken = noise()
    broken[3, 1] = np.inf
    with pytest.raises(InputError, match="NaN or inf"):
        measure_retrieval({"m": codes(broken)}, SHAPES, VIEW)
