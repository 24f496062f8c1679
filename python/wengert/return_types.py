"""torch.return_types: the named results of max, sort …"""

from . import _C


def __getattr__(name):
    try:
        return _C._return_type(name)
    except KeyError:
        raise AttributeError(f"module 'torch.return_types' has no attribute '{name}'") from None
