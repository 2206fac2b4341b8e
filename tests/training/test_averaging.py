"""The weights' moving average: what is kept, what it replaces, and that the training does not notice."""

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from pointvae import Consistency, InputError, RotateUp, Shapes, fit, from_pretrained
from pointvae.models.build import build_model
from pointvae.training import pictures
from pointvae.training.averaging import AveragedWeights
from pointvae.training.module import TrainingModule
from tests.ranks import in_processes
from tests.training.test_fit import CONFIG, rows

DECAY = 0.6  # above the warm-up's 2/11, 3/12 … of the first steps, and reached within them
STEPS = 5  # of an epoch: 40 shapes, 8 a step


def shapes() -> Shapes:
    points = np.random.default_rng(0).normal(size=(44, 24, 3)).astype(np.float32)
    return Shapes(points, np.arange(44) % 2, [f"s{i}" for i in range(44)], ["a", "b"])


def train(run, ema=DECAY, **settings):
    settings = {"epochs": 3, "batch_size": 8, "accelerator": "cpu", "logger": "none"} | settings
    objective = Consistency(weight=0.5, transforms=[RotateUp(30)])
    return fit(build_model(CONFIG, 0), shapes(), run, objective, ema=ema, seed=0, **settings).path


def saved(run):
    return load_file(run / "model.safetensors")


def live(run):
    """The weights from which the training would go on."""
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}


def figures(run):
    return [{name: value for name, value in row.items() if name != "points_per_second"} for row in rows(run)]


def noted(monkeypatch, method):
    """The weights that each call of a method of the training module sees."""
    real, seen = getattr(TrainingModule, method), []

    def note(self, *arguments):
        seen.append({name: value.detach().clone() for name, value in self.model.named_parameters()})
        return real(self, *arguments)

    monkeypatch.setattr(TrainingModule, method, note)
    return seen


def equal(one, other):
    return all(torch.equal(one[name], value) for name, value in other.items())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(tmp_path_factory.mktemp("averaged") / "run")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return train(tmp_path_factory.mktemp("plain") / "run", ema=0.0)


def test_the_saved_weights_are_the_average_by_its_definition(tmp_path, monkeypatch):
    seen = noted(monkeypatch, "training_step")
    run = train(tmp_path / "run", epochs=2)
    assert len(seen) == 2 * STEPS
    average = {name: value.double() for name, value in seen[0].items()}
    for step, weights in enumerate([*seen[1:], live(run)], 1):
        share = min(DECAY, (1 + step) / (10 + step))
        average = {name: share * value + (1 - share) * weights[name].double() for name, value in average.items()}
    for name, value in average.items():
        torch.testing.assert_close(saved(run)[name].double(), value, rtol=1e-5, atol=1e-6, msg=name)
    assert not equal(saved(run), {name: live(run)[name] for name in average})


def test_the_training_itself_is_the_same_to_the_last_digit(whole, plain):
    assert equal(live(whole), saved(plain))
    for one, other in zip(figures(whole), figures(plain), strict=True):
        assert {n: v for n, v in one.items() if n.startswith("train/")} == {
            n: v for n, v in other.items() if n.startswith("train/")
        }
        assert one["val/loss"] != other["val/loss"]


def test_running_statistics_are_those_of_the_model_itself(whole):
    buffers = [name for name in saved(whole) if "running" in name]
    assert buffers and all(torch.equal(saved(whole)[name], live(whole)[name]) for name in buffers)


def test_held_out_shapes_are_seen_by_the_average(tmp_path, monkeypatch):
    seen = noted(monkeypatch, "validation_step")
    run = train(tmp_path / "run", epochs=2)
    assert equal(saved(run), seen[-1]) and not equal(saved(run), seen[0])


def test_pictures_are_of_the_average_and_change_nothing(whole, tmp_path, monkeypatch):
    seen, real = [], pictures.reconstructed

    def note(module, held):
        seen.append({name: value.detach().clone() for name, value in module.model.named_parameters()})
        return real(module, held)

    monkeypatch.setattr(pictures, "reconstructed", note)
    run = train(tmp_path / "run", logger="tensorboard", pictures_every=3)
    assert len(seen) == 1 and equal(saved(run), seen[0])
    assert equal(live(run), live(whole)) and equal(saved(run), saved(whole))


@pytest.mark.parametrize("step", [3, STEPS, 2 * STEPS + 2])
def test_cut_before_any_step_it_goes_on_to_the_same_bytes_and_rows(whole, tmp_path, monkeypatch, step):
    real = TrainingModule.training_step

    def stop(self, batch, index):
        if self.global_step == step:
            raise RuntimeError("plug")
        return real(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", stop)
        with pytest.raises(RuntimeError, match="plug"):
            train(tmp_path / "run", checkpoint_every=1)
    run = train(tmp_path / "run", resume=True)
    for name in ("model.safetensors", "golden.safetensors"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    assert figures(run) == figures(whole) and equal(live(run), live(whole))


def test_a_finished_run_keeps_its_average_when_resumed_and_when_trained_further(whole, tmp_path):
    run = train(tmp_path / "run", epochs=2, schedule="constant")
    before = (run / "model.safetensors").read_bytes()
    train(run, epochs=2, schedule="constant", resume=True)
    assert (run / "model.safetensors").read_bytes() == before
    train(run, epochs=3, schedule="constant", resume=True)
    longer = train(tmp_path / "longer", epochs=3, schedule="constant")
    assert (run / "model.safetensors").read_bytes() == (longer / "model.safetensors").read_bytes()


def test_the_saved_model_loads_with_its_golden_tensors_and_says_how_it_was_averaged(whole, plain):
    x = torch.from_numpy(shapes().points[:4])
    with torch.no_grad():
        means = [from_pretrained(run).posterior(x).mean for run in (whole, plain)]
    assert not torch.equal(*means)
    assert yaml.safe_load((whole / "config.yaml").read_text())["ema"] == DECAY
    cards = [" ".join((run / "README.md").read_text().split()) for run in (whole, plain)]
    assert "averaged with a decay of 0.6 a step" in cards[0] and "averaged" not in cards[1]


def test_without_a_decay_checkpoints_hold_no_average(plain):
    callbacks = torch.load(plain / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]
    assert not any(AveragedWeights.__name__ in name for name in callbacks)


def test_going_on_with_another_decay_is_refused(tmp_path):
    train(tmp_path / "run", epochs=1)
    with pytest.raises(InputError, match=r"made with another ema: 0\.6, now 0\.9"):
        train(tmp_path / "run", ema=0.9, epochs=1, resume=True)


@pytest.mark.parametrize("ema", [1.0, -0.1, 1.5, float("nan")])
def test_a_decay_that_is_none_is_refused_and_nothing_is_written(tmp_path, ema):
    with pytest.raises(InputError, match="ema must be in"):
        train(tmp_path / "run", ema=ema)
    assert not (tmp_path / "run").exists()


def averaged_in_processes() -> dict[str, torch.Tensor]:
    """The average after an epoch of 4 global batches, of one process or several."""
    import warnings

    import lightning.pytorch as pl
    import torch.distributed as dist
    from torch.utils.data import DataLoader

    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    module = TrainingModule(build_model(CONFIG, 0), Consistency(), 16, 1e-3, "constant", 0)
    averaged = AveragedWeights(DECAY)
    batches = [batch[rank::world] for batch in torch.from_numpy(shapes().points[:32]).double().split(8)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=world,
            strategy="ddp" if world > 1 else "auto",
            precision="64-true",
            max_epochs=1,
            callbacks=[averaged],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        trainer.fit(module, DataLoader(batches, batch_size=None))
    return {name: value.detach().clone() for name, value in module.model.named_parameters()}


@pytest.mark.slow
def test_every_process_has_the_average_of_one(tmp_path):
    one, (first, second) = averaged_in_processes(), in_processes(tmp_path, averaged_in_processes)
    assert equal(first, second)
    for name, value in one.items():
        if name != "encoder.pool.norm.bias":  # without effect: Adam makes steps of the rounding of its gradient
            torch.testing.assert_close(first[name], value, rtol=0.0, atol=1e-9, msg=name)
