"""From what NumPy and pandas make to plain Python values, wherever it sits inside a result.

Neither library is imported: where a process has not loaded it, no value can be of its types.
"""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Callable, Iterable
from typing import Any

_UNTOUCHED = frozenset({type(None), bool, int, float, str, bytes, complex})
_DEPTH_MAX = 200


def to_plain(value: Any) -> Any:
    """Return a value with all arrays, frames and their scalars in it made plain; the value itself if there are none.

    Arrays become nested lists, frames and series dicts in pandas' `split` form, and what pandas calls missing
    (NaT, NA) None; NaN stays NaN. Dicts, lists, tuples, sets, dataclasses and models keep their type.

    Raises:
        ValueError: nested too deeply, or in itself, or a Dask collection is in it.
    """
    return _plain(value, 0)


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _UNTOUCHED:
        return value
    if depth > _DEPTH_MAX:
        raise ValueError(f"the value is nested more than {_DEPTH_MAX} deep, or holds itself")
    library = kind.__module__.partition(".")[0]
    if library == "numpy":
        return _numpy(value, depth)
    if library == "pandas":
        return _pandas(value, depth)
    if isinstance(value, dict):
        return _dict(value, depth)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _items(value, depth)
    if dataclasses.is_dataclass(kind):
        return _attributes(value, [field.name for field in dataclasses.fields(kind)], depth)
    if hasattr(kind, "__pydantic_fields__"):
        return _attributes(value, list(kind.__pydantic_fields__), depth)
    if hasattr(kind, "__dask_graph__"):
        raise ValueError(
            f"it holds a Dask collection ({kind.__name__}), which is computed only where it is the whole result: "
            "return one collection, or dask.delayed(...) of them"
        )
    return value


def _dict(value: dict[Any, Any], depth: int) -> Any:
    changed = {_plain(key, depth + 1): _plain(item, depth + 1) for key, item in value.items()}
    same = all(a is b for a, b in zip(value, changed, strict=False)) and all(
        a is b for a, b in zip(value.values(), changed.values(), strict=False)
    )
    return value if same else changed


def _items(value: Any, depth: int) -> Any:
    kinds = set(map(type, value))
    if kinds <= _UNTOUCHED:
        return value
    changed = [_plain(item, depth + 1) for item in value]
    if all(a is b for a, b in zip(value, changed, strict=True)):
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*changed)
    return changed if isinstance(value, list) else type(value)(changed)


def _attributes(value: Any, names: Iterable[str], depth: int) -> Any:
    changed = {}
    for name in names:
        before = getattr(value, name)
        after = _plain(before, depth + 1)
        if after is not before:
            changed[name] = after
    if not changed:
        return value
    made = copy.copy(value)
    for name, item in changed.items():
        object.__setattr__(made, name, item)  # also where the class is frozen
    return made


# --- NumPy


def _numpy(value: Any, depth: int) -> Any:
    numpy = sys.modules["numpy"]
    if isinstance(value, numpy.ma.MaskedArray):
        return _plain(value.tolist(), depth + 1)  # masked values are None
    if isinstance(value, numpy.ndarray):
        if value.dtype.kind in "mM":
            return _times(numpy, value)
        listed = value.tolist()
        return listed if value.dtype.kind in "biufcSU" else _plain(listed, depth + 1)
    if isinstance(value, numpy.generic):
        if value.dtype.kind in "mM":
            return _times(numpy, value)
        item = value.item()
        return value if isinstance(item, numpy.generic) else _plain(item, depth + 1)  # longdouble stays what it is
    return value


def _times(numpy: Any, value: Any) -> Any:
    """Write dates as ISO 8601 with all their digits, durations as timedelta (whole microseconds); NaT is None."""
    if value.dtype.kind == "M":
        texts = numpy.datetime_as_string(value)
        return _each(texts.tolist(), lambda text: None if text == "NaT" else text)
    return _plain(value.astype("timedelta64[us]").tolist(), 0)


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    return [_each(item, change) for item in value] if isinstance(value, list) else change(value)


# --- pandas


def _pandas(value: Any, depth: int) -> Any:
    pandas = sys.modules["pandas"]
    if value is pandas.NaT or value is pandas.NA:
        return None
    if isinstance(value, pandas.DataFrame):
        columns = [_column(pandas, value.iloc[:, number], depth) for number in range(value.shape[1])]
        rows = [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in range(len(value))]
        return {"columns": _labels(pandas, value.columns), "index": _labels(pandas, value.index), "data": rows}
    if isinstance(value, pandas.Series):
        return {
            "name": _plain(value.name, depth + 1),
            "index": _labels(pandas, value.index),
            "data": _column(pandas, value, depth),
        }
    if isinstance(value, (pandas.Index, pandas.api.extensions.ExtensionArray)):
        return _column(pandas, pandas.Series(value), depth)
    if isinstance(value, (pandas.Timestamp, pandas.Timedelta)):
        return value.isoformat()
    if isinstance(value, (pandas.Period, pandas.Interval)):
        return str(value)
    return value


def _labels(pandas: Any, index: Any) -> list[Any]:
    if isinstance(index, pandas.MultiIndex):
        return [[_plain(label, 0) for label in labels] for labels in index.tolist()]
    return _column(pandas, index.to_series(), 0)


def _column(pandas: Any, column: Any, depth: int) -> list[Any]:
    """Write one column's values; a missing text is None, since text has no NaN."""
    values: list[Any] = column.tolist()
    kind = getattr(column.dtype, "kind", "O")
    if isinstance(column.dtype, pandas.StringDtype):
        return [value if isinstance(value, str) else None for value in values]
    if kind in "biufc" and not isinstance(column.dtype, pandas.api.extensions.ExtensionDtype):
        return values
    return [_plain(value, depth + 1) for value in values]
