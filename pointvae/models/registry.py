"""Short names for the parts of a model, each with the arguments of a tiny one for tests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from pointvae.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered class and the arguments of a tiny instance."""

    cls: type[T]
    tiny: Mapping[str, Any]


@dataclass(frozen=True)
class Registry(Generic[T]):
    """Maps short names to classes of one kind.

    Args:
        kind: what the classes are, for messages ("encoder").
    """

    kind: str
    entries: dict[str, Entry[T]] = field(default_factory=dict)

    def register(self, name: str, **tiny: Any) -> Callable[[type[T]], type[T]]:
        """Class decorator: make the class known as ``name``; ``tiny`` are the arguments of a small one."""

        def decorate(cls: type[T]) -> type[T]:
            self.entries[name] = Entry(cls, tiny)
            return cls

        return decorate

    def names(self) -> list[str]:
        """All names, in alphabetical order."""
        return sorted(self.entries)

    def build(self, name: str, options: Mapping[str, Any] | None = None, **fixed: Any) -> T:
        """Instantiate the class known as ``name`` with the user's ``options`` and the builder's ``fixed`` ones.

        Raises:
            InputError: the name is unknown, or the class does not take the options.
        """
        if name not in self.entries:
            near = get_close_matches(name, self.entries, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"unknown {self.kind} {name!r}: choose one of {', '.join(self.names())}{hint}")
        try:
            return self.entries[name].cls(**dict(options or {}), **fixed)
        except TypeError as error:
            reason = str(error).split("__init__() ")[-1]
            raise InputError(f"{self.kind} {name!r} does not take these options: {reason}") from error
