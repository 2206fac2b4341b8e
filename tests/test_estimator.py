"""What we promise of `PointVAETransformer` beyond scikit-learn's own checks."""

import pickle
import random
import tempfile
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
import yaml
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import pointvae
from pointvae import ELBO, Consistency, InputError, PointVAETransformer, RotateUp, Shapes, estimator_model
from pointvae.estimator_objective import NAMED, objective_of
from pointvae.evaluation.embedding import embed_to
from pointvae.models.build import build_model
from pointvae.objectives.elbo import kl_to_prior
from pointvae.training.run_folder import describe

CONFIGS = Path(__file__).parents[1] / "configs"
TINY = {
    "latent_dim": 3,
    "points": 24,
    "max_epochs": 3,
    "learning_rate": 0.01,
    "encoder_args": {"widths": [8, 16]},
    "decoder_args": {"widths": [16]},
    "accelerator": "cpu",
    "random_state": 0,
}


def make_clouds(count, points=30, seed=0):
    """Balls and rods in turn (count, points, 3), of any size and anywhere, and which is which."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    clouds = rng.normal(size=(count, points, 3)) * np.where(labels[:, None], [0.05, 0.05, 1.0], 1.0)[:, None]
    return clouds * rng.uniform(0.1, 9, (count, 1, 1)) + rng.normal(size=(count, 1, 3)), labels


CLOUDS, LABELS = make_clouds(20)
RAGGED = [cloud[: 5 + row] for row, cloud in enumerate(CLOUDS)]


@pytest.fixture(scope="module")
def fitted():
    return PointVAETransformer(**TINY).fit(CLOUDS)


def as_shapes(clouds, labels=LABELS):
    return Shapes(np.asarray(clouds, np.float32), labels, [f"s{i}" for i in range(len(clouds))], ["ball", "rod"])


def same_weights(one, other):
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


# --- at work in scikit-learn


def test_a_pipeline_classifies_by_what_the_latents_tell():
    tests, truth = make_clouds(20, seed=1)
    pipeline = make_pipeline(PointVAETransformer(**TINY | {"max_epochs": 30}), StandardScaler(), LinearSVC())
    assert pipeline.fit(CLOUDS, LABELS).score(tests, truth) > 0.9


@pytest.mark.parametrize("clouds", [CLOUDS, RAGGED, torch.from_numpy(CLOUDS), as_shapes(CLOUDS)], ids=type)
def test_a_grid_search_and_cross_validation_cut_every_kind_of_x(clouds):
    pipeline = make_pipeline(PointVAETransformer(**TINY | {"max_epochs": 1}), LinearSVC())
    search = GridSearchCV(pipeline, {"pointvaetransformer__latent_dim": [1, 4]}, cv=2, error_score="raise")
    assert search.fit(clouds, LABELS).best_estimator_.predict(clouds).shape == (20,)
    assert np.isfinite(cross_val_score(pipeline, clouds, LABELS, cv=2, error_score="raise")).all()


def test_a_search_without_labels_goes_by_the_bound():
    search = GridSearchCV(PointVAETransformer(**TINY), {"max_epochs": [1, 30]}, cv=2).fit(CLOUDS)
    assert search.best_params_ == {"max_epochs": 30}


@pytest.mark.slow
def test_processes_of_a_grid_search_find_what_one_process_finds(fitted):
    grid = {"latent_dim": [2, 3], "objective": ["vae", "cr-vae"]}
    alone, spread = (
        GridSearchCV(PointVAETransformer(**TINY), grid, cv=2, n_jobs=jobs, error_score="raise").fit(CLOUDS)
        for jobs in (1, 2)
    )
    np.testing.assert_allclose(alone.cv_results_["mean_test_score"], spread.cv_results_["mean_test_score"], rtol=1e-5)
    (there,) = joblib.Parallel(n_jobs=2)([joblib.delayed(fitted.transform)(CLOUDS)])
    np.testing.assert_array_equal(there, fitted.transform(CLOUDS))


def test_features_stand_beside_others_and_in_a_column_of_a_table():
    pandas = pytest.importorskip("pandas")
    from sklearn.compose import ColumnTransformer

    tiny = PointVAETransformer(**TINY | {"max_epochs": 1})
    both = make_union(tiny, clone(tiny).set_params(feature="encoder"))
    assert both.fit_transform(CLOUDS).shape == (20, 3 + 16)
    table = pandas.DataFrame({"cloud": list(RAGGED), "height": np.arange(20.0)})
    for column in ("cloud", ["cloud"]):
        columns = ColumnTransformer([("shape", tiny, column), ("size", "passthrough", ["height"])])
        assert columns.fit_transform(table).shape == (20, 4)


def test_a_table_of_features_keeps_the_rows_of_its_input(fitted):
    pandas = pytest.importorskip("pandas")
    told = clone(fitted).set_params(max_epochs=1).set_output(transform="pandas").fit(RAGGED)
    names = [f"pointvaetransformer{i}" for i in range(3)]
    assert told.transform(RAGGED).columns.tolist() == names == told.get_feature_names_out().tolist()
    assert told.transform(CLOUDS).index.tolist() == list(range(20))
    column = pandas.DataFrame({"cloud": list(RAGGED)}, index=[f"r{i}" for i in range(20)])
    assert told.transform(column).index.tolist() == column.index.tolist()


# --- what X may be


def test_clouds_of_any_counts_get_what_each_gets_alone(fitted):
    alone = np.concatenate([fitted.transform([cloud]) for cloud in RAGGED])
    np.testing.assert_allclose(fitted.transform(RAGGED), alone, atol=1e-5)
    np.testing.assert_allclose(
        fitted.score_samples(RAGGED), np.concatenate([fitted.score_samples([cloud]) for cloud in RAGGED]), rtol=1e-5
    )


def test_training_takes_ragged_clouds_smaller_than_what_is_drawn():
    assert np.isfinite(PointVAETransformer(**TINY).fit(RAGGED).transform(CLOUDS)).all()


def test_neither_the_order_of_points_nor_the_other_shapes_change_a_feature(fitted):
    shuffled = np.stack([np.random.default_rng(row).permutation(cloud) for row, cloud in enumerate(CLOUDS)])
    np.testing.assert_allclose(fitted.transform(shuffled), fitted.transform(CLOUDS), atol=1e-5)
    np.testing.assert_allclose(fitted.transform(CLOUDS[7:9]), fitted.transform(CLOUDS)[7:9], atol=1e-5)


def test_size_and_place_are_taken_out_unless_told_not_to(fitted):
    moved = CLOUDS * 7 + [1, 2, 3]
    np.testing.assert_allclose(fitted.transform(moved), fitted.transform(CLOUDS), atol=1e-4)
    raw = clone(fitted).set_params(normalize="none").fit(CLOUDS)
    assert np.abs(raw.transform(moved) - raw.transform(CLOUDS)).max() > 0.1


def test_the_up_axis_of_arrays_is_turned_to_z_and_that_of_shapes_is_z(fitted):
    lying = clone(fitted).set_params(up="y").fit(CLOUDS)
    lying.model_ = fitted.model_
    y_up = CLOUDS[:, :, [0, 2, 1]] * [1, 1, -1]  # z turned to y
    np.testing.assert_allclose(lying.transform(y_up), fitted.transform(CLOUDS), atol=1e-5)
    np.testing.assert_allclose(lying.transform(as_shapes(CLOUDS)), fitted.transform(CLOUDS), atol=1e-4)


def test_arrays_tensors_lists_and_shapes_are_the_same_shapes(fitted):
    expected = fitted.transform(CLOUDS)
    tensor = torch.from_numpy(CLOUDS).requires_grad_()
    for same in (tensor, list(CLOUDS), CLOUDS.tolist(), tuple(tensor), np.asfortranarray(CLOUDS)):
        np.testing.assert_array_equal(fitted.transform(same), expected)
    np.testing.assert_allclose(fitted.transform(CLOUDS.astype(np.float32)), expected, atol=1e-4)
    np.testing.assert_allclose(fitted.transform(as_shapes(CLOUDS)), expected, atol=1e-4)


def test_a_mesh_gives_the_same_features_wherever_it_stands(fitted):
    trimesh = pytest.importorskip("trimesh")
    box, ball = trimesh.creation.box((1, 2, 3)), trimesh.creation.icosphere(2)
    mixed = fitted.transform([ball, CLOUDS[0], box])
    np.testing.assert_allclose(mixed[[2, 0]], fitted.transform([box, ball]), atol=1e-5)
    np.testing.assert_allclose(mixed[1:2], fitted.transform(CLOUDS[:1]), atol=1e-5)


def test_graphs_of_pyg_are_shapes_alone_and_batched(fitted):
    data = pytest.importorskip("torch_geometric.data")
    graphs = [data.Data(pos=torch.from_numpy(cloud)) for cloud in RAGGED]
    expected = fitted.transform(RAGGED)
    np.testing.assert_array_equal(fitted.transform(graphs), expected)
    np.testing.assert_array_equal(fitted.transform(data.Batch.from_data_list(graphs)), expected)


def test_a_dataset_trains_by_its_train_split_and_must_be_told_apart_otherwise(tmp_path):
    pointvae.prepare("procedural", tmp_path / "d", shapes_per_class=3, points=64)
    dataset = pointvae.load_dataset(tmp_path / "d")
    whole = PointVAETransformer(**TINY | {"max_epochs": 1})
    features = whole.fit_transform(dataset)
    np.testing.assert_array_equal(features, clone(whole).fit_transform(dataset["train"]))
    assert len(features) == len(dataset["train"])
    with pytest.raises(InputError, match=r"splits train, test; give one: X\['train'\]"):
        whole.transform(dataset)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (CLOUDS[0], r"\[30, 3\], not \(n, points, 3\); one cloud is X\[None\]"),
        (CLOUDS.transpose(0, 2, 1), r"X\.transpose\(0, 2, 1\)"),
        (np.concatenate([CLOUDS, CLOUDS], axis=2), r"X\[:, :, :3\]"),
        (np.zeros((4, 0, 3)), r"not \(n, points, 3\)"),
        (np.zeros((0, 5, 3)), "n_samples=0"),
        ([], "n_samples=0"),
        ([CLOUDS[0], CLOUDS[1] * np.nan], r"X\[1\]: 30 of the 30 points are NaN"),
        ([CLOUDS[0], np.ones((5, 3))], r"X\[1\]: all points coincide"),
        ([CLOUDS[0], CLOUDS[1][:1]], r"X\[1\]: .*single point"),
        (CLOUDS.astype(complex), r"X\[0\]: .*complex128"),
        ([CLOUDS[0], "chair.stl"], r"X\[1\]: .*str"),
        ([[[1, 2, 3], [4, 5]]], r"X\[0\]: "),
        ("chair.stl", "X is str; give an array"),
        (None, "X is NoneType"),
        ({"a": CLOUDS[0]}, "X is dict"),
    ],
)
def test_what_is_no_set_of_shapes_is_refused_with_its_place_and_mend(fitted, bad, why):
    for method in (fitted.transform, clone(fitted).fit, fitted.score):
        with pytest.raises(InputError, match=why) as caught:
            method(bad)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"objective": "cr-vea"}, "unknown objective 'cr-vea'; did you mean 'cr-vae'?"),
        ({"objective": 3}, "unknown objective 3"),
        ({"feature": "posterior"}, "feature must be one of posterior_mean, encoder, got 'posterior'"),
        ({"normalize": "box"}, "normalize must be one of sphere, cube, none"),
        ({"encoder": "pointnot"}, "did you mean 'pointnet'?"),
        ({"model": "VAE"}, "unknown model 'VAE'"),
        ({"model_args": {"depth": 3}}, "depth"),
        ({"points": 1}, "points must be at least 2"),
        ({"max_epochs": 0}, "max_epochs must be at least 1"),
        ({"latent_dim": 0}, "latent_dim must be at least 1"),
        ({"random_state": "a"}, "random_state"),
        ({"random_state": -1}, "random_state"),
    ],
)
def test_a_wrong_parameter_is_refused_by_fit_in_one_line(parameters, why):
    with pytest.raises(InputError) as caught:
        PointVAETransformer(**TINY | parameters).fit(CLOUDS)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_shape_is_too_few_to_train_on_and_enough_to_transform(fitted):
    with pytest.raises(InputError, match="n_samples=1"):
        clone(fitted).fit(CLOUDS[:1])
    assert fitted.transform(CLOUDS[:1]).shape == (1, 3)


# --- what fit leaves


def test_a_fit_leaves_no_file_no_word_and_no_random_state_moved(tmp_path, monkeypatch, capfd):
    scratch, here = tmp_path / "tmp", tmp_path / "here"
    for folder in (scratch, here):
        folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(here)
    before = pickle.dumps((random.getstate(), np.random.get_state())), torch.get_rng_state()  # noqa: NPY002
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PointVAETransformer(**TINY | {"random_state": None}).fit(CLOUDS).score(CLOUDS)
    assert pickle.dumps((random.getstate(), np.random.get_state())) == before[0]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    assert not list(scratch.iterdir())
    assert not list(here.iterdir())
    assert capfd.readouterr() == ("", "")


def test_a_fit_that_fails_leaves_no_file_and_the_model_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = PointVAETransformer(**TINY).fit(CLOUDS)
    before = kept.transform(CLOUDS)
    with pytest.raises(InputError):
        kept.set_params(accelerator="abacus").fit(CLOUDS)
    kept.set_params(accelerator="cpu")
    np.testing.assert_array_equal(kept.transform(CLOUDS), before)
    assert not list(tmp_path.iterdir())


def test_verbose_shows_a_bar_on_stderr_and_nothing_on_stdout(capfd):
    PointVAETransformer(**TINY | {"verbose": True}).fit(CLOUDS)
    out, err = capfd.readouterr()
    assert out == ""
    assert "epoch" in err or "training" in err


def test_a_seed_decides_everything_and_none_draws_one_that_can_be_used_again(fitted):
    again, other = (clone(fitted).set_params(random_state=seed).fit(CLOUDS) for seed in (0, 1))
    assert same_weights(again.model_, fitted.model_)
    assert not same_weights(other.model_, fitted.model_)
    drawn = [clone(fitted).set_params(random_state=None).fit(CLOUDS) for _ in range(2)]
    assert drawn[0].seed_ != drawn[1].seed_
    assert same_weights(clone(fitted).set_params(random_state=drawn[0].seed_).fit(CLOUDS).model_, drawn[0].model_)
    stream = clone(fitted).set_params(random_state=np.random.RandomState(5))
    assert stream.fit(CLOUDS).seed_ != stream.fit(CLOUDS).seed_


def test_the_loss_falls_and_has_a_value_an_epoch():
    longer = PointVAETransformer(**TINY | {"max_epochs": 20}).fit(CLOUDS)
    assert len(longer.loss_curve_) == 20
    assert longer.loss_curve_[-1] < longer.loss_curve_[0]


def test_labels_are_ignored(fitted):
    assert same_weights(clone(fitted).fit(CLOUDS, LABELS).model_, fitted.model_)


# --- copies


def test_a_clone_has_the_very_parameters_and_nothing_learned():
    objective = Consistency(ELBO(), weight=0.3, transforms=[RotateUp(30)])
    own = PointVAETransformer(**TINY, objective=objective, transforms=[RotateUp(5)])
    assert own.get_params()["objective"] is objective
    copied = clone(own.fit(CLOUDS))
    assert describe(copied.objective) == describe(objective)
    with pytest.raises(NotFittedError):
        copied.transform(CLOUDS)
    assert same_weights(copied.fit(CLOUDS).model_, own.model_)


@pytest.mark.parametrize("model", ["PointVAE", "LadderPointVAE"])
def test_a_pickle_holds_safetensors_and_gives_the_same_features(model, tmp_path):
    more = {"model": model, "model_args": {"anchors": [2], "local_dims": [1], "neighbours": 4, "width": 8}}
    own = PointVAETransformer(**TINY | (more if model == "LadderPointVAE" else {}))
    assert pickle.loads(pickle.dumps(own)).get_params() == own.get_params()
    own.fit(CLOUDS)
    stored = pickle.dumps(own)
    assert b"torch" not in stored
    assert b"decoder" in stored
    joblib.dump(own, tmp_path / "own.joblib")
    for copied in (pickle.loads(stored), joblib.load(tmp_path / "own.joblib")):
        np.testing.assert_array_equal(copied.transform(CLOUDS), own.transform(CLOUDS))
        np.testing.assert_array_equal(copied.score_samples(CLOUDS), own.score_samples(CLOUDS))
        assert copied.loss_curve_ == own.loss_curve_


# --- back, and the bound


def test_latents_decode_to_clouds_in_the_frame_of_training():
    own = PointVAETransformer(**TINY | {"max_epochs": 40, "output_points": 40, "likelihood": "mixture"}).fit(CLOUDS)
    back = own.inverse_transform(own.transform(CLOUDS))
    assert back.shape == (20, 40, 3)
    spread = back.std(axis=1)
    tall = spread[:, 2] / spread[:, :2].mean(axis=1)
    assert tall[LABELS == 1].mean() > 1.5 * tall[LABELS == 0].mean()  # rods come back as rods
    assert np.abs(back).max() < 3


def test_only_latents_of_the_model_decode(fitted):
    with pytest.raises(InputError, match=r"latents must be \(n, 3\)"):
        fitted.inverse_transform(np.zeros((2, 4)))
    with pytest.raises(InputError, match="no way back"):
        pickle.loads(pickle.dumps(fitted)).set_params(feature="encoder").inverse_transform(np.zeros((2, 16)))


def test_the_score_is_the_bound_a_point_as_a_plain_loop_has_it(monkeypatch):
    noise = torch.randn(5, 3, generator=torch.Generator().manual_seed(3))
    monkeypatch.setattr(estimator_model, "_noise", lambda cloud, dim: noise)
    own, found = PointVAETransformer(**TINY | {"likelihood": "mixture"}).fit(RAGGED), []
    for cloud in RAGGED:
        centred = cloud - cloud.mean(axis=0)  # no more than 24 points, so all are seen
        x = torch.from_numpy(centred / np.linalg.norm(centred, axis=1).max()).float()[None]
        with torch.no_grad():
            q = own.model_.posterior(x)
            draws = [q.mean + sign * q.stddev * e for e in noise for sign in (1, -1)]
            values = [own.model_.likelihood.log_prob(own.model_.decoder(z), x) for z in draws]
            found.append(float(torch.stack(values).mean() - kl_to_prior(q).sum()) / x.shape[1])
    np.testing.assert_allclose(own.score_samples(RAGGED), found, rtol=1e-4)
    assert own.score(RAGGED) == pytest.approx(np.mean(found))


def test_the_draws_of_a_score_are_normal_and_each_shape_has_its_own():
    drawn = torch.stack([estimator_model._noise(cloud.astype(np.float32), 50) for cloud in CLOUDS])
    assert torch.equal(drawn[3], estimator_model._noise(CLOUDS[3].astype(np.float32)[::-1], 50))
    assert drawn.mean().abs() < 0.05
    assert drawn.std() == pytest.approx(1, abs=0.05)
    assert len(drawn[:, 0, 0].unique()) == 20


def test_training_raises_the_bound():
    scores = [PointVAETransformer(**TINY | {"max_epochs": n}).fit(CLOUDS).score(CLOUDS) for n in (1, 40)]
    assert scores[1] > scores[0]


# --- objectives by name, and runs


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_name_is_the_objective_of_its_file_in_configs(name):
    written = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))["objective"]

    def complete(part):
        """A file's objective with all that it leaves to the constructors."""
        if isinstance(part, str) and part in pointvae.__all__:
            return getattr(pointvae, part)()
        if isinstance(part, dict) and "class_path" in part:
            return getattr(pointvae, part["class_path"])(**{k: complete(v) for k, v in part["init_args"].items()})
        return [complete(value) for value in part] if isinstance(part, list) else part

    assert describe(objective_of(name, 1.0, None)) == describe(complete(written))


def test_weight_and_transforms_reach_the_objectives_that_have_them():
    made = objective_of("cr-vae", 0.25, [RotateUp(7)])
    assert (made.weight, made.transforms[0].degrees) == (0.25, 7)
    assert objective_of("vae-aug", 0.25, None).weight == 0
    assert objective_of("triplet", 0.25, None).weight == 0.25


def test_a_run_becomes_a_fitted_transformer_whose_clone_trains_as_the_run_did(tmp_path, fitted):
    parts = {name: TINY[name] for name in ("latent_dim", "points", "encoder_args", "decoder_args")}
    objective = Consistency(ELBO(beta=2.0), weight=0.5, transforms=[RotateUp(20)])
    shapes = as_shapes(CLOUDS / np.abs(CLOUDS).max())
    run = pointvae.fit(
        build_model(parts, 4), shapes, tmp_path / "r", objective,
        epochs=2, points=20, seed=4, validation_fraction=0.0, accelerator="cpu",
    )  # fmt: skip
    made = PointVAETransformer.from_run(tmp_path / "r", normalize="none", accelerator="cpu")
    assert same_weights(made.model_, run.model)
    whole = clone(made).set_params(points=30).fit(shapes)
    assert not same_weights(whole.model_, run.model)
    assert same_weights(clone(made).fit(shapes).model_, run.model)


def test_an_objective_from_elsewhere_must_be_given(tmp_path, fitted):
    pointvae.save_pretrained(
        fitted.model_, tmp_path / "r", {"objective": {"class_path": "os.system", "init_args": {}}}
    )
    with pytest.raises(InputError, match=r"os\.system is not of pointvae; give it"):
        PointVAETransformer.from_run(tmp_path / "r")
    given = PointVAETransformer.from_run(tmp_path / "r", objective="vae", points=24)
    np.testing.assert_array_equal(given.transform(CLOUDS), fitted.transform(CLOUDS))


def test_a_fitted_transformer_saved_is_read_by_the_command_line_and_back(tmp_path, fitted):
    fitted.save_pretrained(tmp_path / "run")
    back = PointVAETransformer.from_run(tmp_path / "run", accelerator="cpu")
    differ = {name for name, value in fitted.get_params().items() if back.get_params()[name] != value}
    assert differ <= {"objective", "output_points", "likelihood_args"}  # spelled out where they were left open
    np.testing.assert_array_equal(back.transform(CLOUDS), fitted.transform(CLOUDS))
    seen = CLOUDS[:, :24]
    np.savez(tmp_path / "clouds.npz", points=seen)
    embed_to(tmp_path / "run", tmp_path / "clouds.npz", tmp_path / "latents.npz")
    latents = np.load(tmp_path / "latents.npz")
    rows = [int(name.split("_")[-1]) for name in latents["names"]]
    np.testing.assert_allclose(latents["posterior_mean"], fitted.transform(seen)[rows], atol=1e-4)
