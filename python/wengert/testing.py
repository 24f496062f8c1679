"""torch.testing: assert_close, and random tensors to test with."""

import math
from collections.abc import Mapping, Sequence

from . import _C

__all__ = ["assert_allclose", "assert_close", "make_tensor"]

_EXACT = 0.0, 0.0
_TOLERANCES = {_C.float16: (1e-3, 1e-5), _C.bfloat16: (1.6e-2, 1e-5), _C.float32: (1.3e-6, 1e-5), _C.float64: (1e-7, 1e-7)}
_LOOSE = {**_TOLERANCES, _C.float16: (1e-3, 1e-3), _C.float32: (1e-4, 1e-5), _C.float64: (1e-5, 1e-8)}  # assert_allclose's


class _Rules:
    """How two things are compared."""

    def __init__(self, allow_subclasses, rtol, atol, equal_nan, check_device, check_dtype, check_layout, check_stride):
        if (rtol is None) != (atol is None):
            missing = "rtol" if rtol is None else "atol"
            raise ValueError(f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}.")
        self.allow_subclasses, self.rtol, self.atol, self.equal_nan = allow_subclasses, rtol, atol, equal_nan
        self.check_dtype, self.check_stride = check_dtype, check_stride

    def tolerances(self, *dtypes):
        if self.rtol is not None:
            return self.rtol, self.atol
        each = [_TOLERANCES.get(d, _EXACT) for d in dtypes]
        return max(r for r, _ in each), max(a for _, a in each)


def _unable(actual, expected):
    return TypeError(f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.")


def _within(shown, tolerance, exact):
    return shown if exact else f"{shown} (up to {tolerance} allowed)"


def _numbers(actual, expected, rules):
    """The text of what is wrong; None: nothing is."""
    if type(actual) is not type(expected) and rules.check_dtype:
        return f"The (d)types do not match: {type(actual)} != {type(expected)}."
    dtypes = [_C.float64 if isinstance(v, (float, complex)) else _C.int64 for v in (actual, expected)]
    return _scalars(actual, expected, *rules.tolerances(*dtypes), rules.equal_nan)


def _scalars(actual, expected, rtol, atol, equal_nan):
    if actual == expected or (equal_nan and actual != actual and expected != expected):
        return None
    difference = abs(actual - expected)
    if math.isfinite(difference) and difference <= atol + rtol * abs(expected):
        return None
    exact = rtol == 0 and atol == 0
    relative = difference / abs(expected) if expected != 0 else math.inf
    return (f"Scalars are not {'equal' if exact else 'close'}!\n\nExpected {expected} but got {actual}.\n"
            f"Absolute difference: {_within(difference, atol, exact)}\nRelative difference: {_within(relative, rtol, exact)}")


def _attributes(actual, expected, rules):
    for name, on in (("shape", True), ("dtype", rules.check_dtype), ("stride()", rules.check_stride)):
        a, b = (getattr(t, name.rstrip("()")) for t in (actual, expected))
        a, b = (a(), b()) if callable(a) else (a, b)
        if on and a != b:
            return f"The values for attribute '{name}' do not match: {a} != {b}."
    return None


def _place(index, shape):
    """The indices of an element counted row by row."""
    place = []
    for n in reversed(shape):
        index, at = divmod(index, n)
        place.append(at)
    return tuple(reversed(place))


def _greatest(differences, wrong, shape):
    differences = differences.masked_fill(~wrong, 0).flatten()
    index = int(differences.argmax())
    return differences[index].item(), _place(index, shape)


def _mismatch(actual, expected, wrong, rtol, atol):
    exact, count, shape = rtol == 0 and atol == 0, int(wrong.sum()), tuple(actual.shape)
    absolute = (actual - expected).abs()
    relative = absolute / expected.abs()
    lines = [f"Tensor-likes are not {'equal' if exact else 'close'}!\n", f"Mismatched elements: {count} / {wrong.numel()} ({count / wrong.numel():.1%})"]
    for name, differences, tolerance in (("absolute", absolute, atol), ("relative", relative, rtol)):
        value, place = _greatest(differences, wrong, shape)
        lines.append(f"Greatest {name} difference: {value} at index {place}" + ("" if exact else f" (up to {tolerance} allowed)"))
    return "\n".join(lines)


def _tensors(actual, expected, rules):
    trouble = _attributes(actual, expected, rules)
    if trouble:
        return trouble
    rtol, atol = rules.tolerances(actual.dtype, expected.dtype)
    actual, expected = actual.detach(), expected.detach()
    if actual.dtype is not expected.dtype:
        common = _C.promote_types(actual.dtype, expected.dtype)
        actual, expected = actual.to(common), expected.to(common)
    if not actual.is_floating_point():
        actual, expected = actual.to(_C.int64), expected.to(_C.int64)
    right = actual.isclose(expected, rtol=rtol, atol=atol, equal_nan=rules.equal_nan)
    if bool(right.all()):
        return None
    if actual.dim() == 0:
        return _scalars(actual.item(), expected.item(), rtol, atol, rules.equal_nan)
    return _mismatch(actual, expected, ~right, rtol, atol)


def _is_array(o):
    return type(o).__module__ == "numpy" and hasattr(o, "__array__")


def _compare_leaves(actual, expected, rules):
    for kind in (bool, type(None)):
        if isinstance(actual, kind) or isinstance(expected, kind):
            if kind is bool and not (isinstance(actual, bool) and isinstance(expected, bool)):
                raise _unable(actual, expected)
            word = "Booleans" if kind is bool else "None"
            return None if actual is expected else f"{word} mismatch: {actual} is not {expected}"
    if isinstance(actual, (int, float, complex)) and isinstance(expected, (int, float, complex)):
        return _numbers(actual, expected, rules)
    if _is_array(actual) and _is_array(expected):
        actual, expected = _C.as_tensor(actual), _C.as_tensor(expected)
    if not isinstance(actual, _C.Tensor) or not isinstance(expected, _C.Tensor):
        raise _unable(actual, expected)
    related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
    if not related or (not rules.allow_subclasses and type(actual) is not type(expected)):
        raise _unable(actual, expected)
    return _tensors(actual, expected, rules)


def _is_sequence(o):
    return isinstance(o, Sequence) and not isinstance(o, str)


def _pairs(actual, expected, path):
    """The leaves of two nested things, with where they stand."""
    if _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            raise AssertionError(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}" + _where(path))
        for i, (a, b) in enumerate(zip(actual, expected)):
            yield from _pairs(a, b, path + (i,))
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        _check_keys(set(actual), set(expected), path)
        for key in sorted(actual, key=repr):
            yield from _pairs(actual[key], expected[key], path + (key,))
    else:
        yield actual, expected, path


def _check_keys(actual, expected, path):
    if actual != expected:
        raise AssertionError(f"The keys of the mappings do not match:\nMissing keys in the actual mapping: {sorted(expected - actual, key=repr)}\n"
                             f"Additional keys in the actual mapping: {sorted(actual - expected, key=repr)}" + _where(path))


def _where(path):
    return "\n\nThe failure occurred for item " + "".join(f"[{part!r}]" for part in path) if path else ""


def assert_close(actual, expected, *, allow_subclasses=True, rtol=None, atol=None, equal_nan=False, check_device=True, check_dtype=True,
                 check_layout=True, check_stride=False, msg=None):
    """Raises AssertionError unless the tensors, numbers, or nested lists and dicts of them are close.

    |actual - expected| <= atol + rtol |expected|; what they are by default depends on the dtype, 0 for integers.
    """
    rules = _Rules(allow_subclasses, rtol, atol, equal_nan, check_device, check_dtype, check_layout, check_stride)
    for a, b, path in _pairs(actual, expected, ()):
        trouble = _compare_leaves(a, b, rules)
        if trouble:
            trouble += _where(path)
            raise AssertionError(msg(trouble) if callable(msg) else msg or trouble)


def assert_allclose(actual, expected, rtol=None, atol=None, equal_nan=True, msg=""):
    """The older form of assert_close: dtypes may differ, expected may be a list."""
    import warnings

    warnings.warn("`torch.testing.assert_allclose()` is deprecated since 1.12 and will be removed in a future release. Please use "
                  "`torch.testing.assert_close()` instead.", FutureWarning, stacklevel=2)
    actual = actual if isinstance(actual, _C.Tensor) else _C.tensor(actual)
    expected = expected if isinstance(expected, _C.Tensor) else _C.tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        each = [_LOOSE.get(t.dtype, _EXACT) for t in (actual, expected)]
        rtol, atol = max(r for r, _ in each), max(a for _, a in each)
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False, msg=msg or None)


def _bounds(dtype, low, high):
    """What make_tensor draws from: [low, high) where the dtype has it."""
    floating = dtype.is_floating_point
    info = None if dtype is _C.bool else _C.finfo(dtype) if floating else _C.iinfo(dtype)
    least, most = (0, 2) if info is None else (info.min, info.max if floating or dtype is _C.int64 else info.max + 1)
    low = low if low is not None else 0 if info is None else -9
    high = high if high is not None else 2 if info is None else 9 if floating else 10
    if low != low or high != high:
        raise ValueError(f"`low` and `high` cannot be NaN, but got low={low!r} and high={high!r}")
    if low > high or (low == high and not floating):
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    if high < least or low >= most:
        raise ValueError(f"The value interval specified by `low` and `high` is [{low}, {high}), but {dtype} only supports [{least}, {most})")
    low, high = (min(max(v, least), most) for v in (low, high))
    return (low, high) if floating else (math.ceil(low), math.ceil(high))


def make_tensor(*shape, dtype, device="cpu", low=None, high=None, requires_grad=False, noncontiguous=False, exclude_zero=False, memory_format=None):
    """A tensor of random values, in [-9, 9) unless low and high say otherwise; of bools and integers as their dtype has them."""
    if len(shape) == 1 and isinstance(shape[0], Sequence):
        shape = tuple(shape[0])
    if noncontiguous and memory_format is not None:
        raise ValueError(f"The parameters `noncontiguous` and `memory_format` are mutually exclusive, but got {noncontiguous=} and {memory_format=}")
    floating = dtype.is_floating_point
    if requires_grad and not floating:
        raise ValueError(f"`requires_grad=True` is not supported for boolean and integral dtypes, but got {dtype=}")
    low, high = _bounds(dtype, low, high)
    spread = noncontiguous and math.prod(shape) > 1
    drawn = (*shape[:-1], 2 * shape[-1]) if spread else shape
    if floating:
        result = _C.empty(drawn, dtype=dtype, device=device).uniform_(low, high)
    else:
        result = _C.randint(low, high, drawn, dtype=dtype, device=device)
    if spread:
        result = result[..., 1::2]
    elif memory_format is not None:
        result = result.clone(memory_format=memory_format)
    if exclude_zero:
        result[result == 0] = _C.finfo(dtype).tiny if floating else 1
    return result.requires_grad_(requires_grad) if floating else result
