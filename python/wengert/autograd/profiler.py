"""The autograd profiler, which this version of wengert does not have."""

__all__ = ["profile", "record_function", "emit_nvtx"]


class profile:
    def __init__(self, enabled=True, **options):
        if enabled:
            raise NotImplementedError("torch.autograd.profiler is missing in this version of wengert")
        self.enabled = False

    def __enter__(self):
        pass

    def __exit__(self, kind, value, traceback):
        pass


class record_function:
    """Marks a region for the profiler: nothing to do without one."""

    def __init__(self, name, args=None):
        self.name = name

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        pass

    def __call__(self, func):
        return func


class emit_nvtx(profile):
    pass
