"""Clusters against classes."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointvae.errors import InputError
from pointvae.evaluation.clustering import agreement, measure_clustering
from pointvae.evaluation.features import Codes
from pointvae.evaluation.work import Work

LABELS = np.repeat(np.arange(4), 30)


def codes(features):
    features = np.asarray(features, np.float32)
    return Codes(features, np.ones_like(features), features[:, ::-1].copy())


def apart(distance, seed=0, dims=6):
    """Four heaps, ``distance`` deviations apart."""
    rng = np.random.default_rng(seed)
    return (distance * np.eye(4, dims)[LABELS] + rng.standard_normal((len(LABELS), dims))).astype(np.float32)


def mutual_information(found, labels):
    """I / ((H + H')/2), counted out."""
    joint = np.array([[np.mean((found == a) & (labels == b)) for b in np.unique(labels)] for a in np.unique(found)])
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    entropy = [-np.sum(p * np.log(p)) for p in (rows, columns)]
    ratio = np.divide(joint, np.outer(rows, columns), where=joint > 0, out=np.ones_like(joint))
    return np.sum(joint * np.log(ratio)) / np.mean(entropy)


def rand_index(found, labels):
    """The pairs counted one by one, adjusted for chance."""
    pairs = [(found[i] == found[j], labels[i] == labels[j]) for i in range(len(found)) for j in range(i)]
    same, first, second = sum(a and b for a, b in pairs), sum(a for a, _ in pairs), sum(b for _, b in pairs)
    expected = first * second / len(pairs)
    return (same - expected) / ((first + second) / 2 - expected)


def test_heaps_far_apart_score_one_and_shuffled_labels_near_nothing():
    own = measure_clustering({"trained": codes(apart(50))}, LABELS, 4).figures["trained"]
    for feature in ("posterior_mean", "encoder"):
        assert own[feature]["nmi"] == own[feature]["ari"] == own[feature]["accuracy"] == pytest.approx(1)
        assert own[feature]["nmi_deviation"] == pytest.approx(0, abs=1e-12) and len(own[feature]["nmi_each"]) == 5
        assert own[feature]["shuffled_nmi"] < 0.1 and abs(own[feature]["shuffled_ari"]) < 0.03
        assert own[feature]["shuffled_accuracy"] < 0.45


def test_noise_scores_no_more_than_its_own_chance():
    noise = np.random.default_rng(1).standard_normal((120, 6))
    own = measure_clustering({"m": codes(noise)}, LABELS, 4).figures["m"]["encoder"]
    assert own["nmi"] == pytest.approx(own["shuffled_nmi"], abs=0.04)
    assert own["ari"] == pytest.approx(0, abs=0.04)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=4, max_size=30))
def test_agreement_is_what_counting_gives(pairs):
    found, labels = (np.array(part) for part in zip(*[*pairs, (0, 0), (1, 1), (0, 1)], strict=True))
    own = agreement(found, labels)
    assert own["nmi"] == pytest.approx(mutual_information(found, labels), abs=1e-9)
    assert own["ari"] == pytest.approx(rand_index(found, labels), abs=1e-9)


def test_each_cluster_gets_a_class_of_its_own():
    found = np.array([0, 0, 0, 1, 1, 2])
    assert agreement(found, np.array([5, 5, 1, 5, 5, 1]))["accuracy"] == pytest.approx(3 / 6)  # 5 cannot be had twice
    assert agreement(found, np.array([2, 2, 2, 0, 0, 1]))["accuracy"] == 1


def test_the_scale_of_a_dimension_changes_nothing():
    features = apart(4)
    scaled = features * np.float32([1, 1024, 1, 2**-10, 1, 4])  # powers of two: exact
    found = [measure_clustering({"m": codes(each)}, LABELS, 4).figures["m"]["encoder"] for each in (features, scaled)]
    assert found[0]["nmi"] == pytest.approx(found[1]["nmi"])


def test_features_that_tell_nothing_make_one_cluster():
    own = measure_clustering({"m": codes(np.ones((120, 3)))}, LABELS, 4)
    assert own.figures["m"]["encoder"]["nmi"] == own.figures["m"]["encoder"]["ari"] == 0
    assert own.figures["m"]["encoder"]["accuracy"] == 0.25
    assert not own.arrays["m_encoder"].any()


@pytest.mark.parametrize("work", [Work(jobs=1), Work(jobs=2)], ids=str)
def test_no_digit_depends_on_the_number_of_threads(work):
    both = {"trained": codes(apart(2)), "untrained": codes(apart(1, 1))}
    whole, again = (measure_clustering(both, LABELS, 4, seed=2, work=w) for w in (Work(jobs=3), work))
    assert whole.figures == again.figures
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)


def test_another_seed_starts_elsewhere():
    first, second = (measure_clustering({"m": codes(apart(1))}, LABELS, 4, seed=seed).arrays for seed in (0, 1))
    assert (first["m_encoder"] != second["m_encoder"]).any()


def test_the_figures_are_plain_and_tell_their_settings():
    part = measure_clustering({"m": codes(apart(2))}, LABELS, 4, seed=5, quick=True)
    assert json.loads(json.dumps(part.figures, allow_nan=False)) == part.figures
    assert part.figures["protocol"] == "clustering/1"
    assert {k: part.figures[k] for k in ("seed", "seeds", "restarts", "clusters", "n_shapes")} == {
        "seed": 5, "seeds": 3, "restarts": 1, "clusters": 4, "n_shapes": 120,
    }  # fmt: skip
    assert part.arrays["m_posterior_mean"].shape == (3, 120)


def test_what_cannot_be_clustered_is_refused():
    with pytest.raises(InputError, match="nothing to cluster"):
        measure_clustering({}, LABELS[:0], 4)
    broken = apart(2)
    broken[3, 1] = np.nan
    with pytest.raises(InputError, match="NaN"):
        measure_clustering({"m": codes(broken)}, LABELS, 4)
