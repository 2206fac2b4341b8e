"""The finished parts of an evaluation, kept until all are done, so that a killed one goes on where it was."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointvae.errors import InputError
from pointvae.evaluation.results import Part, load_arrays, save_arrays

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PartStore:
    """Parts in a folder, each in a file named after what it was made from.

    Attributes:
        folder: where; made when first needed.
        subject: everything that the figures depend on (weights, data, settings, version), JSON-able.
    """

    folder: Path
    subject: Mapping[str, Any]

    def load(self, name: str) -> tuple[Part, float] | None:
        """A finished part and the seconds it took; None if it is not there, torn, or of another subject."""
        path = self._path(name)
        if not path.is_file():
            return None
        try:
            arrays, facts = load_arrays(path)
            found = Part(facts["figures"], arrays), float(facts["seconds"])
        except (InputError, KeyError, TypeError, ValueError):
            _log.warning("%s: damaged; this part is made again", path)
            return None
        _log.info("%s: found finished", name)
        return found

    def keep(self, name: str, part: Part, seconds: float) -> None:
        """Write a finished part."""
        self.folder.mkdir(parents=True, exist_ok=True)
        save_arrays(self._path(name), part.arrays, {"figures": part.figures, "seconds": seconds})

    def _path(self, name: str) -> Path:
        text = json.dumps([name, self.subject], sort_keys=True)
        return self.folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"
