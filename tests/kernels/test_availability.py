"""Whether the kernels are used, and what is done where they are not."""

import subprocess
import sys

import pytest
import torch

from pointvae import kernels
from pointvae.kernels import availability, dispatch


def test_the_switch_turns_the_kernels_off(monkeypatch):
    monkeypatch.setattr(availability, "_on_this_machine", lambda: kernels.Availability(True, "all is well"))
    assert kernels.available()
    monkeypatch.setenv("POINTVAE_KERNELS", "0")
    assert not kernels.available()
    assert str(kernels.available()) == "Triton kernels are off: the environment says POINTVAE_KERNELS=0"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_they_are_off_and_say_so(monkeypatch):
    monkeypatch.delenv("POINTVAE_KERNELS", raising=False)
    assert not kernels.available() and kernels.available().reason == "torch sees no NVIDIA GPU"


def test_without_triton_they_are_off_and_say_what_to_install(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(availability, "find_spec", lambda name: None)
    found = availability._on_this_machine.__wrapped__()
    assert not found and found.reason == "Triton is not installed (pip install triton)"


def test_a_gpu_of_another_maker_is_left_to_plain_torch(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not availability._on_this_machine.__wrapped__()


def test_tensors_on_the_cpu_take_the_plain_form_without_asking_for_a_gpu(monkeypatch):
    monkeypatch.setattr(dispatch, "available", lambda: pytest.fail("asked"))
    cloud = torch.zeros(1, 2, 3)
    assert kernels.nearest_by_kernel(cloud, cloud) is None
    assert kernels.winners_by_kernel(cloud, cloud[0]) is None
    assert kernels.log_density_by_kernel(cloud, cloud, cloud[..., 0], cloud[..., 0]) is None


class OnGpu:
    """What dispatch asks of a tensor, for one on a GPU."""

    is_cuda = True

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float32) -> None:
        self.shape, self.dtype, self._like = shape, dtype, torch.empty(*shape, device="meta")

    def numel(self) -> int:
        return self._like.numel()

    def __getitem__(self, index: int) -> torch.Tensor:
        return self._like[index]


def test_what_the_kernels_do_not_fit_takes_the_plain_form(monkeypatch):
    monkeypatch.setattr(dispatch, "available", lambda: kernels.Availability(True, "all is well"))
    assert kernels.serves(OnGpu(2, 5, 3), OnGpu(2, 5, 3, dtype=torch.bfloat16))
    assert not kernels.serves(OnGpu(2, 5, 3), OnGpu(2, 5, 3, dtype=torch.float64))
    assert not kernels.serves(OnGpu(2, 5, 3), OnGpu(2, 0, 3))
    assert not kernels.serves(OnGpu(0, 5, 3), OnGpu(0, 5, 3))
    assert not kernels.serves(OnGpu(1, 2**30, 3), OnGpu(1, 5, 3))
    assert not kernels.serves(OnGpu(2, 5, 3), torch.zeros(2, 5, 3))
    assert kernels.nearest_by_kernel(OnGpu(2, 5, 64), OnGpu(2, 5, 64)) is None  # its loop over channels is unrolled
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert not kernels.serves(OnGpu(2, 5, 3), OnGpu(2, 5, 3))


def test_asking_costs_no_import_of_triton_where_there_is_no_gpu():
    code = (
        "import sys, pointvae.kernels as kernels; before = 'triton' in sys.modules; found = kernels.available();"
        "sys.exit(not found and not before and 'triton' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
