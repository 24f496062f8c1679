"""torch.nn as far as it exists: Parameter and the functional forms. Layers come with the Training part."""

from . import functional
from .parameter import Buffer, Parameter


def __getattr__(name):
    raise AttributeError(f"module 'torch.nn' has no attribute '{name}'. Wengert does not have it yet")
