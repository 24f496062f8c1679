"""torch.autograd.graph: nodes and edges of the graph, hooks over several tensors, saved tensors."""

import threading
from collections import namedtuple

from .. import _C
from ..utils.hooks import RemovableHandle

__all__ = [
    "saved_tensors_hooks", "save_on_cpu", "disable_saved_tensors_hooks", "node_creation_hook", "register_multi_grad_hook",
    "allow_mutation_on_saved_tensors", "Node", "GradientEdge", "get_gradient_edge", "increment_version", "queue_callback",
]

Node = _C._Node


class GradientEdge(namedtuple("GradientEdge", ("node", "output_nr", "ownership_token"), defaults=(None,))):
    """Where a gradient arrives: an output of a node. As root or input of backward and grad it stands for a tensor."""

    __slots__ = ()


_C._set_edge_type(GradientEdge)


def get_gradient_edge(tensor):
    """The edge of a tensor that requires a gradient: its grad_fn, or what accumulates into it."""
    if not tensor.requires_grad:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require gradients"
        )
    node, token = _C._gradient_node(tensor)
    return GradientEdge(node, tensor.output_nr, token)


def increment_version(tensor):
    """Says that a tensor, or each of several, was written where autograd could not see it."""
    _C._increment_version(tensor)


def queue_callback(callback):
    """Runs callback() when the backward that is running has ended."""
    _C._queue_callback(callback)


class _MultiHandle(RemovableHandle):
    def __init__(self, handles):
        self.handles = tuple(handles)

    def remove(self):
        for handle in self.handles:
            handle.remove()

    def __getstate__(self):
        return self.handles

    def __setstate__(self, state):
        self.handles = state


class _AtEnd:
    """Queued in a backward, does its work when that lets go of it, be it that it failed."""

    def __init__(self, work, *args):
        self.work, self.args = work, args

    def __call__(self):
        pass

    def __del__(self):
        self.work(*self.args)


def _call_when_all(tensors, fn):
    nodes = []
    for t in tensors:
        assert t.requires_grad, "Expected gradient function to be set"
        nodes.append(_C._gradient_node(t)[0])
    lock = threading.Lock()
    under_way = {}  # walk -> [gradients that it brings, those to come, gradients]

    def see(index, grad):
        walk = _C._walk_id()
        with lock:
            state = under_way.get(walk)
            if state is None:
                state = under_way[walk] = [sum(map(_C._walk_will_run, nodes)), [None] * len(nodes)]
                _C._queue_callback(_AtEnd(under_way.pop, walk, None))
            state[1][index] = grad
            state[0] -= 1
            if state[0]:
                return
            del under_way[walk]
        fn(state[1])

    def watcher(index):
        return lambda grad: see(index, grad)

    return _MultiHandle(t.register_hook(watcher(i)) for i, t in enumerate(tensors))


def _call_at_first(tensors, fn):
    lock = threading.Lock()
    seen = set()

    def see(grad):
        walk = _C._walk_id()
        with lock:
            if walk in seen:
                return
            seen.add(walk)
            _C._queue_callback(_AtEnd(seen.discard, walk))
        fn(grad)

    return _MultiHandle(t.register_hook(see) for t in tensors if t.requires_grad)


def register_multi_grad_hook(tensors, fn, *, mode="all"):
    """Calls fn once per backward: "all", with the list of gradients (None: none comes) when they are complete; "any", with
    the first gradient that is."""
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    return (_call_when_all if mode == "all" else _call_at_first)(tuple(tensors), fn)


def _missing(name):
    return NotImplementedError(f"torch.autograd.graph.{name} is missing in this version of wengert")


class saved_tensors_hooks:
    def __init__(self, pack_hook, unpack_hook):
        raise _missing("saved_tensors_hooks")


class save_on_cpu:
    def __init__(self, pin_memory=False, device_type="cuda"):
        raise _missing("save_on_cpu")


def disable_saved_tensors_hooks(error_message):
    raise _missing("disable_saved_tensors_hooks")


def allow_mutation_on_saved_tensors():
    raise _missing("allow_mutation_on_saved_tensors")


def node_creation_hook(fn):
    raise _missing("node_creation_hook")
