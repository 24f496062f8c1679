"""Context managers that also decorate functions, classes and generators: the grad modes are such."""

import functools
import inspect
import sys

__all__ = ["context_decorator"]


def _rewind(ctx_factory, func):
    """func is a generator function: the context is left at each yield and entered again when it goes on."""

    @functools.wraps(func)
    def generator_context(*args, **kwargs):
        generator = func(*args, **kwargs)
        try:
            with ctx_factory():
                item = generator.send(None)
            while True:
                try:
                    request = yield item
                except GeneratorExit:
                    with ctx_factory():
                        generator.close()
                    raise
                except BaseException:
                    with ctx_factory():
                        item = generator.throw(sys.exc_info()[1])
                else:
                    with ctx_factory():
                        item = generator.send(request)
        except StopIteration as stop:
            return stop.value

    return generator_context


def context_decorator(ctx, func):
    """func inside a fresh context at each call. ctx: a context manager, used again and again, or what makes one."""
    if callable(ctx) and hasattr(ctx, "__enter__"):
        raise RuntimeError(
            f"Passed in {ctx} is both callable and also a valid context manager (has __enter__), making it ambiguous which "
            "interface to use.  Pass `lambda: ctx()` for one that makes contexts, `lambda: ctx` for a context"
        )
    ctx_factory = ctx if callable(ctx) else lambda: ctx
    if inspect.isclass(func):
        raise RuntimeError(
            "Cannot decorate classes; it is ambiguous whether or not only the constructor or all methods should have the "
            "context manager applied. Decorate the methods"
        )
    if inspect.isgeneratorfunction(func):
        return _rewind(ctx_factory, func)

    @functools.wraps(func)
    def decorate_context(*args, **kwargs):
        with ctx_factory():
            return func(*args, **kwargs)

    return decorate_context


def _decorate_mode(mode, func):
    """A grad mode (a C object) as a decorator. Of a class it takes the constructor."""
    if inspect.isclass(func):
        import warnings

        warnings.warn(
            "Decorating classes is deprecated and will be disabled in future versions. You should only decorate functions or "
            "methods; to keep what it does now, decorate the class's `__init__`",
            FutureWarning,
            stacklevel=3,
        )
        make = func

        @functools.wraps(make)
        def construct(*args, **kwargs):
            with mode.clone():
                return make(*args, **kwargs)

        return construct
    return context_decorator(mode.clone, func)


class _DecoratorContextManager:
    """Base of context managers that also decorate."""

    def __call__(self, orig_func):
        return _decorate_mode(self, orig_func)

    def __enter__(self):
        raise NotImplementedError

    def __exit__(self, exc_type, exc_value, traceback):
        raise NotImplementedError

    def clone(self):
        return self.__class__()


class _NoParamDecoratorContextManager(_DecoratorContextManager):
    """One without parameters: @ctx will do for @ctx()."""

    def __new__(cls, orig_func=None):
        self = super().__new__(cls)
        return self if orig_func is None else self.__call__(orig_func)
