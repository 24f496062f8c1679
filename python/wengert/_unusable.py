"""Why the extension could not be loaded, in a sentence. Only imported when that happens."""

import os
import sys
import sysconfig


def _reason():
    folder = os.path.dirname(os.path.abspath(__file__))
    if sys.implementation.name != "cpython":
        return f"it is for CPython, and this is {sys.implementation.name}"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this is a free-threaded build of Python, which Wengert does not support yet; use the ordinary build of the same version"
    if sys.version_info < (3, 11):
        return "Python 3.11 or newer is needed, and this is %d.%d" % sys.version_info[:2]
    if not any(name.startswith("_C.") for name in os.listdir(folder)):
        return f"it has not been built: {folder} holds the Python files only. Install with 'pip install .', or build with 'make python'"
    return None


def explained(error):
    """The ImportError to raise: the one that came if it says enough, else one that says why."""
    why = _reason()
    if why is None:
        return error
    return ImportError(f"the extension wengert._C cannot be loaded: {why}", name="wengert._C", path=error.path)
