# ruff: noqa: F811 (fixtures of another file)
"""Numbers that are not finite end a training with the term, the step and the shapes; nothing of them is kept."""

import dataclasses

import numpy as np
import pytest
import torch

from pointvae import Consistency, InputError, Shapes, load_dataset, prepare, refine
from pointvae.data.order import Order
from pointvae.objectives import ELBO
from pointvae.objectives.base import Term
from pointvae.training.not_finite import EVERY, FiniteGuard, NotFiniteError
from tests.ranks import in_processes
from tests.training.test_resume_steps import STEPS, folder, lanes, whole  # noqa: F401
from tests.training.test_streaming import train, weights


class Poisoned(Consistency):
    """Gives a number that is not one for some shapes, told by their first point, from a step on."""

    shapes: frozenset = frozenset()
    at = 0
    number = float("nan")

    def __call__(self, model, points, mask=None, *, generator=None, step=0):
        terms = super().__call__(model, points, mask, generator=generator, step=step)
        if step < self.at:
            return terms
        bad = torch.tensor([tuple(cloud[:, 0].sort().values.tolist()) in self.shapes for cloud in points])
        value = torch.where(bad, self.number, terms["kl"].value) if len(self.shapes) else terms["kl"].value
        return terms | {"kl": dataclasses.replace(terms["kl"], value=value)}


def poisoned(dataset, rows, **settings):
    objective = Poisoned()
    points = torch.from_numpy(load_dataset(dataset)["train"].points[rows])
    objective.shapes = frozenset(tuple(cloud[:, 0].sort().values.tolist()) for cloud in points)
    for name, value in settings.items():
        setattr(objective, name, value)
    return objective


@pytest.mark.parametrize("loading", ["memory", "stream"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_the_term_the_step_and_the_shapes_are_named_and_the_checkpoint_stands(folder, tmp_path, loading, number):
    rows = [3, 50, 77]
    objective = poisoned(folder, rows, at=STEPS, number=number)
    with pytest.raises(InputError, match=r"not finite at step (\d+), in epoch 2: kl of ") as caught:
        train(folder, tmp_path / "run", objective, loading=loading, points=20, checkpoint_every=1)
    told = str(caught.value)
    names = load_dataset(folder)["train"].names
    step = int(told.split("step ")[1].split(",")[0])
    named = told.split("kl of ")[1].split(";")[0].split(", ")
    assert set(named) <= {names[row] for row in rows} and named
    assert f"the checkpoint after step {step - 1} stands" in told and "\n" not in told
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["global_step"] == step - 1
    assert all(value.isfinite().all() for value in state["state_dict"].values() if value.is_floating_point())
    assert not (tmp_path / "run" / "model.safetensors").exists()


class Steep(ELBO):
    """A term that is finite everywhere, with a gradient that is not."""

    at = 5

    def __call__(self, model, points, mask=None, *, generator=None, step=0):
        terms = super().__call__(model, points, mask, generator=generator, step=step)
        kl = terms["kl"]
        extra = (kl.value * 0).sqrt() if step == self.at else 0
        return terms | {"kl": dataclasses.replace(kl, value=kl.value + extra)}


def test_a_gradient_that_is_not_finite_is_told_from_a_term_and_never_reaches_the_weights(folder, tmp_path):
    with pytest.raises(
        InputError, match=r"at step 6, in epoch 1: the gradient, though every term is, of the batch of"
    ):
        train(folder, tmp_path / "run", Steep(), checkpoint_every=1)
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 5
    assert all(value.isfinite().all() for value in state["state_dict"].values() if value.is_floating_point())


def test_a_refinement_has_no_names_to_tell_and_tells_numbers(folder, whole, tmp_path):
    steep = Steep()
    steep.at = 1
    with pytest.raises(
        InputError, match=r"at step 2, in epoch 1: .* number 0 of process 0's batch, .* there is no che"
    ):
        refine(whole, tmp_path / "new", steep, epochs=1, accelerator="cpu", points=8)


def test_it_changes_no_digit_of_a_training(folder, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(FiniteGuard, "note_terms", lambda *_: None)
    train(folder, tmp_path / "run", Consistency())
    assert weights(tmp_path / "run") == weights(whole)


def note(guard, step, values, gradient):
    value = torch.tensor(values)
    guard.note_terms(
        {"a": Term(value), "b": Term(torch.zeros(len(values))), "off": Term(value / 0, 0.0)}, step, 3, step
    )
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([gradient, 1.0])
    guard.note_gradient([weight])


@pytest.mark.parametrize("bad", [0, 7, 30])
def test_where_a_look_has_to_wait_the_first_step_of_many_is_told(monkeypatch, bad):
    guard = FiniteGuard()
    monkeypatch.setattr(guard, "_waits", lambda: True)
    for step in range(bad):
        note(guard, step, [1.0, 2.0], 1.0)
    note(guard, bad, [1.0, float("nan")], float("nan"))
    for step in range(bad + 1, EVERY - 1):
        note(guard, step, [float("nan")] * 2, float("nan"))
    with pytest.raises(NotFiniteError) as caught:
        note(guard, EVERY - 1, [float("nan")] * 2, float("nan"))
    (fault,) = caught.value.faults
    assert (fault.step, fault.epoch, fault.batch, fault.terms, fault.rows) == (bad + 1, 3, bad, ["a"], [1])


def test_a_checkpoint_asks_for_a_look(monkeypatch):
    guard = FiniteGuard()
    monkeypatch.setattr(guard, "_waits", lambda: True)
    note(guard, 0, [float("inf")], 0.0)
    with pytest.raises(NotFiniteError):
        guard.look()
    guard.look()  # told once


def _message(dataset, run, rows):
    Order.__init__.__kwdefaults__.update(window=32, lanes=4)
    try:
        train(dataset, run, poisoned(dataset, rows, at=3), points=20, batch_size=4, checkpoint_every=1)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.slow
def test_two_processes_stop_at_one_step_and_each_tells_the_shape_of_either(folder, tmp_path):
    messages = in_processes(tmp_path / "ranks", _message, folder, tmp_path / "run", [3, 4, 5])
    names = load_dataset(folder)["train"].names[3:6]
    assert messages[0] == messages[1] and any(f"kl of {name};" in messages[0] for name in names), messages


@pytest.mark.parametrize("loading", ["memory", "stream", "shapes"])
def test_coordinates_that_no_model_takes_are_refused_by_name_before_the_first_step(tmp_path, loading):
    clouds = np.random.default_rng(0).normal(size=(12, 20, 3))
    clouds[7, 3, 1] = -2e6
    shapes = Shapes(clouds.astype(np.float32), None, [f"s{row}" for row in range(12)], [])
    prepare({"train": shapes}, tmp_path / "set", normalize="none", shard_size=4)
    data, settings = (shapes, {}) if loading == "shapes" else (tmp_path / "set", {"loading": loading})
    with pytest.raises(InputError, match=r"s7' reaches 2e\+06, and models take coordinates to 1e\+06; prepare with"):
        train(data, tmp_path / "run", points=16, **settings)
    assert not (tmp_path / "run" / "model.safetensors").exists()
