"""Where a training's figures and pictures go, and that none of it changes the training."""

import json
import sys
import types
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers.logger import Logger

from pointvae import Consistency, InputError, refine
from pointvae.training import loggers
from pointvae.training.loggers import logger_names
from tests.training.test_fit import shapes, train

__all__ = ["shapes"]  # a fixture


def weights(run):
    return (run / "model.safetensors").read_bytes()


def events(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(run / "tensorboard"), size_guidance={"tensors": 0, "images": 0})
    return read.Reload()


def test_pictures_and_loggers_change_no_digit_of_the_training_and_no_global_generator(shapes, tmp_path):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train(shapes, tmp_path / "with", Consistency(), pictures_every=1)
    train(shapes, tmp_path / "without", Consistency(), logger="none")
    assert weights(tmp_path / "with") == weights(tmp_path / "without")
    assert torch.equal(torch.get_rng_state(), before[0]) and (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    assert not (tmp_path / "without" / "tensorboard").exists()
    assert (tmp_path / "without" / "metrics.csv").is_file()


def test_a_run_that_went_on_with_pictures_is_the_run_in_one_go(shapes, tmp_path):
    train(shapes, tmp_path / "whole", epochs=3, schedule="constant", pictures_every=0)
    train(shapes, tmp_path / "parts", epochs=1, schedule="constant", pictures_every=1)
    train(shapes, tmp_path / "parts", epochs=3, schedule="constant", pictures_every=2, resume=True)
    assert weights(tmp_path / "whole") == weights(tmp_path / "parts")


def test_tensorboard_has_every_term_raw_and_weighted_and_the_same_shapes_every_so_many_epochs(shapes, tmp_path):
    train(shapes, tmp_path / "run", epochs=4, pictures_every=2)
    found = events(tmp_path / "run")
    tags = found.Tags()
    assert {"train/kl", "train/weighted/kl", "train/reconstruction", "val/loss"} <= set(tags["scalars"])
    steps = [e.step for e in found.Scalars("train/loss")]
    assert [e.step for e in found.Images("reconstructions")] == steps[1::2]
    vertices = found.Tensors("reconstruction/1_VERTEX")
    from tensorboard.util.tensor_util import make_ndarray

    clouds = [make_ndarray(e.tensor_proto)[0] for e in vertices]
    assert [e.step for e in vertices] == steps[1::2] and clouds[0].shape == (32, 3)
    assert (clouds[0][:16] == clouds[1][:16]).all(), "the shape itself"
    assert (clouds[0][16:] != clouds[1][16:]).any(), "what the model makes of it"
    assert clouds[0][:16, 0].max() < 0 < clouds[0][16:, 0].min() + 1.2, "side by side"
    assert len([t for t in tags["tensors"] if t.endswith("_COLOR")]) == 4  # two of each class are held out


def test_the_picture_shows_each_shape_above_its_reconstruction(shapes, tmp_path):
    import io

    from PIL import Image

    train(shapes, tmp_path / "run", epochs=1, pictures_every=1)
    encoded = events(tmp_path / "run").Images("reconstructions")[0].encoded_image_string
    drawn = np.asarray(Image.open(io.BytesIO(encoded)))
    height, width, _ = drawn.shape
    inked = (drawn < 200).any(axis=2)
    for column in range(4):
        part = inked[:, column * width // 4 : (column + 1) * width // 4]
        assert part[height // 7 : height // 2].any() and part[height // 2 :].any()


def test_the_modes_of_the_model_are_put_back(shapes, tmp_path, monkeypatch):
    from pointvae.training import pictures

    seen = []
    real = pictures.Pictures.on_train_epoch_end

    def look(self, trainer, module):
        before = {name: part.training for name, part in module.model.named_modules()}
        real(self, trainer, module)
        seen.append(before == {name: part.training for name, part in module.model.named_modules()})

    monkeypatch.setattr(pictures.Pictures, "on_train_epoch_end", look)
    train(shapes, tmp_path / "run", epochs=2, pictures_every=1)
    assert seen == [True, True]


def test_without_held_out_shapes_or_without_loggers_nothing_is_drawn(shapes, tmp_path, monkeypatch):
    monkeypatch.setattr("pointvae.training.pictures.picture", lambda *_: pytest.fail("drawn"))
    train(shapes, tmp_path / "a", epochs=1, pictures_every=1, validation_fraction=0.0)
    train(shapes, tmp_path / "b", epochs=1, pictures_every=1, logger="none")


def test_where_the_drawing_package_is_absent_training_goes_on_and_says_so_once(shapes, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    train(shapes, tmp_path / "run", epochs=2, pictures_every=1)
    told = [r.message for r in caplog.records if "no pictures are drawn" in r.message]
    assert len(told) == 1 and "matplotlib" in told[0]


def test_refining_draws_clouds_of_the_prior_and_changes_no_digit(shapes, tmp_path):
    train(shapes, tmp_path / "run", epochs=1)
    for name, every in (("with", 1), ("without", 0)):
        refine(tmp_path / "run", tmp_path / name, epochs=1, shapes=16, accelerator="cpu", pictures_every=every)
    assert weights(tmp_path / "with") == weights(tmp_path / "without")
    assert events(tmp_path / "with").Images("reconstructions")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tensorbord", ["did you mean 'tensorboard'", "wandb"]),
        ("none,wandb", ["none alone"]),
        ("", ["name one or more"]),
        ("wandb", ["pip install 'pointvae[wandb]'"]),
        ("tensorboard, mlflow", ["pip install 'pointvae[mlflow]'"]),
    ],
)
def test_a_logger_that_cannot_be_is_refused_and_nothing_is_written(shapes, tmp_path, monkeypatch, text, words):
    monkeypatch.setattr(loggers, "find_spec", lambda _: None)
    with pytest.raises(InputError) as caught:
        train(shapes, tmp_path / "run", logger=text)
    assert all(word in str(caught.value) for word in words) and "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_names_may_stand_together_and_twice():
    assert logger_names(" tensorboard,tensorboard ") == ["tensorboard"]


def test_a_negative_number_of_epochs_between_pictures_is_refused(shapes, tmp_path):
    with pytest.raises(InputError, match="pictures_every"):
        train(shapes, tmp_path / "run", pictures_every=-1)


class Fake(Logger):
    """What the clients of servers do, as far as it matters here, without a server."""

    refuses = False

    def __init__(self, **settings):
        super().__init__()
        self.settings, self.told, self.rows, self.pictures, self.finished = settings, [], [], [], []
        self.experiment = types.SimpleNamespace(
            finish=lambda exit_code: self.finished.append(exit_code),
            log_image=lambda version, picture, key, step: self.pictures.append((key, step)),
        )
        made.append(self)

    @property
    def name(self):
        return "fake"

    @property
    def version(self):
        return self.settings.get("id") or self.settings.get("run_id") or "r1"

    def log_hyperparams(self, params):
        if self.refuses:
            raise ConnectionError("nobody\nthere")
        self.told.append(params)

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, set(metrics)))

    def log_image(self, key, images, step):
        self.pictures.append((key, step))


made: list[Fake] = []


class WandbLogger(Fake):
    pass


class MLFlowLogger(Fake):
    pass


@pytest.fixture
def servers(monkeypatch):
    """W&B's and MLflow's loggers replaced by such as only remember."""
    made.clear()
    for module in (WandbLogger, MLFlowLogger):
        monkeypatch.setattr(f"lightning.pytorch.loggers.{module.__name__}", module)
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(run=None))
    monkeypatch.setattr(loggers, "find_spec", lambda _: object())
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("servers")
def test_servers_are_told_settings_every_term_and_pictures_and_are_ended(shapes, tmp_path):
    train(shapes, tmp_path / "run", logger="wandb,mlflow", pictures_every=1)
    wandb, mlflow = made
    for log in made:
        assert log.told[0]["epochs"] == 2
        names = set().union(*[names for _, names in log.rows])
        assert {"train/kl", "train/weighted/kl", "val/kl"} <= names
        assert [key for key, _ in log.pictures] == ["reconstructions"] * 2
    assert wandb.finished == [0] and wandb.settings["project"] == "pointvae"
    assert mlflow.settings["tracking_uri"] == f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}"
    assert json.loads((tmp_path / "run" / "loggers.json").read_text()) == {"wandb": wandb.version, "mlflow": "r1"}


@pytest.mark.usefixtures("servers")
def test_a_resumed_run_goes_on_under_its_ids(shapes, tmp_path, monkeypatch):
    train(shapes, tmp_path / "run", logger="wandb,mlflow", epochs=1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    train(shapes, tmp_path / "run", logger="wandb,mlflow", epochs=2, resume=True)
    first, _, again, mlflow = made
    assert again.settings["id"] == first.settings["id"] and again.settings["resume"] == "allow"
    assert mlflow.settings["run_id"] == "r1" and mlflow.told == []
    assert mlflow.settings["tracking_uri"] == "http://tracker:5000" and mlflow.settings["artifact_location"] is None


@pytest.mark.usefixtures("servers")
def test_a_server_that_refuses_is_one_line_and_leaves_no_folder(shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(Fake, "refuses", True)
    with pytest.raises(InputError, match=r"--logger wandb: cannot begin \(nobody there\).*WANDB_MODE=offline"):
        train(shapes, tmp_path / "run", logger="wandb")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("servers")
def test_a_refusal_on_resuming_keeps_the_run(shapes, tmp_path, monkeypatch):
    train(shapes, tmp_path / "run", epochs=1)
    monkeypatch.setattr(Fake, "refuses", True)
    with pytest.raises(InputError, match="mlflow"):
        train(shapes, tmp_path / "run", epochs=2, logger="mlflow", resume=True)
    assert (tmp_path / "run" / "model.safetensors").is_file()


@pytest.mark.usefixtures("servers")
def test_a_run_of_a_sweep_is_not_ended_by_us(shapes, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(run=object()))
    train(shapes, tmp_path / "run", epochs=1, logger="wandb")
    assert made[0].finished == []


@pytest.mark.usefixtures("servers")
def test_other_processes_do_not_speak_to_servers(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    trainer = types.SimpleNamespace()
    with loggers.logging_to(trainer, ["wandb", "mlflow"], tmp_path, {}):
        assert len(trainer.loggers) == 2 and not made


@pytest.mark.usefixtures("servers")
def test_damaged_ids_are_told(shapes, tmp_path):
    train(shapes, tmp_path / "run", epochs=1)
    (tmp_path / "run" / "loggers.json").write_text("[")
    with pytest.raises(InputError, match=r"loggers\.json: is damaged"):
        train(shapes, tmp_path / "run", epochs=2, logger="mlflow", resume=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the clients' own
@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_the_real_clients_write_to_the_run_folder(shapes, tmp_path, monkeypatch, name):
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install 'pointvae[{name}]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    train(shapes, tmp_path / "run", epochs=1, schedule="constant", logger=name, pictures_every=1)
    train(shapes, tmp_path / "run", schedule="constant", logger=name, pictures_every=1, resume=True)
    train(shapes, tmp_path / "none", schedule="constant", logger="none")
    assert weights(tmp_path / "run") == weights(tmp_path / "none")
    number = json.loads((tmp_path / "run" / "loggers.json").read_text())[name]
    if name == "wandb":
        assert len(list((tmp_path / "run" / "wandb").glob(f"offline-run-*-{number}"))) == 2
        return
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}")
    run = client.get_run(number)
    assert run.data.params["epochs"] == "1" and {"train/weighted/kl", "val/kl"} <= set(run.data.metrics)
    assert len(client.get_metric_history(number, "train/loss")) == 2 and client.list_artifacts(number, "images")
