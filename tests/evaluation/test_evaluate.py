"""`evaluate`: every figure is the one its own function gives, and no setting of the machine changes one."""

import dataclasses
import json

import numpy as np
import pytest

from pointvae.data.dataset import ShapeDataset, load_dataset
from pointvae.data.prepare import prepare
from pointvae.errors import InputError
from pointvae.evaluation import bench as bench_module
from pointvae.evaluation import evaluate as module
from pointvae.evaluation.attack_run import attack_run
from pointvae.evaluation.drift import self_consistency_drift
from pointvae.evaluation.evaluate import evaluate, read_history
from pointvae.evaluation.features import encode
from pointvae.evaluation.latents import active_units, consistency_gaps
from pointvae.evaluation.parts import PARTS
from pointvae.evaluation.probes import probe_run
from pointvae.evaluation.reconstruction import reconstruct
from pointvae.evaluation.report import report_html
from pointvae.evaluation.results import Part, to_json
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.hub import from_pretrained, save_pretrained
from pointvae.models.build import build_model
from pointvae.transforms import Compose, default_transforms
from tests.evaluation.shapes import make_shapes

CHEAP = ["probes", "consistency", "latents", "drift", "reconstruction", "pictures"]


@pytest.fixture(scope="module")
def made(run_folder, dataset_folder):
    return evaluate(run_folder, dataset_folder, seed=2, quick=True)


def timeless(metrics):
    return {name: value for name, value in metrics.items() if name != "seconds"}


@pytest.mark.parametrize("rotation", ["none", "z", "z/so3", "so3"])
def test_probes_are_those_of_the_verb_probe(made, run_folder, dataset_folder, rotation):
    expected = probe_run(run_folder, dataset_folder, rotation=rotation, seed=2)
    found = made.metrics["probes"]["rotations"][rotation]
    assert found == {name: value for name, value in expected.items() if name not in ("dataset", "run")}
    right = made.arrays[f"probes/{rotation.replace('/', '_')}_encoder_untrained"]
    assert right.mean() == found["probes"][1]["untrained_accuracy"]


def test_the_headline_repeats_the_parts(made):
    m = made.metrics
    assert m["accuracy"] == m["probes"]["rotations"]["none"]["accuracy"]
    assert m["untrained_accuracy"] == m["probes"]["rotations"]["none"]["untrained_accuracy"]
    assert m["rotated_accuracy"] == m["probes"]["rotations"]["z"]["accuracy"]
    assert m["untrained_rotated_accuracy"] == m["probes"]["rotations"]["z"]["untrained_accuracy"]
    assert m["active_units"] == m["latents"]["active_units"]
    assert m["cd_l2_mean"] == m["reconstruction"]["measures"]["cd_l2_mean"]["mean"]


def test_every_part_is_there_with_its_protocol_or_the_reason_why_not(made):
    for name in PARTS:
        figures = made.metrics[name]
        assert figures.get("protocol") or figures["left_out"], name
        assert made.metrics["seconds"][name] >= 0
    left_out = {name for name in PARTS if "left_out" in made.metrics[name]}
    assert left_out == {"likelihood", "disentanglement"}
    assert "no recorded factors" in made.metrics["disentanglement"]["left_out"]
    json.loads(to_json(made.metrics))


def test_error_and_latents_are_those_of_the_test_split(made, run_folder, dataset_folder):
    model, test = from_pretrained(run_folder), load_dataset(dataset_folder)["test"]
    view = View(24, seed=2)
    errors = reconstruct(model, view.clouds(test)).cd_l2_mean
    np.testing.assert_allclose(made.arrays["reconstruction/cd_l2_mean"], errors, rtol=1e-4)
    assert made.metrics["active_units"] == active_units(encode(model, test, view).posterior_mean)
    gaps = consistency_gaps(model, test, Compose(default_transforms()), view, seed=2)
    np.testing.assert_array_equal(made.arrays["consistency/consistency_gap"], gaps)
    assert made.metrics["consistency_gap"] == pytest.approx(gaps.mean(dtype=np.float64))
    np.testing.assert_allclose(made.worst.cd_l2_mean, np.sort(errors)[::-1][:4], rtol=1e-4)


def test_the_drift_is_that_of_the_test_split_and_starts_at_the_probed_codes(made, run_folder, dataset_folder):
    found, test = made.metrics["drift"], load_dataset(dataset_folder)["test"]
    expected = self_consistency_drift(from_pretrained(run_folder), test, View(24, seed=2), seed=2)
    assert found["kl_to_start"] == pytest.approx(expected.kl_to_start.mean(axis=1).tolist(), rel=1e-3)
    assert found["probe_accuracy"][0] == made.metrics["accuracy"]
    assert len(found["probe_accuracy"]) == found["rounds"] + 1 == 6


def test_the_floor_of_reconstructions_is_made_of_other_points(dataset_folder):
    test = load_dataset(dataset_folder)["test"]
    view = View(20, "z", seed=1)
    seen, others = view.clouds(test), view.other_points(test)
    assert seen.shape == others.shape
    both = np.concatenate([seen, others], axis=1)
    assert all(len(np.unique(cloud, axis=0)) == 40 for cloud in both)
    stored = np.sort(np.linalg.norm(test.points, axis=2), axis=1)
    np.testing.assert_allclose(np.sort(np.linalg.norm(both, axis=2), axis=1), stored, atol=1e-6)
    assert View(21).other_points(test) is None
    assert View().other_points(test) is None


def test_pictures_belong_to_their_names(made, dataset_folder):
    test = load_dataset(dataset_folder)["test"]
    clouds = dict(zip(test.names, View(24, seed=2).clouds(test), strict=True))
    for gallery in (made.gallery, made.worst):
        for name, cloud in zip(gallery.names, gallery.inputs, strict=True):
            np.testing.assert_array_equal(cloud, clouds[name])
    for name, cloud, label in zip(made.latent_map.names, made.latent_map.clouds, made.latent_map.labels, strict=True):
        np.testing.assert_array_equal(cloud, clouds[name])
        assert name.startswith(made.classes[label])
    for name, cloud in zip(made.path_names, made.path_ends, strict=True):
        np.testing.assert_array_equal(cloud, clouds[name])


def test_the_way_starts_and_ends_at_the_reconstructions(made, run_folder):
    expected = reconstruct(from_pretrained(run_folder), made.path_ends).points
    np.testing.assert_allclose(made.path[[0, -1]], expected, atol=1e-5)


@pytest.mark.parametrize("work", [Work(7, 1), Work(200, 3)], ids=str)
def test_no_digit_depends_on_the_run_the_batch_size_or_the_threads(made, run_folder, dataset_folder, work):
    again = evaluate(run_folder, dataset_folder, seed=2, quick=True, work=work)
    assert to_json(timeless(again.metrics)) == to_json(timeless(made.metrics))
    assert again.arrays.keys() == made.arrays.keys()
    for name, array in again.arrays.items():
        np.testing.assert_array_equal(array, made.arrays[name], err_msg=name)


def test_another_seed_gives_other_figures(made, run_folder, dataset_folder):
    other = evaluate(run_folder, dataset_folder, seed=3, parts=["consistency"])
    assert other.metrics["consistency_gap"] != made.metrics["consistency_gap"]


def test_quick_takes_a_part_of_both_splits(run_folder, dataset_folder, monkeypatch):
    monkeypatch.setattr(bench_module, "QUICK_TRAIN", 12)
    monkeypatch.setattr(bench_module, "QUICK_TEST", 6)
    made = evaluate(run_folder, dataset_folder, quick=True, parts=CHEAP)
    assert made.metrics["quick"]
    assert made.metrics["n_shapes"] == made.latent_map.of == 6
    probe = made.metrics["probes"]["rotations"]["z"]
    assert (probe["n_train"], probe["n_test"]) == (12, 6)


def test_shapes_without_labels_are_evaluated_without_a_probe(run_folder, dataset_folder, monkeypatch):
    read = ShapeDataset.__getitem__
    monkeypatch.setattr(
        ShapeDataset, "__getitem__", lambda self, split: dataclasses.replace(read(self, split), labels=None)
    )
    made = evaluate(run_folder, dataset_folder, quick=True)
    for name in ("probes", "probe_protocols", "clustering", "retrieval"):
        assert "no labels" in made.metrics[name]["left_out"], name
    assert "probe_accuracy" not in made.metrics["drift"]
    assert "accuracy" not in made.metrics
    assert made.latent_map.labels is None
    for name in ("reconstruction", "generation", "corruptions", "attacks", "sensitivity", "information"):
        assert "protocol" in made.metrics[name], name


def test_a_class_that_training_lacks_leaves_the_probes_out_and_nothing_else(run_folder, dataset_folder, monkeypatch):
    read = ShapeDataset.__getitem__

    def without_sticks(self, split):
        shapes = read(self, split)
        return shapes[shapes.labels < 2] if split == "train" else shapes

    monkeypatch.setattr(ShapeDataset, "__getitem__", without_sticks)
    made = evaluate(run_folder, dataset_folder, quick=True, parts=["probes", "retrieval"])
    assert "no training shape of 'stick'" in made.metrics["probes"]["left_out"]
    assert made.metrics["retrieval"]["queries"] == 15


def test_a_killed_evaluation_goes_on_with_the_next_part(run_folder, dataset_folder, tmp_path, monkeypatch):
    expected = evaluate(run_folder, dataset_folder, parts=CHEAP)
    calls = []

    def counted(name, part):
        def measure(bench):
            calls.append(name)
            if name == "drift" and calls.count("drift") == 1:
                raise KeyboardInterrupt
            return part(bench)

        return measure

    monkeypatch.setattr(module, "PARTS", {name: counted(name, part) for name, part in PARTS.items()})
    with pytest.raises(KeyboardInterrupt):
        evaluate(run_folder, dataset_folder, parts=CHEAP, scratch=tmp_path)
    again = evaluate(run_folder, dataset_folder, parts=CHEAP, scratch=tmp_path)
    assert calls == ["probes", "consistency", "latents", "drift", "drift", "reconstruction", "pictures"]
    assert timeless(again.metrics) == json.loads(to_json(timeless(expected.metrics)))
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array, err_msg=name)


@pytest.mark.parametrize("other", [{"seed": 1}, {"points": 20}, {"quick": True}], ids=str)
def test_finished_parts_of_other_settings_are_not_taken(run_folder, dataset_folder, tmp_path, monkeypatch, other):
    evaluate(run_folder, dataset_folder, parts=["latents"], scratch=tmp_path)
    monkeypatch.setattr(module, "PARTS", {**PARTS, "latents": lambda _: Part({"protocol": "made again"})})
    taken = evaluate(run_folder, dataset_folder, parts=["latents"], scratch=tmp_path)
    assert taken.metrics["latents"]["protocol"] == "latents/1"
    fresh = evaluate(run_folder, dataset_folder, parts=["latents"], scratch=tmp_path, **other)
    assert fresh.metrics["latents"]["protocol"] == "made again"


def test_a_torn_part_is_made_again(run_folder, dataset_folder, tmp_path, caplog):
    first = evaluate(run_folder, dataset_folder, parts=["latents"], scratch=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    again = evaluate(run_folder, dataset_folder, parts=["latents"], scratch=tmp_path)
    assert timeless(again.metrics) == timeless(first.metrics)
    assert "damaged; this part is made again" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 41}, "--points 41"),
        ({"parts": ["probs"]}, "--parts 'probs': unknown; did you mean 'probes'"),
        ({"parts": []}, "--parts: names none"),
        ({"quick": True, "full": True}, "--quick and --full: choose one"),
    ],
)
def test_a_wrong_option_is_refused(run_folder, dataset_folder, options, message):
    with pytest.raises(InputError, match=message):
        evaluate(run_folder, dataset_folder, **options)


def test_empty_cells_of_the_history_are_left_out(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,train/loss,val/loss\n1,3.5,\n2,3,2.5\n")
    assert read_history(tmp_path / "metrics.csv") == [
        {"epoch": 1, "train/loss": 3.5},
        {"epoch": 2, "train/loss": 3, "val/loss": 2.5},
    ]
    assert read_history(tmp_path / "nothing.csv") == []


def test_a_damaged_history_is_told(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,train/loss\n1,abc\n")
    with pytest.raises(InputError, match=r"metrics.csv: damaged .*abc.*remove it"):
        read_history(tmp_path / "metrics.csv")


def test_a_model_that_diverged_is_refused_by_the_name_of_its_weights(run_folder, dataset_folder, tmp_path):
    model = from_pretrained(run_folder)
    weights = dict(model.named_parameters())["head.linear.weight"]
    weights.data[0, 0] = float("nan")
    save_pretrained(model, tmp_path, {"seed": 0})
    told = r"its weights hold NaN or infinity \(head.linear.weight\): the training diverged"
    for work in (evaluate, attack_run):
        with pytest.raises(InputError, match=told):
            work(tmp_path, dataset_folder)


def test_codes_at_infinity_leave_out_what_needs_them(run_folder, dataset_folder, tmp_path):
    model = from_pretrained(run_folder)
    dict(model.named_parameters())["head.linear.weight"].data.fill_(3e38)
    save_pretrained(model, tmp_path, {"seed": 0})
    made = evaluate(tmp_path, dataset_folder, parts=["latents"])
    assert "the codes hold NaN or infinity" in made.metrics["latents"]["left_out"]


def test_clouds_at_infinity_leave_out_the_drift(run_folder, dataset_folder, tmp_path):
    model = from_pretrained(run_folder)
    for weights in model.decoder.parameters():
        weights.data.fill_(3e38)
    save_pretrained(model, tmp_path, {"seed": 0})
    made = evaluate(tmp_path, dataset_folder, parts=["latents", "drift", "reconstruction"])
    assert "codes become NaN or infinite" in made.metrics["drift"]["left_out"]
    assert "left_out" in made.metrics["reconstruction"] and "left_out" not in made.metrics["latents"]


def test_a_likelihood_that_is_no_number_is_left_out(dataset_folder, tmp_path):
    model = build_model({"latent_dim": 4, "points": 24, "likelihood": "mixture"}, 0)
    for weights in model.decoder.parameters():
        weights.data.fill_(3e38)
    save_pretrained(model, tmp_path, {"seed": 0})
    made = evaluate(tmp_path, dataset_folder, quick=True, parts=["likelihood", "latents"])
    assert "decoder output 0 of 240" in (why := made.metrics["likelihood"]["left_out"]) and "holds infinity" in why
    assert "holds infinity" in report_html([made])


def test_shapes_of_one_class_lack_probes_and_nothing_else(run_folder, dataset_folder, tmp_path):
    shapes = make_shapes(12, seed=3)
    arrays = {"classes": np.array(["all"])}
    for split, half in (("train", slice(0, 6)), ("test", slice(6, 12))):
        arrays[f"{split}_points"] = shapes.points[half]
        arrays[f"{split}_labels"] = np.zeros(6, np.int64)
        arrays[f"{split}_names"] = np.array(shapes.names[half])
    np.savez(tmp_path / "one.npz", **arrays)
    prepare(str(tmp_path / "one.npz"), str(tmp_path / "one"))
    made = evaluate(run_folder, tmp_path / "one", quick=True, parts=["probes", "drift", "sensitivity", "corruptions"])
    left_out = {
        name: made.metrics[name].get("left_out") for name in ("probes", "drift", "sensitivity", "corruptions")
    }
    assert left_out.pop("probes") == "the train split holds 1 class; a probe needs at least 2"
    assert set(left_out.values()) == {None}
