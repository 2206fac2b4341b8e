# ruff: noqa: F811 (fixtures of another file)
"""Asked to stop by a signal, a training ends after the step with a checkpoint, and goes on to the same bytes."""

import signal

import pytest

from pointvae import Consistency, InputError
from pointvae.training.module import TrainingModule
from tests.training.test_resume_steps import STEPS, cut, folder, lanes, whole  # noqa: F401
from tests.training.test_streaming import figures, train, weights


def signalled(monkeypatch, step, *signals):
    """Send signals to this process while a step is made."""
    real = TrainingModule.training_step

    def send(self, batch, index):
        if self.global_step == step:
            for number in signals:
                signal.raise_signal(number)
        return real(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", send)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("step", [5, STEPS - 1])
def test_a_signal_ends_the_step_and_writes_a_checkpoint_that_goes_on(
    folder,
    whole,
    tmp_path,
    monkeypatch,
    number,
    step,
):
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    with monkeypatch.context() as patch:
        signalled(patch, step, number)
        with pytest.raises(KeyboardInterrupt) as caught:
            train(folder, tmp_path / "run", Consistency(), checkpoint_every=0)
    assert {s: signal.getsignal(s) for s in handlers} == handlers
    told = str(caught.value)
    assert f"--resume goes on from the last checkpoint, after step {step + 1}" in told
    assert ("SIG" in told) == (number != signal.SIGINT)
    with monkeypatch.context() as patch:
        seen = cut(patch, -1)
        train(folder, tmp_path / "run", Consistency(), checkpoint_every=0, resume=True)
    assert len(seen) == 2 * STEPS - step - 1
    assert weights(tmp_path / "run") == weights(whole)
    assert figures(tmp_path / "run") == figures(whole)


def test_a_signal_in_the_last_step_comes_too_late_to_matter(folder, whole, tmp_path, monkeypatch):
    signalled(monkeypatch, 2 * STEPS - 1, signal.SIGTERM)
    train(folder, tmp_path / "run", Consistency())
    assert weights(tmp_path / "run") == weights(whole)


def test_a_second_signal_stops_at_once(folder, tmp_path, monkeypatch):
    signalled(monkeypatch, 5, signal.SIGINT, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="starts anew: there is no checkpoint yet"):
        train(folder, tmp_path / "run", checkpoint_every=0)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_two_trainings_into_one_run_folder_are_refused_and_the_first_goes_on(
    folder,
    whole,
    tmp_path,
    monkeypatch,
):
    real = TrainingModule.training_step
    refused = []

    def meanwhile(self, batch, index):
        if self.global_step == STEPS + 1 and not refused:
            refused.append(pytest.raises(InputError, match="another process is writing into it"))
            with refused[0]:
                train(folder, tmp_path / "run", Consistency(), resume=True)
        return real(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", meanwhile)
    train(folder, tmp_path / "run", Consistency())
    assert refused and weights(tmp_path / "run") == weights(whole)
