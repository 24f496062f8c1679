"""torch as a name for wengert: a module that answers PyTorch's version, and a finder that leads `torch.X` to `wengert.X`."""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

import wengert

IMITATED = "2.15.0"


class _Torch(ModuleType):
    """Shows wengert's names. What is set on it is set on wengert, so that both stay one."""

    def __getattr__(self, name):
        value = getattr(wengert, name)
        if isinstance(value, ModuleType):
            sys.modules.setdefault("torch." + name, value)
        return value

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if not name.startswith("__"):
            setattr(wengert, name, value)

    def __delattr__(self, name):
        super().__delattr__(name)
        if name in vars(wengert):
            delattr(wengert, name)

    def __dir__(self):
        return dir(wengert)


class _Loader:
    def __init__(self, module):
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec):
        return self.module

    def exec_module(self, module):
        module.__spec__ = self.spec  # importing it under another name does not change what it is


class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if not name.startswith("torch."):
            return None
        ours = "wengert." + name[len("torch."):]
        try:
            module = import_module(ours)
        except ModuleNotFoundError as error:
            if error.name == ours or ours.startswith((error.name or "") + "."):
                raise ModuleNotFoundError(f"No module named '{name}'. Wengert does not have it yet", name=name) from None
            raise
        spec = ModuleSpec(name, _Loader(module), is_package=hasattr(module, "__path__"))
        spec.submodule_search_locations = list(getattr(module, "__path__", [])) or None
        return spec


def version():
    """The PyTorch that is imitated, comparable as PyTorch's own version text is."""
    from .version import TorchVersion

    return TorchVersion(f"{IMITATED}+wengert.{wengert.__version__}")


def install():
    """Puts the module in place; a real PyTorch that was imported before is refused."""
    there = sys.modules.get("torch")
    if isinstance(there, _Torch):
        return there
    if there is not None:
        raise RuntimeError("torch is imported already: call wengert.as_torch() before anything imports it")
    torch = _Torch("torch", wengert.__doc__)
    torch.__dict__.update({k: v for k, v in vars(wengert).items() if not k.startswith("__") and not isinstance(v, ModuleType)})
    torch.__version__ = version()
    torch.__path__ = []
    torch.__file__ = wengert.__file__
    torch.__spec__ = ModuleSpec("torch", None, is_package=True)
    torch._C = wengert._C
    sys.meta_path.insert(0, _Finder)
    sys.modules["torch"] = torch
    for name, module in list(sys.modules.items()):
        if name.startswith("wengert.") and module is not None:
            sys.modules["torch." + name[len("wengert."):]] = module
    return torch
