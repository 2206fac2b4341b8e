"""What is known of each shape, as columns to colour the map by, to search in and to list."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pointvae.errors import InputError
from pointvae.places import place
from pointvae.refusals import near
from pointvae.visualization.colours import class_colours

MAX_CATEGORIES = 200
"""More different texts than this are listed and searched, not coloured."""

SAFE = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#b8a800"]
"""The palette of Okabe & Ito (2008) with a darker yellow: told apart by colour-blind readers, too."""

Kind = Literal["categories", "numbers", "texts"]


@dataclass(frozen=True, eq=False)
class Column:
    """One thing that is known of n shapes.

    Attributes:
        name: what it is called.
        kind: ``categories``, ``numbers``, or ``texts`` that are too many for categories.
        values: indices of the categories (n,), -1 where unknown; numbers (n,), NaN where unknown; or n texts.
        categories: the categories' names; empty for other kinds.
    """

    name: str
    kind: Kind
    values: Any
    categories: list[str]

    @property
    def colours(self) -> list[str]:
        """A colour for each category: seven that colour-blind readers tell apart, more where there are more."""
        count = len(self.categories)
        return SAFE[:count] if count <= len(SAFE) else class_colours(count)

    def at(self, rows: npt.NDArray[np.int64]) -> Column:
        """The column of some of the shapes."""
        values = [self.values[row] for row in rows] if self.kind == "texts" else self.values[rows]
        return Column(self.name, self.kind, values, self.categories)


def categories(name: str, labels: npt.NDArray[np.int64], names: Sequence[str]) -> Column:
    """A column of classes that have an order of their own; those without a shape are left out."""
    present = np.unique(labels)
    return Column(name, "categories", np.searchsorted(present, labels), [str(names[label]) for label in present])


def numbers(name: str, values: npt.NDArray[Any]) -> Column:
    """A column of numbers; what is not finite counts as unknown."""
    values = np.asarray(values, np.float64)
    return Column(name, "numbers", np.where(np.isfinite(values), values, np.nan), [])


def column_of(name: str, values: Sequence[Any] | npt.NDArray[Any]) -> Column:
    """The column that values are fit for: numbers if all that are known are, else categories or texts.

    Args:
        name: of the column.
        values: numbers, texts, booleans; None, NaN and empty texts are unknown.
    """
    given = [None if _unknown(value) else value for value in np.asarray(values, object).tolist()]
    known = [value for value in given if value is not None]
    if known and not any(isinstance(value, bool) for value in known):
        try:
            return numbers(name, np.array([math.nan if value is None else float(value) for value in given]))
        except (TypeError, ValueError):
            pass
    texts = [None if value is None else str(value) for value in given]
    found = sorted({text for text in texts if text is not None})
    if len(found) > MAX_CATEGORIES:
        return Column(name, "texts", [text or "" for text in texts], [])
    places = {text: index for index, text in enumerate(found)}
    codes = np.array([-1 if text is None else places[text] for text in texts], np.int64)
    return Column(name, "categories", codes, found)


def given_columns(given: Mapping[str, Any] | str | Path, names: Sequence[str]) -> list[Column]:
    """The user's own columns, of a mapping or of a CSV file with a ``name`` column.

    Args:
        given: a value for each shape under each column's name, or the file.
        names: of the shapes.

    Raises:
        InputError: the file cannot be read, tells no name, or knows no shape; or a column is too long or too short.
    """
    if isinstance(given, Mapping):
        for name, values in given.items():
            if isinstance(values, str) or not hasattr(values, "__len__") or len(values) != len(names):
                size = f"{len(values)} values" if hasattr(values, "__len__") else type(values).__name__
                raise InputError(f"columns: {name!r} holds {size} for {len(names)} shapes; give one for each shape")
        return [column_of(str(name), values) for name, values in given.items()]
    header, rows = _read_csv(given)
    by_name = {row[header.index("name")]: row for row in rows}
    found = [by_name.get(name) for name in names]
    if not any(found):
        first = next(iter(by_name), "")
        raise InputError(
            f"{given}: none of its {len(by_name)} names is a shape's, such as {names[0]!r}{near(names[0], by_name)}; "
            f"its first is {first!r}"
        )
    return [
        column_of(head, [None if row is None else row[place] for row in found])
        for place, head in enumerate(header)
        if head != "name"
    ]


def _read_csv(path: str | Path) -> tuple[list[str], list[list[str]]]:
    try:
        text = place(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give a .csv with a column 'name'") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a table in UTF-8 ({error}); save it anew") from None
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    if not rows or "name" not in rows[0]:
        raise InputError(f"{path}: has no column 'name' in its first line; name the shapes in one")
    header = rows[0]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise InputError(f"{path}: row {number} holds {len(row)} cells, the head {len(header)}; mend that row")
    return header, rows[1:]


def _unknown(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))
