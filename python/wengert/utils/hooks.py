"""Handles of registered hooks."""

import weakref

from .. import _C

__all__ = ["RemovableHandle"]


class RemovableHandle:
    """What registering a hook returns: remove() takes the hook away, leaving `with handle:` does too.

    It stands for an entry of a dict of hooks (held weakly), or for a hook that the library holds.
    """

    __module__ = "torch.utils.hooks"
    next_id = 0

    def __init__(self, hooks_dict, *, extra_dict=None):
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        extra = () if extra_dict is None else extra_dict if isinstance(extra_dict, list) else (extra_dict,)
        self.extra_dict_ref = tuple(weakref.ref(d) for d in extra)
        self._hook = None

    @classmethod
    def _of_hook(cls, hook):
        self = cls.__new__(cls)
        self.hooks_dict_ref = _gone
        self.extra_dict_ref = ()
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        self._hook = hook
        return self

    def remove(self):
        if self._hook is not None:
            _C._remove_hook(self._hook)
        for ref in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = ref()
            if hooks is not None and self.id in hooks:
                del hooks[self.id]

    def __getstate__(self):
        if self._hook is not None:
            return (None, self.id)
        if self.extra_dict_ref:
            return (self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref))
        return (self.hooks_dict_ref(), self.id)

    def __setstate__(self, state):
        from collections import OrderedDict

        def ref_to(d):  # a dict that is gone leaves a dead reference
            return weakref.ref(OrderedDict() if d is None else d)

        self.hooks_dict_ref = ref_to(state[0])
        self.id = state[1]
        self.extra_dict_ref = tuple(ref_to(d) for d in (state[2] if len(state) > 2 else ()))
        self._hook = None
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self.remove()


def _gone():
    return None
