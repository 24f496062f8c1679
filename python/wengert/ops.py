"""torch.ops.aten: the registry's ops by their own names, parts of others included."""

from . import _C


class _Namespace:
    def __getattr__(self, name):
        found = getattr(_C, name, None) or _C._hidden.get(name) or _C._nn.get(name) or getattr(_C.Tensor, name, None)
        if found is None:
            raise AttributeError(f"'_OpNamespace' 'aten' object has no attribute '{name}'. Wengert does not have it yet")
        return found


aten = _Namespace()
