# Written by tools/make_stubs; do not edit.
from .. import Tensor

class Parameter(Tensor):
    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter: ...
