"""Which of several training processes this one is, before any of them has been told by Lightning."""

import os


def is_main_process() -> bool:
    """Whether this process writes files and speaks: the only one, or the first of those a launcher started."""
    names = ("RANK", "LOCAL_RANK", "NODE_RANK")
    return all(os.environ.get(name, "0") in ("", "0") for name in names)
