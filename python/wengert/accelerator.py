"""torch.accelerator: there is none."""

from ._absent import device_count, is_available, missing, synchronize  # noqa: F401


def current_accelerator(check_available=False):
    return None


__getattr__ = missing("torch.accelerator")
