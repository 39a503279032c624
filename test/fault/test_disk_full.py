# SPDX-License-Identifier: Apache-2.0
"""A disk that is really full: honest refusals, and everything goes on when there is room again."""

import os
import subprocess

import pytest

from support.server import Server, wait_for

FIRST_USER = 1_000_000


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MiB. Mounting needs root; others have the case `disk full` of test_fault.py."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "doorbuster-test", place], check=True)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(path):
    """Not a byte is left."""
    with open(path, "wb", buffering=0) as ballast:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while ballast.write(bytes(size)):
                    pass
            except OSError:
                pass


if os.geteuid() == 0:

    def test_full_and_room_again(small_disk, tmp_path):
        server = Server(small_disk, ledger__reserve_linger="0ms").start()
        try:
            server.make_users(FIRST_USER, 2000)
            coupon = server.make_coupon(2000)
            assert server.take("issue", coupon, FIRST_USER).status == 200
            fill(small_disk / "ballast")
            refused = 0
            for user in range(FIRST_USER + 1, FIRST_USER + 400):
                answer = server.take("reserve" if user % 2 else "issue", coupon, user)
                assert answer.status in (200, 503), answer
                refused += answer.status == 503
            assert refused > 0, "the disk was not full"
            assert server.alive()
            (small_disk / "ballast").unlink()

            def again():
                return server.take("issue", coupon, FIRST_USER + 500).status in (200, 409)

            wait_for(again, 10, what="room again")
            for user in range(FIRST_USER + 1, FIRST_USER + 400):
                answer = server.take("issue", coupon, user)
                assert answer.status == 200 or answer.error == "ALREADY_ISSUED_COUPON", answer
            proof = server.settled(coupon)
            assert proof["ok"] and proof["issued"] == 401, proof
            code, said = server.prove(coupon)
            assert code == 0, said
        finally:
            server.close()
