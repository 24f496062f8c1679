# Written by tools/make_stubs; do not edit.
from . import functional as functional
from .parameter import Parameter as Parameter
