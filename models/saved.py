"""Settings and specifications as JSON files: what is saved is read as it was, and anything else refused by name."""

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

_Kind = TypeVar("_Kind")


def read_object(path: Path) -> dict[str, Any]:
    """The fields a file tells.

    Raises:
        ValueError: no JSON, or no object; the message names the file.
    """
    try:
        told = json.loads(path.read_bytes())
    except ValueError as error:  # broken JSON or broken UTF-8
        raise ValueError(f"{path}: no JSON: {error}") from None
    if not isinstance(told, dict):
        raise ValueError(f"{path}: holds {type(told).__name__}, not an object of fields")
    return told


def as_json(value: Any) -> Any:
    """A specification as JSON can tell it."""
    if dataclasses.is_dataclass(value):
        return {item.name: as_json(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def built(kind: type[_Kind], told: dict[str, Any], where: str) -> _Kind:
    """A specification from what JSON told, its own ranges checked by itself."""
    hints = typing.get_type_hints(kind)
    fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(told) - set(fields))
    missing = sorted(name for name, item in fields.items() if name not in told and item.default is dataclasses.MISSING)
    if unknown or missing:
        raise ValueError(f"{where}: unknown fields {unknown}, missing fields {missing}; known are {sorted(fields)}")
    values = {name: _value(hints[name], value, f"{where}: {name}") for name, value in told.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _value(hint: Any, told: Any, where: str) -> Any:
    """One field's value, refused where its type is another: a bool is no int, an int is a float."""
    if typing.get_origin(hint) is types.UnionType:  # X | None
        return None if told is None else _value(get_args(hint)[0], told, where)
    if dataclasses.is_dataclass(hint):
        if not isinstance(told, dict):
            raise ValueError(f"{where} must be an object of fields, not {told!r}")
        return built(typing.cast("type[Any]", hint), told, where)
    if typing.get_origin(hint) is tuple:
        if not isinstance(told, list):
            raise ValueError(f"{where} must be a list, not {told!r}")
        return tuple(_value(get_args(hint)[0], item, f"{where}[{position}]") for position, item in enumerate(told))
    if typing.get_origin(hint) is Literal:
        if told not in get_args(hint):
            raise ValueError(f"{where} must be one of {list(get_args(hint))}, not {told!r}")
        return told
    accepted = {float: (int, float), Path: (str,)}.get(hint, (hint,))
    if not isinstance(told, accepted) or (isinstance(told, bool) and hint is not bool):
        raise ValueError(f"{where} must be {hint.__name__}, not {told!r}")
    return hint(told)


def check(holds: bool, name: str, valid: str, value: object) -> None:
    """Raises ValueError naming a field and what is valid for it, unless the condition holds."""
    if not holds:
        raise ValueError(f"{name} must be {valid}, not {value!r}")
