"""The versions that the tests are run with are the ones that are claimed."""

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def requirements():
    """Lines of setup.cfg: what is needed and, of the extras, what the tests need."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"] + config["options.extras_require"]["dev"]
    return [line.split(";")[0] for line in lines.split("\n") if line.strip()]


def test_only_lower_bounds_are_claimed():
    for line in requirements():
        assert re.fullmatch(r"[\w.-]+(\[\w+\])?>=[\d.]+", line), line


def test_the_oldest_versions_tested_are_the_lower_bounds():
    text = (ROOT / "constraints-lowest.txt").read_text()
    tested = [line for line in text.splitlines() if not line.startswith("#")]
    assert tested == [re.sub(r"\[\w+\]", "", line).replace(">=", "==") for line in requirements()]
