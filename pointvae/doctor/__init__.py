"""What is well with an installation and what is not, in lines that can be pasted into a report of a fault."""

from __future__ import annotations

import time
from typing import Any

from pointvae.doctor.findings import FAULT, HINT, Finding
from pointvae.doctor.installed import optional_packages, packages
from pointvae.doctor.running import trial
from pointvae.doctor.surroundings import data, environment, machine, system_libraries


def doctor(*, quick: bool = False) -> dict[str, Any]:
    """Look at versions, devices, libraries, data and settings, and try out a small training.

    All that imports torch runs in a process of its own, so that a build of torch that ends it is a finding too.

    Args:
        quick: leave the self-test out.

    Returns:
        ``sections`` (their findings by name: ``value``, ``state`` of ok, hint and fault, and ``mend``), ``verdict``,
        ``well`` (whether there is no fault), ``seconds``.
    """
    started = time.monotonic()
    sections: dict[str, list[Finding]] = {
        "versions": packages(),
        "optional packages": optional_packages(),
        "machine": machine(),
        "system libraries": system_libraries(),
        "data": data(),
        "environment": environment(),
        "torch and self-test": trial(quick=quick),
    }
    found = [finding for findings in sections.values() for finding in findings]
    faults = [f for f in found if f.state == FAULT]
    hints = sum(f.state == HINT for f in found)
    verdict = "all is well" + (", self-test left out" if quick else "")
    if faults:
        verdict = f"something is wrong: {'; '.join(f.name for f in faults)}"
    elif hints:
        verdict += f"; {hints} hint{'s' if hints > 1 else ''} above"
    return {
        "sections": {title: {f.name: f.plain() for f in findings} for title, findings in sections.items()},
        "verdict": verdict,
        "well": not faults,
        "seconds": time.monotonic() - started,
    }
