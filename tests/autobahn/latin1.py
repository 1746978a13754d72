"""What the suite's cases expect of Python 2: a `str` is a string of bytes.

The cases are loaded as latin-1, so that each character of a literal is one byte of it. These stand in for
the few library functions of theirs that care; `fuzz.py` turns what goes over the wire.
"""

import binascii

from autobahn.websocket import utf8validator


def to_bytes(data):
    return data if isinstance(data, bytes) else data.encode("latin-1")


def b2a_hex(data):
    return binascii.b2a_hex(to_bytes(data)).decode("latin-1")


class Utf8Validator:
    def __init__(self):
        self._validator = utf8validator.Utf8Validator()

    def reset(self):
        self._validator.reset()

    def validate(self, data):
        return self._validator.validate(to_bytes(data))
