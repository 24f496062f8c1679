# Written by tools/make_stubs; do not edit.
from collections.abc import Callable, Sequence
from typing import Any

from .. import Tensor
from .. import enable_grad as enable_grad
from .. import inference_mode as inference_mode
from .. import no_grad as no_grad
from .. import set_grad_enabled as set_grad_enabled

def backward(tensors: Tensor | Sequence[Tensor], grad_tensors: Tensor | Sequence[Tensor | None] | None = None, retain_graph: bool | None = None,
             create_graph: bool = False, grad_variables: Any = None, inputs: Tensor | Sequence[Tensor] | None = None) -> None: ...
def grad(outputs: Tensor | Sequence[Tensor], inputs: Tensor | Sequence[Tensor], grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
         retain_graph: bool | None = None, create_graph: bool = False, allow_unused: bool | None = None, is_grads_batched: bool = False,
         materialize_grads: bool = False) -> tuple[Tensor, ...]: ...
def gradcheck(func: Callable[..., Any], inputs: Tensor | Sequence[Any], **options: Any) -> bool: ...
def gradgradcheck(func: Callable[..., Any], inputs: Tensor | Sequence[Any], grad_outputs: Any = None, **options: Any) -> bool: ...

class Function:
    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any: ...

def __getattr__(name: str) -> Any: ...
