"""Whether the kernels may be used in this process, and if not, why.

A new Triton may compile a kernel wrongly, or not at all. So the first question in a process runs every kernel once on
a small input and compares it with the plain form; where they differ, one warning is logged and the plain forms stay.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from threading import Lock

import torch

SWITCH = "POINTVAE_KERNELS"
_log = logging.getLogger("pointvae.kernels")
_one_at_a_time = Lock()  # the threads of an evaluation ask at once


@dataclass(frozen=True)
class Availability:
    """Whether the kernels are used, as a truth value, and in words.

    Attributes:
        usable: whether they are.
        reason: why, or why not.
    """

    usable: bool
    reason: str

    def __bool__(self) -> bool:
        return self.usable

    def __str__(self) -> str:
        return f"Triton kernels are {'on' if self.usable else 'off'}: {self.reason}"


def available() -> Availability:
    """Whether the Triton kernels serve tensors on NVIDIA GPUs in this process; the first call tries them out.

    Example:
        >>> import os
        >>> os.environ["POINTVAE_KERNELS"] = "0"
        >>> print(available())
        Triton kernels are off: the environment says POINTVAE_KERNELS=0
    """
    if os.environ.get(SWITCH, "1") == "0":
        return Availability(False, f"the environment says {SWITCH}=0")
    with _one_at_a_time:
        return _on_this_machine()


@cache
def _on_this_machine() -> Availability:
    if torch.version.cuda is None or not torch.cuda.is_available():
        return Availability(False, "torch sees no NVIDIA GPU")
    if find_spec("triton") is None:
        return Availability(False, "Triton is not installed (pip install triton)")
    return tried(torch.device("cuda", torch.cuda.current_device()))


def tried(device: torch.device) -> Availability:
    """What comes of running every kernel on small inputs on a device and comparing it with its plain form."""
    try:
        from pointvae.kernels.self_check import first_difference

        wrong = first_difference(device)
    except Exception as error:  # whatever a compiler that does not fit this GPU or this torch may raise
        wrong = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if wrong is None:
        return Availability(True, "they agree with the plain forms on this machine")
    _log.warning("Triton kernels failed their self-check and stay off, plain torch is used: %s", wrong)
    return Availability(False, f"their self-check failed: {wrong}")
