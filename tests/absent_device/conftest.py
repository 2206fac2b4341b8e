"""An accelerator that is not there: tensors on it have shapes and types but no numbers, and whatever looks fails.

torch registers a backend once for a process and for good, so these tests run in a process of their own.
"""

import os

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.overrides import TorchFunctionMode

collect_ignore = [] if os.environ.get("POINTVAE_ABSENT_DEVICE") == "1" else ["test_steps.py"]
DEVICE = "absent"

if not collect_ignore:
    from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

    class Backend(_DummyBackendModule):
        """What torch asks of an accelerator, and what autocast asks besides."""

        def get_amp_supported_dtype(self) -> list[torch.dtype]:
            return [torch.bfloat16, torch.float16]

    _setup_privateuseone_for_python_backend(DEVICE, Backend())


class AbsentGenerator(torch.Generator):
    """A generator that says it is on the accelerator."""

    @property
    def device(self) -> torch.device:
        return torch.device(DEVICE)


class GeneratorsMatch(TorchFunctionMode):
    """Refuses what torch refuses on a real accelerator: a draw from a generator of another device."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = function(*args, **kwargs)
        generator = kwargs.get("generator")
        if generator is not None and isinstance(out, torch.Tensor) and out.device.type != generator.device.type:
            raise RuntimeError(f"{function}: expected a {out.device} generator, got one on {generator.device}")
        return out


@pytest.fixture
def absent():
    """Within the test tensors are made without numbers, on the accelerator where it is asked for."""
    with FakeTensorMode(), GeneratorsMatch():
        yield torch.device(DEVICE)
