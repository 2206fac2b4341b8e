"""The self-test in a process of its own, whose end, however sudden, is a finding."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from pointvae.doctor.findings import FAULT, HINT, OK, Finding

TIMEOUT = 300.0  # seconds; ten are usual
STEPS = {
    "torch": "torch does not load: pip install --force-reinstall torch, in a fresh environment",
    "threads": "torch does not tell its threads: install it anew",
    "devices": "torch and the driver of the GPU do not fit: CUDA_VISIBLE_DEVICES= leaves the GPU out",
    "kernels": "POINTVAE_KERNELS=0 leaves them out",
    "distances": "torch computes wrongly on this machine: install another version of it, and report this",
    "training": "report this, with all lines of `pointvae doctor`",
}
"""The steps of the self-test in their order, and what to do where one does not come to its end."""


def trial(*, quick: bool = False, command: list[str] | None = None, timeout: float = TIMEOUT) -> list[Finding]:
    """What the self-test finds.

    Args:
        quick: only what torch tells of itself and the devices.
        command: what is run; this package's self-test unless given.
        timeout: seconds that it may take.
    """
    command = command or [sys.executable, "-m", "pointvae.doctor.self_test", *(["quick"] if quick else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=_environment())
    except subprocess.TimeoutExpired as error:
        told = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        return _read(told, f"not done after {timeout:.0f} seconds: is the machine very busy?")
    except OSError as error:
        return [Finding("self-test", f"cannot be run: {error.strerror or error}", FAULT, STEPS["training"])]
    return _read(done.stdout, _ending(done.returncode, done.stderr))


def _environment() -> dict[str, str]:
    return {"OMP_WAIT_POLICY": "passive", **os.environ, "PYTHONWARNINGS": "ignore"}


def _ending(code: int, stderr: str) -> str:
    """How a process ended, in words; empty where it ended well."""
    if code == 0:
        return ""
    if code < 0:
        name = signal.Signals(-code).name if -code in signal.Signals.__members__.values() else str(-code)
        kind = {
            "SIGILL": "this processor lacks an instruction that torch was built with",
            "SIGKILL": "out of memory?",
        }
        return f"ended by {name}" + (f": {kind[name]}" if name in kind else "")
    lines = [line for line in stderr.splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else f"ended with code {code}"


def _read(stdout: str, ending: str) -> list[Finding]:
    """The findings of each line, and the step at which it ended, if it did not end well."""
    found: list[Finding] = []
    under_way = next(iter(STEPS))
    for line in stdout.splitlines():
        try:
            told: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        if "begins" in told:
            under_way = told["begins"]
        elif "name" in told:
            state = told.get("state", OK)
            found.append(Finding(told["name"], told["value"], state, _mend(told) if state != OK else ""))
    if ending:
        found.append(Finding(under_way, ending, FAULT, STEPS.get(under_way, STEPS["training"])))
    return found


def _mend(told: dict[str, Any]) -> str:
    return str(told.get("mend") or (STEPS.get(told["name"], "") if told.get("state") in (FAULT, HINT) else ""))
