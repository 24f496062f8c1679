"""torch.linalg as far as the library has it: its functions whose names begin with linalg_."""

from . import _C

vector_norm = _C._hidden["linalg_vector_norm"]
matmul = _C.matmul


def __getattr__(name):
    try:
        return getattr(_C, "linalg_" + name)
    except AttributeError:
        raise AttributeError(f"module 'torch.linalg' has no attribute '{name}'. Wengert does not have it yet") from None


def __dir__():
    return sorted({"matmul"} | {name[len("linalg_"):] for name in dir(_C) if name.startswith("linalg_")})
