"""The evaluation's part on the other protocols."""

import json

import numpy as np
import pytest

from pointvae.evaluation.features import encode
from pointvae.evaluation.probe_protocols import MEASURED, measure_protocols
from pointvae.evaluation.probes import probe_run
from pointvae.evaluation.probing.training import Encoded, encode_training
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from tests.evaluation.shapes import make_model, make_shapes


def encoded(seed, train, test):
    model = make_model(seed=seed)
    return Encoded(encode_training(model, train, View(24)), encode(model, test, View(24)))


@pytest.fixture(scope="module")
def shapes():
    return make_shapes(36, seed=1), make_shapes(15, seed=2)


@pytest.fixture(scope="module")
def part(shapes):
    return measure_protocols(encoded(1, *shapes), encoded(0, *shapes), shapes[1])


def test_it_is_plain_json_and_every_protocol_is_whole(part):
    assert json.loads(json.dumps(part.figures, allow_nan=False)) == part.figures
    assert [(p["protocol"], p["feature"]) for p in part.figures["probes"]] == [
        (protocol.identifier, feature) for protocol, feature in MEASURED
    ]
    for probe, (protocol, _) in zip(part.figures["probes"], MEASURED, strict=True):
        assert probe["protocol_settings"] == json.loads(json.dumps(protocol.to_dict()))


def test_figures_are_those_of_the_verb_probe(run_folder, dataset_folder):
    from pointvae.data.dataset import load_dataset
    from pointvae.hub import from_pretrained, untrained_twin

    data = load_dataset(dataset_folder)
    pair = [
        Encoded(encode_training(model, data["train"], View(24)), encode(model, data["test"], View(24)))
        for model in (from_pretrained(run_folder), untrained_twin(run_folder))
    ]
    found = measure_protocols(pair[0], pair[1], data["test"]).figures["probes"][1]
    alone = probe_run(run_folder, dataset_folder, protocol="knn", feature="posterior_mean")
    assert {name: alone[name] for name in found} == found


def test_arrays_are_what_the_accuracies_are_means_of(part):
    for probe in part.figures["probes"]:
        name = f"{probe['protocol'].split('/')[0]}_{probe['feature']}"
        for who, prefix in (("trained", ""), ("untrained", "untrained_")):
            rows = np.atleast_2d(part.arrays[f"{name}_{who}"])
            for values, row in zip(rows, probe.get("settings", [probe]), strict=True):
                if "left_out" in row:
                    assert np.isnan(values).all()
                else:
                    assert values.mean() == pytest.approx(row[f"{prefix}accuracy"], abs=1e-6)


def test_without_an_untrained_model_its_figures_are_absent(shapes, part):
    alone = measure_protocols(encoded(1, *shapes), None, shapes[1], work=Work(jobs=3))
    assert not any("untrained" in name for name in (*alone.arrays, *alone.figures["probes"][0]))
    for name, values in alone.arrays.items():
        np.testing.assert_array_equal(values, part.arrays[name])
