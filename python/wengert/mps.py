"""torch.mps: there is none."""

from ._absent import *  # noqa: F401,F403
from ._absent import missing

__getattr__ = missing(__name__.replace("wengert", "torch"))
