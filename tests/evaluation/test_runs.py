"""Evaluations as files, and runs held against each other."""

import json
import shutil

import numpy as np
import pytest

from pointvae.errors import InputError
from pointvae.evaluation.bench import SUBJECT, Bench
from pointvae.evaluation.comparison import compare_evaluations
from pointvae.evaluation.results import load_evaluation, save_arrays, to_json
from pointvae.evaluation.runs import compare_runs, evaluate_run
from pointvae.hub import read_run_config, save_pretrained
from tests.evaluation.shapes import make_model

PARTS = ["probes", "consistency", "latents", "reconstruction", "pictures"]


@pytest.fixture(scope="module")
def runs(run_folder, dataset_folder, tmp_path_factory):
    """Two seeds of one method and one of another, evaluated."""
    folder = tmp_path_factory.mktemp("evaluated")
    facts = {k: v for k, v in read_run_config(run_folder).items() if k not in ("model", "model_class")}
    other = {"class_path": "pointvae.ELBO", "init_args": {"beta": 4.0}}
    for name, seed, extra in (("vae-0", 0, {}), ("vae-1", 1, {}), ("beta-0", 0, {"objective": other})):
        save_pretrained(make_model(seed=seed + 5 + 7 * bool(extra)), folder / name, {**facts, "seed": seed, **extra})
        evaluate_run(folder / name, dataset_folder, parts=PARTS)
    return [folder / name for name in ("vae-0", "vae-1", "beta-0")]


def test_an_evaluation_reads_back_as_it_was(runs):
    made = load_evaluation(runs[0])
    assert sorted(path.name for path in runs[0].iterdir() if path.suffix in (".json", ".npz", ".html")) == [
        "config.json",
        "evaluation.npz",
        "metrics.json",
        "report.html",
    ]
    assert made.metrics == json.loads((runs[0] / "metrics.json").read_text())
    assert made.gallery.inputs.shape[1:] == (24, 3)
    assert made.config == read_run_config(runs[0])
    assert made.latent_map.of == 15
    assert not (runs[0] / ".evaluation").exists()


def test_figures_and_report_go_into_the_run_folder_or_another(run_folder, dataset_folder, tmp_path):
    folder = tmp_path / "new" / "out"
    found = evaluate_run(run_folder, dataset_folder, out=folder, parts=["latents"])
    assert sorted(path.name for path in folder.iterdir()) == ["evaluation.npz", "metrics.json", "report.html"]
    written = json.loads((folder / "metrics.json").read_text())
    assert {**written, "report": str(folder / "report.html")} == found
    assert load_evaluation(folder).name == "tiny"


def test_figures_that_are_no_numbers_are_null(run_folder, dataset_folder, tmp_path, monkeypatch):
    from pointvae.evaluation import evaluate as module
    from pointvae.evaluation.results import Part

    broken = {**module.PARTS, "latents": lambda _: Part({"protocol": "x", "kl": float("nan")})}
    monkeypatch.setattr(module, "PARTS", broken)
    evaluate_run(run_folder, dataset_folder, out=tmp_path, parts=["latents"])
    assert json.loads((tmp_path / "metrics.json").read_text())["kl"] is None


def test_a_place_that_is_a_file_is_refused_before_any_work(run_folder, dataset_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("pointvae.evaluation.runs.evaluate", lambda *_, **__: pytest.fail("worked"))
    (tmp_path / "a").write_text("x")
    with pytest.raises(InputError, match="a: is a file; give a folder"):
        evaluate_run(run_folder, dataset_folder, out=tmp_path / "a")


def test_every_run_stands_beside_the_first(runs):
    found = compare_runs(runs)
    assert found["baseline"] == "vae-0"
    assert [run["run"] for run in found["runs"]] == ["vae-0", "vae-1", "beta-0"]
    metrics = [load_evaluation(run).metrics for run in runs]
    for run, own in zip(found["runs"], metrics, strict=True):
        assert run["figures"]["linear_svm_none_posterior_mean"]["mean"] == own["accuracy"]
        assert run["figures"]["cd_l2_mean"]["mean"] == pytest.approx(own["cd_l2_mean"])
        assert run["figures"]["consistency_gap"]["mean"] == pytest.approx(own["consistency_gap"])
    pairs = {(pair["run"], pair["figure"]): pair for pair in found["pairs"]}
    pair = pairs["beta-0", "linear_svm_none_posterior_mean"]
    assert pair["difference"] == pytest.approx(metrics[2]["accuracy"] - metrics[0]["accuracy"])
    assert 0 <= pair["p_value"] <= 1
    pair = pairs["vae-1", "cd_l2_mean"]
    assert pair["difference"] == pytest.approx(metrics[1]["cd_l2_mean"] - metrics[0]["cd_l2_mean"])
    assert pair["interval"][0] <= pair["difference"] <= pair["interval"][1]
    assert all(name in found["figures"] for _, name in pairs)


def test_seeds_of_one_method_are_taken_together(runs):
    found = compare_runs(runs)
    methods = {method["method"]: method for method in found["methods"]}
    assert methods["vae"]["runs"] == ["vae-0", "vae-1"] and methods["beta-0"]["runs"] == ["beta-0"]
    values = [load_evaluation(run).metrics["cd_l2_mean"] for run in runs[:2]]
    told = methods["vae"]["figures"]["cd_l2_mean"]
    assert told["mean"] == pytest.approx(np.mean(values))
    assert told["standard_deviation"] == pytest.approx(np.std(values, ddof=1))
    assert methods["beta-0"]["figures"]["cd_l2_mean"]["standard_deviation"] is None
    assert found["method_pairs"] == []  # one seed in common tells nothing of the spread over seeds


def test_methods_with_the_same_seeds_are_paired_by_seed(runs, tmp_path):
    fourth = tmp_path / "beta-1"
    shutil.copytree(runs[1], fourth)  # the codes of vae-1 under another objective's name
    made = load_evaluation(runs[2])
    facts = {"metrics": load_evaluation(runs[1]).metrics | {"run": "beta-1"}, "card": made.card}
    facts |= {"config": made.config | {"seed": 1}, "classes": made.classes, "history": []}
    save_arrays(fourth / "evaluation.npz", load_evaluation(runs[1]).arrays, facts)
    pairs = compare_runs([*runs, fourth])["method_pairs"]
    found = next(pair for pair in pairs if pair["figure"] == "cd_l2_mean")
    errors = [load_evaluation(run).metrics["cd_l2_mean"] for run in (*runs, fourth)]
    assert found["seeds"] == [0, 1] and found["n"] == 2
    assert found["mean"] == pytest.approx((errors[2] - errors[0] + errors[3] - errors[1]) / 2)


def test_a_run_against_itself_differs_in_nothing(runs):
    found = compare_runs([runs[0], runs[0]])
    assert [run["run"] for run in found["runs"]] == ["vae-0", "vae-0 (2)"]
    for pair in found["pairs"]:
        assert pair["difference"] == 0 and pair["interval"] == [0, 0]
        assert pair.get("p_value", 1) == 1


def test_page_and_figures_of_a_comparison_are_one(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("pointvae.evaluation.report.compare_evaluations", lambda _: pytest.fail("compared again"))
    compare_runs(runs, out=tmp_path, seed=0)


def test_comparing_writes_one_report_for_all(runs, tmp_path):
    found = compare_runs(runs, out=tmp_path, title="Three")
    page = (tmp_path / "report.html").read_text()
    assert "<h1>Three</h1>" in page and "What distinguishes the runs" in page and "Over training seeds" in page
    assert {**json.loads((tmp_path / "comparison.json").read_text()), "report": found["report"]} == found


def test_runs_that_are_not_evaluated_are_evaluated_or_refused(runs, run_folder, dataset_folder, tmp_path):
    fresh = tmp_path / "fresh"
    shutil.copytree(run_folder, fresh)
    with pytest.raises(InputError, match=r"fresh: holds no evaluation .*`pointvae evaluate .*fresh DATASET`"):
        compare_runs([runs[0], fresh])
    found = compare_runs([runs[0], fresh], dataset=dataset_folder, parts=["latents", "consistency", "pictures"])
    assert found["runs"][1]["figures"]["consistency_gap"] is not None
    assert found["runs"][1]["figures"]["cd_l2_mean"] is None


def test_an_evaluation_of_other_weights_is_refused(runs, tmp_path):
    trained_on = tmp_path / "vae-0"
    shutil.copytree(runs[0], trained_on)
    save_pretrained(make_model(seed=99), trained_on, {"seed": 0})
    with pytest.raises(InputError, match="evaluated with other weights than it has now"):
        compare_runs([runs[0], trained_on])


@pytest.mark.parametrize(
    ("options", "told"), [({"seed": 4}, "seed is 0 and 4"), ({"points": 20}, "points is 24 and 20")], ids=str
)
def test_runs_that_were_not_evaluated_alike_are_refused(runs, dataset_folder, tmp_path, options, told):
    evaluate_run(runs[1], dataset_folder, out=tmp_path, parts=["latents"], **options)
    with pytest.raises(InputError, match=f"not evaluated alike: {told}; evaluate both"):
        compare_runs([runs[0], tmp_path])


def test_parts_of_other_protocols_are_refused(runs):
    first, second = map(load_evaluation, runs[:2])
    second.metrics["consistency"]["protocol"] = "consistency_gap/2"
    told = "the protocol of consistency is consistency_gap/1 and consistency_gap/2"
    with pytest.raises(InputError, match=f"not evaluated alike: {told}; evaluate both with the same version"):
        compare_evaluations([first, second])


def test_one_run_is_no_comparison(runs):
    with pytest.raises(InputError, match="name at least two"):
        compare_runs(runs[:1])


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 torn", b"not an archive"])
def test_a_damaged_evaluation_is_named(runs, tmp_path, damage):
    (tmp_path / "evaluation.npz").write_bytes(damage)
    with pytest.raises(InputError, match=r"evaluation.npz: damaged or no evaluation"):
        load_evaluation(tmp_path)


def test_nothing_that_is_loaded_is_executed(tmp_path):
    np.savez(tmp_path / "evaluation.npz", a=np.array([print], dtype=object))
    with pytest.raises(InputError, match=r"damaged or no evaluation .*holds pickled objects, which are never loaded"):
        load_evaluation(tmp_path)
    with pytest.raises(TypeError, match="objects"):
        save_arrays(tmp_path / "x.npz", {"a": np.array([{}], dtype=object)}, {})


def test_parts_are_added_to_an_evaluation_of_the_same_settings(run_folder, dataset_folder, tmp_path):
    whole = evaluate_run(
        run_folder, dataset_folder, out=tmp_path / "whole", parts=["latents", "drift", "consistency"]
    )
    for parts in (["drift"], ["latents"], ["consistency"]):
        found = evaluate_run(run_folder, dataset_folder, out=tmp_path / "one", parts=parts)
    timeless = [{k: v for k, v in metrics.items() if k not in ("seconds", "report")} for metrics in (found, whole)]
    assert list(timeless[0]) == list(timeless[1])
    assert timeless[0] == timeless[1]
    assert found["seconds"].keys() == whole["seconds"].keys()
    one, other = (load_evaluation(tmp_path / name).arrays for name in ("one", "whole"))
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


def test_parts_of_other_settings_take_the_place_of_an_evaluation(run_folder, dataset_folder, tmp_path):
    evaluate_run(run_folder, dataset_folder, out=tmp_path, parts=["latents"])
    found = evaluate_run(run_folder, dataset_folder, out=tmp_path, parts=["consistency"], seed=1)
    assert "latents" not in found and "active_units" not in found
    assert not any(name.startswith("latents/") for name in load_evaluation(tmp_path).arrays)


def test_what_a_bench_describes_is_what_parts_must_agree_on(run_folder, dataset_folder):
    assert tuple(Bench(run_folder, dataset_folder).describes) == SUBJECT


def test_a_folder_that_is_not_there_is_told_apart_from_one_without_an_evaluation(runs, tmp_path):
    with pytest.raises(InputError, match="absent: no such folder; name a run folder"):
        compare_runs([runs[0], tmp_path / "absent"])


def test_datasets_that_differ_are_named(runs):
    first, second = map(load_evaluation, runs[:2])
    second.metrics["dataset"] = {"name": "others", "source": "", "sha256": "f" * 64}
    with pytest.raises(InputError, match=r"dataset is shapes \([0-9a-f]{16}\) and others \(f{16}\); evaluate"):
        compare_evaluations([first, second])


def test_a_figure_that_is_no_number_for_one_shape_is_compared_as_not_measured(runs):
    first, second = map(load_evaluation, runs[:2])
    second.arrays["consistency/consistency_gap"][0] = np.nan
    found = compare_evaluations([first, second])
    assert [run["figures"]["consistency_gap"] is None for run in found["runs"]] == [False, True]
    assert "consistency_gap" not in {pair["figure"] for pair in found["pairs"]}


def test_lists_stand_on_one_line_and_read_back_as_they_were():
    figures = {"a": [1, 2.5, None], "b": [["x [y]", "z,\n w"], []], "c": {"d": [{"e": [1]}], "f": "g  [\n 1\n ]"}}
    text = to_json(figures)
    assert json.loads(text) == figures
    assert '"a": [1, 2.5, null]' in text
