"""torch.autograd.Function: operations with a derivative of one's own. Calling them and their contexts are C
(_C._FunctionApply, _C._FunctionBase); here is what users subclass."""

import functools

from .. import _C

__all__ = [
    "FunctionCtx", "BackwardCFunction", "FunctionMeta", "Function", "once_differentiable", "InplaceFunction", "NestedIOFunction",
]

_MODULE = "torch.autograd.function"


class FunctionCtx:
    """What ctx is: where forward leaves what backward needs. Its methods are C."""

    __module__ = _MODULE
    __slots__ = ()

    def mark_shared_storage(self, *pairs):
        import warnings

        warnings.warn(
            "`mark_shared_storage` is deprecated. Tensors with shared storages are automatically tracked. Note that calls to "
            "`set_()` are not tracked",
            FutureWarning,
            stacklevel=2,
        )


_ContextMethodMixin = FunctionCtx


class BackwardCFunction(_C._FunctionBase, FunctionCtx):
    """Base of all contexts. A context is the grad_fn of its call's outputs."""

    __module__ = _MODULE

    def _get_user_fn(self):
        cls = self._forward_cls
        own = [f for f in (cls.vjp, cls.backward) if f is not Function.backward]
        if len(own) == 2:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only implement one of "
                "them."
            )
        return own[0] if own else Function.backward

    def apply(self, *args):
        """Backward, called by hand."""
        if self._forward_cls.boxed_grads_call:
            args = (list(args),)
        return self._get_user_fn()(self, *args)

    def apply_jvp(self, *args):
        return self._forward_cls.jvp(self, *args)


class FunctionMeta(type):
    """Makes a Function's type of context: FBackward for F."""

    def __init__(cls, name, bases, attrs):
        cls._backward_cls = type(name + "Backward", (BackwardCFunction,), {"_forward_cls": cls, "__module__": _MODULE})
        super().__init__(name, bases, attrs)


class Function(_C._FunctionApply, metaclass=FunctionMeta):
    """Base of operations with a derivative of their own:

        class Exp(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                y = x.exp()
                ctx.save_for_backward(y)
                return y

            @staticmethod
            def backward(ctx, grad):
                (y,) = ctx.saved_tensors
                return grad * y

        z = Exp.apply(x)
    """

    __module__ = _MODULE

    generate_vmap_rule = False  # True: vmap runs forward, backward and jvp on batches
    clear_saved_tensors_on_access = False  # True: ctx.saved_tensors may be read once, and lets go of what it gives
    boxed_grads_call = False  # True: backward(ctx, [gradients]), a list that it may empty as it goes

    def __init__(self, *args, **kwargs):
        import warnings

        warnings.warn(
            f"{self.__class__} should not be instantiated. Methods on autograd functions are all static, so you should invoke them "
            "on the class itself. Instantiating an autograd function will raise an error in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args, **kwargs):
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function with "
            "static forward method. (Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args, **kwargs):
        """forward(ctx, *args), or forward(*args) beside setup_context(ctx, inputs, output)."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Where forward has no ctx: leaves on ctx what backward needs."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        """From the gradients of the outputs, one gradient (or None) for each argument of forward."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx, *grad_inputs):
        """From the tangents of forward's arguments, one tangent (or None) for each output."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @staticmethod
    def vmap(info, in_dims, *args):
        """forward of a batch: (output, out_dims)."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap staticmethod or set generate_vmap_rule=True."
        )


_SingleLevelFunction = Function


# ---- arguments by name -----------------------------------------------------------------------------------------------------


def _positional_names(forward, has_ctx):
    code = getattr(forward, "__code__", None)
    if code is None:
        forward = type(forward).__call__.__get__(forward)
        code = forward.__code__
    skip = has_ctx + hasattr(forward, "__self__")
    return code.co_varnames[skip : code.co_argcount]


def _bind_keywords(forward, args, kwargs, setup):
    """The arguments as positional ones. None may be left out before the last that is given."""
    names = _positional_names(forward, not setup)
    given = dict(zip(names, args))
    for name, value in kwargs.items():
        if name not in names:
            raise TypeError(f"forward() got an unexpected keyword argument '{name}'")
        if name in given:
            raise TypeError(f"forward() got multiple values for argument '{name}'")
        given[name] = value
    for i, name in enumerate(names[: max(map(names.index, given)) + 1]):
        if name not in given:
            raise TypeError(f"forward() missing required argument: '{name}' (position {i})")
    return tuple(given[name] for name in names if name in given) + args[len(names) :]


def _bind_defaults(forward, args):
    import inspect

    bound = inspect.signature(forward).bind(*args)
    bound.apply_defaults()
    return bound.args


_C._set_function_defaults(Function.backward, Function.setup_context, _bind_keywords, _bind_defaults)


# ---- what else is in this module -------------------------------------------------------------------------------------------


def once_differentiable(fn):
    """Decorates a backward that cannot be differentiated: its results say so when somebody tries."""

    @functools.wraps(fn)
    def wrapper(ctx, *args, **kwargs):
        with _C.no_grad():
            outputs = fn(ctx, *args, **kwargs)
        if not _C.is_grad_enabled() or not any(isinstance(a, _C.Tensor) and a.requires_grad for a in args):
            return outputs
        single = not isinstance(outputs, tuple)
        refusing = _C._error_when_differentiated((outputs,) if single else outputs)
        return refusing[0] if single else refusing

    return wrapper


class InplaceFunction(Function):
    """An old name; Function does the same."""

    __module__ = _MODULE

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace


class NestedIOFunction(Function):
    """Functions of nested lists in the style that PyTorch gave up; they cannot be called."""

    __module__ = _MODULE
