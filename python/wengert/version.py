"""Versions: our own, and the one of the PyTorch whose behaviour this is."""

import wengert

cuda = None
hip = None
debug = False
git_version = "unknown"


class TorchVersion(str):
    """A version text that compares as versions do: '2.15.0' > '2.9', and > (2, 9)."""

    @staticmethod
    def _key(value):
        if isinstance(value, (tuple, list)):
            value = ".".join(str(part) for part in value)
        key = []
        for part in str(value).split("+")[0].split("."):
            digits = ""
            for c in part:
                if not c.isdigit():
                    break
                digits += c
            if not digits:
                break
            key.append(int(digits))
        while key and key[-1] == 0:
            key.pop()
        return tuple(key)

    def __lt__(self, other):
        return self._key(self) < self._key(other)

    def __le__(self, other):
        return self._key(self) <= self._key(other)

    def __gt__(self, other):
        return self._key(self) > self._key(other)

    def __ge__(self, other):
        return self._key(self) >= self._key(other)

    def __eq__(self, other):
        if isinstance(other, str):
            return str.__eq__(self, other) or (not isinstance(other, TorchVersion) and "+" not in other and self._key(self) == self._key(other))
        return self._key(self) == self._key(other)

    def __ne__(self, other):
        return not self == other

    __hash__ = str.__hash__


def __getattr__(name):
    if name == "__version__":
        from ._alias import version

        return str(version())
    raise AttributeError(f"module 'torch.version' has no attribute '{name}'")


wengert_version = wengert.__version__
