"""Anomaly mode. Missing but for switching it off: errors name the forward call's line without it."""

__all__ = ["detect_anomaly", "set_detect_anomaly"]

_MISSING = (
    "anomaly detection is missing in this version of wengert. An error in backward names the line of the forward call without it; "
    "for nan, register a hook on the tensors in question"
)


class set_detect_anomaly:
    def __init__(self, mode, check_nan=True):
        if mode:
            raise NotImplementedError(_MISSING)

    def __enter__(self):
        pass

    def __exit__(self, kind, value, traceback):
        pass


class detect_anomaly:
    def __init__(self, check_nan=True):
        self.check_nan = check_nan

    def __enter__(self):
        raise NotImplementedError(_MISSING)

    def __exit__(self, kind, value, traceback):
        pass
