# SPDX-License-Identifier: Apache-2.0
"""Makes calls of the server fail: the other half of fault/fault_preload.c."""

import errno
import mmap
import pathlib
import struct
import subprocess

WRITE, SYNC, TRUNCATE, OPEN, ALLOC = 1, 2, 4, 8, 16
FROM_THEN_ON = 1 << 60
SOURCE = pathlib.Path(__file__).resolve().parents[1] / "fault" / "fault_preload.c"
FIELDS = struct.Struct("=iiiqqqq64s")  # behind `armed`: calls, error, is_short, first, count, seen, hit, path


def build(directory):
    """The library to preload."""
    library = directory / "fault_preload.so"
    words = ["cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-shared", "-fPIC"]
    subprocess.run([*words, "-o", library, SOURCE], check=True)
    return library


class Faults:
    """What is to fail, shared with one server through a mapped file."""

    def __init__(self, library, directory):
        self.path, self.library, self.within = directory / "fault", library, directory / "data"
        self.path.write_bytes(bytes(4 + FIELDS.size))
        with open(self.path, "r+b") as file:
            self.shared = mmap.mmap(file.fileno(), 4 + FIELDS.size)

    @property
    def env(self):
        names = {"LD_PRELOAD": self.library, "FAULT_CONTROL": self.path, "FAULT_DIRECTORY": self.within}
        return {name: str(value) for name, value in names.items()}

    def arm(self, calls, first, count=1, error=errno.EIO, short=False, path=""):
        """The `first`-th of these calls from now on fails, and `count` in all."""
        self.shared[4:] = FIELDS.pack(calls, error, short, first, count, 0, 0, path.encode())
        self.shared[:4] = struct.pack("=i", 1)

    def disarm(self):
        """(how many such calls there were, how many of them failed)"""
        self.shared[:4] = struct.pack("=i", 0)
        return FIELDS.unpack(self.shared[4:])[5:7]

    @property
    def hits(self):
        return FIELDS.unpack(self.shared[4:])[6]
