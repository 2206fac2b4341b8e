"""Few shots: which classes and shapes are drawn, and what is left out."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from pointvae.evaluation.probing.few_shot import fit_episodes, query, support
from pointvae.evaluation.probing.registry import FEW_SHOT
from pointvae.evaluation.work import Work
from tests.evaluation.probing.test_linear_probe import blobs

CLASSES = [f"class {number}" for number in range(12)]
SMALL = dataclasses.replace(FEW_SHOT, ways=(3,), shots=(4,), draws=3, queries=5)


@given(st.integers(0, 99), st.integers(2, 5), st.integers(1, 5))
def test_a_support_has_so_many_classes_and_shapes_of_each(seed, ways, shots):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(6), [2, 5, 5, 6, 7, 9]))
    places = support(labels, ways, shots, 0, seed=seed)
    assert len(set(places.tolist())) == ways * shots
    drawn, counts = np.unique(labels[places], return_counts=True)
    assert len(drawn) == ways and set(counts.tolist()) == {shots}
    if shots > 2:
        assert 0 not in drawn


@given(st.integers(0, 99), st.integers(1, 30))
def test_queries_are_of_the_drawn_classes_and_never_twice(seed, queries):
    labels = np.random.default_rng(seed).integers(0, 6, 80)
    drawn = np.array([1, 4])
    asked = query(labels, drawn, queries, (2, 1, 0), seed=seed)
    assert len(set(asked.tolist())) == len(asked)
    for label in drawn:
        assert np.sum(labels[asked] == label) == min(queries, np.sum(labels == label))
    assert set(labels[asked].tolist()) <= {1, 4}


def test_an_episode_is_the_fields_classifier_on_its_support():
    features, labels = blobs(240, dim=8, classes=12)
    fresh, answers = blobs(240, dim=8, classes=12, seed=3)
    found = fit_episodes(SMALL, features, labels, CLASSES, seed=2, work=Work(jobs=3))
    (row,) = found.outcomes(fresh, answers, CLASSES, seed=0)
    for draw in range(3):
        places = support(labels, 3, 4, draw, seed=2)
        theirs = make_pipeline(StandardScaler(), SVC(kernel="linear")).fit(features[places], labels[places])
        asked = query(answers, np.unique(labels[places]), 5, (3, 4, draw), seed=2)
        assert len(asked) == 15
        assert row.figures["draw_accuracies"][draw] == theirs.score(fresh[asked], answers[asked])
    assert row.figures["accuracy"] == pytest.approx(np.mean(row.figures["draw_accuracies"]))
    assert row.setting == {"ways": 3, "shots": 4, "fewest_queries": 5}
    assert row.over == "draws" and row.each.tolist() == row.figures["draw_accuracies"]


def test_a_setting_with_too_few_classes_is_left_out_with_its_reason():
    features, labels = blobs(40, classes=4)
    found = fit_episodes(FEW_SHOT, features, labels, CLASSES)
    rows = found.outcomes(features, labels, CLASSES, seed=0)
    assert rows[0].setting["left_out"] == "4 classes have 10 training shapes or more, of 5 that are needed"
    assert [row.figures for row in rows] == [{}] * 4


def test_a_class_with_few_test_shapes_is_asked_about_all_of_them():
    features, labels = blobs(120, classes=3)
    answers = np.array([0] * 30 + [1] * 30 + [2] * 2)
    (row,) = fit_episodes(SMALL, features, labels, CLASSES).outcomes(features[:62], answers, CLASSES, seed=0)
    assert row.setting["fewest_queries"] == 2
    unseen = fit_episodes(SMALL, features, labels, CLASSES).outcomes(features[:0], answers[:0], CLASSES, seed=0)
    assert unseen[0].setting["left_out"] == "no test shape of the classes drawn"
