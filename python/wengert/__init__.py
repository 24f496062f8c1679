"""PyTorch's tensors and autograd on a small C library.

    import wengert as torch

    x = torch.ones(2, 2, requires_grad=True)
    (3 * (x + 2) ** 2).mean().backward()
    print(x.grad)

Names are PyTorch's; what Wengert lacks raises AttributeError and says so. `python -m wengert SCRIPT` runs a script in
which `import torch` means this library; `wengert.as_torch()` does the same from inside a program.
"""

import copyreg

try:
    from . import _C
except ImportError as error:
    from ._unusable import explained

    raise explained(error) from None
from ._C import *  # noqa: F401,F403

__version__ = _C._version()

# Modules that are imported when somebody asks for them, so that `import wengert` stays a matter of milliseconds.
_SUBMODULES = frozenset((
    "accelerator", "autograd", "backends", "cuda", "func", "linalg", "mps", "nn", "ops", "overrides", "random", "return_types",
    "special", "storage", "testing", "types", "utils", "version", "xpu"))
# Names that live in those modules: name -> (module, name there).
_ELSEWHERE = {
    "UntypedStorage": ("storage", "UntypedStorage"),
    "TypedStorage": ("storage", "TypedStorage"),
}
_names = dict(_C.__dict__)  # what `from ._C import *` leaves out begins with an underscore



def _pickled_class(cls):
    """How classes of tensors are pickled: processes without torch load them too."""
    from ._pickle import _reduce_class

    return _reduce_class(cls)


copyreg.pickle(_C._TensorMeta, _pickled_class)


def _in_c(name):
    """torch._C.DisableTorchFunctionSubclass, which classes enter, and its kin live in overrides."""
    if name in ("DisableTorchFunctionSubclass", "DisableTorchFunction"):
        from . import overrides

        return getattr(overrides, name)
    raise AttributeError(f"module 'torch._C' has no attribute '{name}'. Wengert does not have it yet")


_C.__getattr__ = _in_c

inf = 1e999
nan = 1e999 - 1e999
pi = 3.141592653589793
e = 2.718281828459045
newaxis = None


def get_include():
    """The folder of libwengert's headers, for C code that shares tensors with Python."""
    import os

    return os.path.join(os.path.dirname(__file__), "include")


def get_library():
    """The path of the libwengert that this module is linked with: link C code with it, not with another copy."""
    return _C._library_path()


def show_config():
    """Version, instruction set, BLAS and threads in use, as text."""
    return _C._config()


def as_torch():
    """Makes `import torch` mean this library from now on. Returns the module that answers to that name."""
    from ._alias import install

    return install()


def __getattr__(name):
    if name in _SUBMODULES:
        from importlib import import_module

        try:
            return import_module("." + name, __name__)
        except ModuleNotFoundError as error:
            if error.name != __name__ + "." + name:
                raise
    elif name in _ELSEWHERE:
        from importlib import import_module

        module, there = _ELSEWHERE[name]
        value = getattr(import_module("." + module, __name__), there)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'torch' has no attribute '{name}'. Wengert does not have it yet")


def __dir__():
    return sorted(set(globals()) | _SUBMODULES | set(_ELSEWHERE))
