"""torch.types: names for annotations."""

from numbers import Number as _Number
from typing import Union

from ._C import Size, Tensor, device, dtype

Number = _Number
_int, _float, _bool = int, float, bool
_dtype, _device, _size = dtype, device, Union[Size, list, tuple]
Device = Union[device, str, int, None]
__all__ = ["Number", "Device", "Tensor"]
