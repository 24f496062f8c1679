"""torch.linalg as far as the library has it."""

from . import _C

vector_norm = _C.linalg_vector_norm
matmul = _C.matmul


def __getattr__(name):
    raise AttributeError(f"module 'torch.linalg' has no attribute '{name}'. Wengert does not have it yet")
