"""What does not belong to tensors: handles of hooks, contexts that decorate."""


def __getattr__(name):
    if name in ("dlpack", "hooks"):
        from importlib import import_module

        return import_module("." + name, __name__)
    raise AttributeError(f"module 'torch.utils' has no attribute '{name}'. Wengert does not have it yet")
