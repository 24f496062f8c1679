"""torch.xpu: there is none. What scripts ask in passing is answered; what needs a device raises."""


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
    raise AssertionError("Torch not compiled with XPU enabled. Wengert computes on the cpu")


def __getattr__(name):
    raise AttributeError(f"module 'torch.xpu' has no attribute '{name}'. Wengert does not have it yet")
