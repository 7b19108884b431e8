"""Attributes of a transform that may be set at any time, and errors that name the object."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from npscatter.arguments import one_of, positive
from npscatter.backends import load, resolve
from npscatter.errors import ArgumentError, ArgumentTypeError, explain

# Arguments that only some backends know.
_OPTIONS = ("threads", "storage", "memory")


def shows_the_object(method: Callable) -> Callable:
    """Let errors of a call say of which object."""

    @wraps(method)
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return method(self, *arguments, **named)
        except (ArgumentError, ArgumentTypeError) as error:
            shown = type(error)(f"{error} [in a call of {self._brief}]")
            raise shown.with_traceback(error.__traceback__) from None

    return call


class Setting:
    """An attribute that may be set at any time, to what a check makes of a value."""

    def __init__(self, check: Callable[[Any, Any], Any], description: str):
        self._check, self.__doc__ = check, description

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, transform: Any, owner: type | None = None) -> Any:
        return self if transform is None else vars(transform)[self._name]

    def __set__(self, transform: Any, value: Any) -> None:
        vars(transform)[self._name] = self._check(transform, value)


def checked_backend(transform: Any, value: Any) -> str:
    name = resolve(value)
    for option in _OPTIONS:
        if option not in load(name).OPTIONS:
            refuse_elsewhere(option, vars(transform).get(option), name)
    return name


def checked_option(transform: Any, name: str, value: Any) -> Any:
    if name not in load(transform.backend).OPTIONS:
        refuse_elsewhere(name, value, transform.backend)
    return value


def checked_threads(transform: Any, value: Any) -> int | None:
    threads = positive("threads", value, "pass None for all cores")
    return checked_option(transform, "threads", threads)


def checked_memory(transform: Any, value: Any) -> int | None:
    return checked_option(transform, "memory", memory_bytes(value))


def checked_storage(transform: Any, value: Any) -> str | None:
    return checked_option(transform, "storage", storage_kind(value))


def memory_bytes(value: Any) -> int | None:
    """Return `memory` as an int or None, or raise."""
    return positive("memory", value, "pass None for 1 GiB")


def storage_kind(value: Any) -> str | None:
    """Return `storage`, or raise."""
    one_of("storage", value, ("float16", None))
    return value


def checked_out_type(transform: Any, value: Any) -> str:
    one_of("out_type", value, ("array", "list"))
    return value


def refuse_elsewhere(name: str, value: object, backend: str) -> None:
    """Raise if an argument was given that has a meaning only elsewhere."""
    if value is not None:
        where = f"has no effect on backend={backend!r}"
        if name == "stream" and backend == "cuda":
            where = "has no effect on images that are not on the GPU"
        raise ArgumentError(explain(name, value, where, "pass None"))


def refuse_several_sizes(transform: Any) -> None:
    """Raise if what a transform makes of images has maps of several sizes."""
    if transform.average is False:
        rule = "gives maps of several sizes, which are no array"
        raise ArgumentError(explain("average", False, rule, "pass average=True or 'global'"))
