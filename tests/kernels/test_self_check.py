"""The self-check lets right kernels through, and no wrong one."""

import logging

import pytest
import torch

pytest.importorskip("triton")

from pointvae.kernels import self_check
from pointvae.kernels.availability import tried


def test_right_kernels_pass(device):
    assert self_check.first_difference(device) is None
    found = tried(device)
    assert found and "agree" in found.reason


def test_they_pass_where_nothing_else_wants_gradients(device):
    with torch.inference_mode():
        assert self_check.first_difference(device) is None


def shifted(function):
    """The function's indices, one too high in one place."""

    def wrong(*args):
        index = function(*args)
        index[0, 0] += 1
        return index

    return wrong


@pytest.mark.parametrize("name", ["nearest_indices", "winning_points"])
def test_one_wrong_index_turns_the_kernels_off_with_one_warning(device, name, monkeypatch, caplog):
    monkeypatch.setattr(self_check, name, shifted(getattr(self_check, name)))
    with caplog.at_level(logging.WARNING, logger="pointvae.kernels"):
        found = tried(device)
    assert not found and name in found.reason
    assert len(caplog.records) == 1 and "plain torch is used" in caplog.records[0].getMessage()


@pytest.mark.parametrize("name", ["nearest_indices", "winning_points"])
def test_a_mask_that_is_not_heeded_turns_the_kernels_off(device, name, monkeypatch):
    right = getattr(self_check, name)
    monkeypatch.setattr(self_check, name, lambda a, b, mask: right(a, b))
    assert not tried(device)


def test_equals_of_which_not_the_first_wins_turn_the_kernels_off(device, monkeypatch):
    right = self_check.nearest_indices
    monkeypatch.setattr(self_check, "nearest_indices", lambda x, y, mask: right(x, y, mask) + self_check.M)
    assert not tried(device)


@pytest.mark.parametrize("which", range(4))
def test_a_wrong_gradient_turns_the_kernels_off(device, which, monkeypatch):
    right = self_check.mixture_log_density

    def wrong(*inputs):
        skewed = inputs[which] * 1.01 - 0.01 * inputs[which].detach()  # the same value, another gradient
        return right(*inputs[:which], skewed, *inputs[which + 1 :])

    monkeypatch.setattr(self_check, "mixture_log_density", wrong)
    assert "mixture_log_density" in tried(device).reason


def test_a_kernel_that_does_not_compile_turns_the_kernels_off_with_the_reason(device, monkeypatch, caplog):
    def broken(*inputs):
        raise RuntimeError("no such\n  instruction")

    monkeypatch.setattr(self_check, "winning_points", broken)
    found = tried(device)
    assert str(found) == "Triton kernels are off: their self-check failed: RuntimeError: no such instruction"
    assert len(caplog.records) == 1
