"""torch.storage: what lies under tensors, as scripts look at it: which memory, how many bytes, its elements."""

from . import _C


class _Storage:
    """The whole storage of a tensor. Two are equal when they are the same memory."""

    def __init__(self, tensor):
        self._tensor = tensor.detach().as_subclass(_C.Tensor)

    def _line(self):
        """A vector over all elements."""
        return self._tensor._whole_storage()

    device = property(lambda self: self._tensor.device)
    is_cuda = False
    is_sparse = False
    _cdata = property(lambda self: self.data_ptr())

    def data_ptr(self):
        return self._tensor._storage_key()

    def nbytes(self):
        return self._tensor._storage_bytes()

    def __len__(self):
        return self.size()

    def __iter__(self):
        return iter(self.tolist())

    def __eq__(self, other):
        if not isinstance(other, _Storage):
            return NotImplemented
        return self.data_ptr() == other.data_ptr() and self.nbytes() == other.nbytes()

    __hash__ = None

    def is_pinned(self, device=None):
        return False

    def is_shared(self):
        return False

    def cpu(self):
        return self


class UntypedStorage(_Storage):
    """The bytes under a tensor: x.untyped_storage()."""

    element_size = staticmethod(lambda: 1)

    def size(self):
        return self.nbytes()

    def _bytes(self):
        return self._line()._to_bytes()

    def tolist(self):
        return list(self._bytes())

    def __getitem__(self, index):
        return self._bytes()[index] if not isinstance(index, slice) else list(self._bytes()[index])

    def clone(self):
        return UntypedStorage(self._line().clone())

    def resize_(self, size):
        """size bytes, from now on, under the tensor too when it is the only one."""
        raise NotImplementedError("UntypedStorage.resize_: Wengert does not have it yet; use Tensor.resize_")

    def __repr__(self):
        shown = "\n ".join(map(str, self._bytes()))
        return f" {shown}\n[torch.storage.UntypedStorage(device={self.device}) of size {len(self)}]"


class TypedStorage(_Storage):
    """The elements under a tensor: x.storage()."""

    dtype = property(lambda self: self._tensor.dtype)

    _said = False

    def __init__(self, tensor):
        if TypedStorage._said:
            super().__init__(tensor)
            return
        import warnings

        TypedStorage._said = True
        warnings.warn("TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be the only storage class. "
                      "Use tensor.untyped_storage() instead of tensor.storage()", UserWarning, stacklevel=3)
        super().__init__(tensor)

    def element_size(self):
        return self._tensor.element_size()

    def size(self):
        return self._line().numel()

    def tolist(self):
        return self._line().tolist()

    def _place(self, index):
        """A slot of the storage; elements behind its ends do not exist."""
        if not isinstance(index, int):
            raise RuntimeError(f"can't index a {type(self)} with {type(index)}")
        if not -self.size() <= index < self.size():
            raise IndexError(f"index {index} out of range for storage of size {self.size()}")
        return index % self.size()

    def __getitem__(self, index):
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        return self._line()[self._place(index)].item()

    def __setitem__(self, index, value):
        self._line()[index if isinstance(index, slice) else self._place(index)] = value

    def fill_(self, value):
        self._line().fill_(value)
        return self

    def untyped(self):
        return UntypedStorage(self._tensor)

    def __repr__(self):
        shown = "\n ".join(map(str, self.tolist()))
        return f" {shown}\n[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of size {len(self)}]"


def is_storage(obj):
    """Is it the storage of a tensor?"""
    return isinstance(obj, _Storage)
