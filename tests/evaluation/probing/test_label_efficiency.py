"""Few labels: which shapes have one, and what is learned from them alone."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointvae.evaluation.probing.label_efficiency import fit_parts, labelled
from pointvae.evaluation.probing.linear_probe import fit_probe
from pointvae.evaluation.probing.registry import LABEL_EFFICIENCY
from pointvae.evaluation.work import Work
from tests.evaluation.probing.test_linear_probe import CLASSES, blobs

SMALL = dataclasses.replace(LABEL_EFFICIENCY, shares=(0.01, 0.5), draws=2, c_grid=(1e-2, 1.0))


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(0, 99), st.floats(0.01, 1))
def test_every_class_gives_its_share_and_never_none(sizes, draw, share):
    labels = np.random.default_rng(draw).permutation(np.repeat(np.arange(len(sizes)), sizes))
    chosen = labelled(labels, share, draw)
    assert len(set(chosen.tolist())) == len(chosen)
    for label, size in enumerate(sizes):
        count = int(np.sum(labels[chosen] == label))
        assert count == max(1, int(share * size + 0.5)) and count <= size
    assert set(labelled(labels, share / 2, draw).tolist()) <= set(chosen.tolist())


def test_draws_and_seeds_differ():
    labels = np.arange(100) % 4
    kept = [labelled(labels, 0.1, 0), labelled(labels, 0.1, 1), labelled(labels, 0.1, 0, seed=1)]
    assert len({tuple(chosen.tolist()) for chosen in kept}) == 3


def test_each_part_is_the_linear_probe_of_its_labels():
    features, labels = blobs(120)
    fresh, answers = blobs(90, seed=3)
    found = fit_parts(SMALL, features, labels, CLASSES, work=Work(jobs=3))
    rows = found.outcomes(fresh, answers, CLASSES, seed=0)
    assert [row.setting for row in rows] == [{"share": 0.01, "labels": 4}, {"share": 0.5, "labels": 60}]
    for row, share in zip(rows, SMALL.shares, strict=True):
        right = []
        for draw in range(2):
            chosen = labelled(labels, share, draw)
            grid = (0.1,) if share == 0.01 else SMALL.c_grid
            probe = fit_probe(features[chosen], labels[chosen], CLASSES, c_grid=grid)
            right.append(probe.predict(fresh) == answers)
            assert row.figures["C"][draw] == probe.c
        assert row.figures["draw_accuracies"] == [part.mean() for part in right]
        assert row.figures["accuracy"] == pytest.approx(np.mean(right))
        assert row.figures["standard_deviation"] == pytest.approx(np.std(row.figures["draw_accuracies"], ddof=1))
        np.testing.assert_array_equal(row.each, np.mean(right, axis=0))


def test_the_other_labels_play_no_part():
    features, labels = blobs(120)
    fresh, answers = blobs(50, seed=3)
    one = dataclasses.replace(SMALL, draws=1, shares=(0.5,))
    chosen = labelled(labels, 0.5, 0)
    rest = np.setdiff1d(np.arange(120), chosen)
    changed = features.copy()
    changed[rest] += 100
    first, second = (fit_parts(one, part, labels, CLASSES) for part in (features, changed))
    a, b = (part.outcomes(fresh, answers, CLASSES, seed=0)[0].figures for part in (first, second))
    assert a == b
