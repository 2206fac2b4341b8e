"""Protocols as data: what they hold, what is refused, and that every frozen one runs."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointvae.errors import InputError
from pointvae.evaluation.probes import probe_run
from pointvae.evaluation.probing.classifiers import fit_classifier
from pointvae.evaluation.probing.protocols import Protocol
from pointvae.evaluation.probing.registry import FEW_SHOT, KNN, LINEAR_SVM, PROTOCOLS, find_protocol
from pointvae.evaluation.probing.training import fit_task
from tests.evaluation.probing.test_linear_probe import blobs

EVERY = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=list(PROTOCOLS))
CLASSES = [f"class {number}" for number in range(12)]


@EVERY
def test_a_protocol_goes_through_json_unchanged(protocol):
    assert Protocol.from_dict(json.loads(json.dumps(protocol.to_dict()))) == protocol
    assert find_protocol(protocol.name) == find_protocol(protocol.identifier) == protocol
    assert protocol.source


@EVERY
def test_every_protocol_runs_on_a_small_run(protocol, run_folder, dataset_folder):
    found = probe_run(run_folder, dataset_folder, protocol=protocol.name, feature="posterior_mean")
    assert found["protocol"] == f"{protocol.name}/1"
    assert found["protocol_settings"] == json.loads(json.dumps(protocol.to_dict()))
    for row in found.get("settings", [found]):
        if "left_out" not in row:
            assert 0 <= row["accuracy"] <= 1 and 0 <= row["untrained_accuracy"] <= 1
            assert row["gain"] == pytest.approx(row["accuracy"] - row["untrained_accuracy"])
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def heaps(n, classes=12, dim=12, seed=0):
    """Classes so far apart that everyone tells them apart."""
    labels = np.arange(n, dtype=np.int64) % classes
    noise = 0.01 * np.random.default_rng(seed).standard_normal((n, dim))
    return (np.eye(dim)[labels] + noise).astype(np.float32), labels


@EVERY
def test_codes_that_lie_apart_are_told_apart(protocol):
    features, labels = heaps(360)
    fresh, answers = heaps(360, seed=1)
    found = fit_task(protocol, features, labels, CLASSES).outcomes(fresh, answers, CLASSES, seed=0)
    if protocol.name in ("pointm2ae-c0012", "crosspoint-c001"):  # so small a C gives up on features this short
        assert found[0].figures["accuracy"] > 0.9
    else:
        assert [outcome.figures["accuracy"] for outcome in found] == [1.0] * len(found)


@EVERY
def test_shuffled_labels_score_chance(protocol):
    rng = np.random.default_rng(5)
    features, labels = blobs(600, dim=6, classes=12, seed=1)
    fresh, answers = blobs(600, dim=6, classes=12, seed=2)
    labels, answers = rng.permutation(labels), rng.permutation(answers)
    found = fit_task(protocol, features.astype(np.float32), labels, CLASSES)
    for outcome in found.outcomes(fresh.astype(np.float32), answers, CLASSES, seed=0):
        low, high = outcome.figures["accuracy_interval"]
        assert low - 0.02 <= 1 / outcome.setting.get("ways", 12) <= high + 0.02


@pytest.mark.parametrize("name", ["foldingnet-c1", "recon-c0075"])
def test_the_solver_reaches_linear_svc_unscaled(name):
    from sklearn.svm import LinearSVC

    protocol = PROTOCOLS[name]
    features, labels = blobs(300)
    ours = fit_classifier(protocol, features, labels, CLASSES)
    theirs = LinearSVC(C=protocol.c_grid[0], tol=1e-10, max_iter=1_000_000).fit(features, labels)
    np.testing.assert_allclose(ours.svm.coef, theirs.coef_, atol=2e-3)
    assert ours.folds == 0 and ours.describe()["converged"]


@pytest.mark.parametrize("name", ["occo-c1", "crosspoint-c001", "pointm2ae-c0012"])
def test_the_pairwise_svm_is_scikit_learns(name):
    from sklearn.svm import SVC

    protocol = PROTOCOLS[name]
    features, labels = blobs(200)
    fresh, _ = blobs(200, seed=3)
    theirs = SVC(C=protocol.c_grid[0], kernel="linear").fit(features, labels)
    ours = fit_classifier(protocol, features, labels, CLASSES)
    np.testing.assert_array_equal(ours.predict(fresh), theirs.predict(fresh))


def test_a_pairwise_svm_can_choose_its_c():
    protocol = Protocol("mine", 1, "linear_svm", "hinge", "one_versus_one", c_grid=(1e-6, 1.0))
    features, labels = blobs(120, spread=0.5)
    fitted = fit_classifier(protocol, features, labels, CLASSES)
    assert fitted.describe()["C"] == 1.0 and fitted.folds == 5
    assert list(fitted.describe()["cv_accuracy"]) == ["1e-06", "1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classifier": "tree"}, "classifier: unknown 'tree'; it is linear_svm or logistic or knn"),
        ({"scaling": "standardize"}, "scaling: unknown 'standardize'; did you mean 'standardise'"),
        ({"loss": "hinge"}, "loss: linear_svm takes squared_hinge with one_versus_rest or hinge with one_versus_one"),
        ({"folds": 1}, "folds: must be at least 2"),
        ({"folds": 2.5}, "folds: must be a whole number, got 2.5"),
        ({"folds": True}, "folds: must be a whole number, got True"),
        ({"c_grid": []}, "c_grid: must hold a C"),
        ({"c_grid": [1, 0.1]}, "c_grid: must grow"),
        ({"c_grid": [-1]}, "c_grid: must be above 0"),
        ({"c_grid": 1}, "c_grid: must be a list, got 1"),
        ({"c_grid": ["1"]}, "c_grid: must be a number, got '1'"),
        ({"metric": "cosine"}, "metric: is for knn"),
        ({"shares": [0.1]}, "shares: are for label_efficiency"),
        ({"task": "label_efficiency", "shares": [1.5], "lone_c": 1}, "shares: must be above 0 and at most 1"),
        ({"task": "label_efficiency", "shares": [0.5]}, "lone_c: is needed by label_efficiency"),
        ({"task": "few_shot"}, "ways: are for few_shot, which needs some"),
        ({"task": "few_shot", "ways": [5], "shots": [1], "queries": 1}, "c_grid: must hold one C for few_shot"),
        ({"version": 0}, "version: must be at least 1"),
        ({"name": "a/b"}, "name: must be a word without a slash"),
        ({"source": 3}, "source: must be text, got 3"),
        ({"fold": 5}, "unknown field 'fold'; did you mean 'folds'"),
    ],
)
def test_a_wrong_field_is_refused_by_name(change, message):
    with pytest.raises(InputError, match=message):
        Protocol.from_dict(LINEAR_SVM.to_dict() | change)


def test_a_missing_field_is_refused_by_name():
    fields = {name: value for name, value in KNN.to_dict().items() if name != "loss"}
    with pytest.raises(InputError, match="protocol knn: has no field 'loss'"):
        Protocol.from_dict(fields)


def test_a_protocol_of_ones_own_is_read_from_a_file(tmp_path, run_folder, dataset_folder):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(KNN.to_dict() | {"name": "mine", "k_grid": [1]}))
    found = probe_run(run_folder, dataset_folder, protocol=str(path), feature="encoder")
    assert found["protocol"] == "mine/1" and found["k"] == 1 and found["folds"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "mine.json: no such file"),
        ("{", "mine.json: is no JSON"),
        ("[1]", "mine.json: must hold one JSON object"),
        (json.dumps(KNN.to_dict() | {"k_grid": [1]}), "'knn' is the name of a frozen protocol"),
    ],
)
def test_a_file_that_is_no_protocol_is_refused(tmp_path, text, message):
    path = tmp_path / "mine.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        find_protocol(str(path))


@given(st.integers(1, 9), st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=4, unique=True))
def test_any_valid_protocol_survives_json(version, grid):
    made = dataclasses.replace(LINEAR_SVM, name="mine", version=version, c_grid=tuple(sorted(grid)))
    assert Protocol.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_the_fields_own_few_shot_settings_are_kept():
    assert (FEW_SHOT.ways, FEW_SHOT.shots, FEW_SHOT.draws, FEW_SHOT.queries) == ((5, 10), (10, 20), 10, 20)
