"""Devices that are not here: what scripts ask of torch.cuda, torch.mps, torch.xpu in passing is answered; what needs one raises."""

__all__ = ["device_count", "empty_cache", "is_available", "is_initialized", "manual_seed", "manual_seed_all", "synchronize"]


def is_available():
    return False


def device_count():
    return 0


def is_initialized():
    return False


def manual_seed(seed):
    """Nothing to seed."""


def manual_seed_all(seed):
    """Nothing to seed."""


def empty_cache():
    """Nothing to empty."""


def synchronize(device=None):
    raise AssertionError("Torch not compiled with CUDA enabled. Wengert computes on the cpu")


def missing(module):
    """A module's __getattr__ that says what Wengert lacks."""

    def __getattr__(name):
        raise AttributeError(f"module '{module}' has no attribute '{name}'. Wengert does not have it yet")

    return __getattr__
