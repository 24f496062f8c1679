"""torch.backends: switches of libraries that are not here. They can be set, and change nothing."""


class _Backend:
    def __init__(self, **values):
        self.__dict__.update(values)

    def is_available(self):
        return False

    def is_built(self):
        return False


cudnn = _Backend(enabled=False, benchmark=False, deterministic=False, allow_tf32=False)
cuda = _Backend(matmul=_Backend(allow_tf32=False))
mps = _Backend()
mkldnn = _Backend(enabled=False)
mkl = _Backend()
openmp = _Backend()
