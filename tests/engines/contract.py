"""What every engine must do, whatever it is made of."""

import functools
from pathlib import Path

import pytest

from pointvae.engines import Engine, in_order
from pointvae.errors import InputError
from tests.engines.calls import fail, refuse, square, wait_then, write_down


def check(engine: Engine, folder: Path) -> None:
    """Everything but what becomes of workers that die."""
    assert engine.workers >= 1
    assert list(engine.run([])) == []
    calls = [functools.partial(square, number) for number in range(40)]
    assert sorted(engine.run(calls)) == [(number, number**2) for number in range(40)]
    assert list(in_order(engine.run(calls))) == [number**2 for number in range(40)]
    list(engine.run(functools.partial(write_down, folder, number) for number in range(20)))
    assert sorted((path.stem, path.read_text()) for path in folder.iterdir()) == sorted(
        (str(number), "x") for number in range(20)
    )
    slow_first = [functools.partial(wait_then, 0, 0.5), *(functools.partial(wait_then, n, 0.0) for n in range(1, 6))]
    assert list(in_order(engine.run(slow_first))) == list(range(6))
    with pytest.raises(InputError, match=r"^shape 3: mend it$"):
        list(engine.run([functools.partial(refuse, 3)]))
    with pytest.raises(ZeroDivisionError, match="a fault of ours"):
        list(engine.run([functools.partial(fail, 1)]))
    check_laziness(engine)


def check_laziness(engine: Engine) -> None:
    """Calls are made when workers are near them: a million of them would not fit into memory."""
    made = 0

    def calls():
        nonlocal made
        for number in range(500):
            made += 1
            yield functools.partial(square, number)

    results = engine.run(calls())
    next(iter(results))
    assert made <= 12 * max(2, engine.workers), made
    for _ in results:
        pass
    assert made == 500
