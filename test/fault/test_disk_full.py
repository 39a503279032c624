# SPDX-License-Identifier: Apache-2.0
"""A full disk: 503, nothing lost, and everything goes on when there is room again.

A real one where a tmpfs can be mounted (root), else every write that fails with ENOSPC.
"""

import errno
import subprocess

import pytest

from support.client import Request, storm
from support.fault import FROM_THEN_ON, WRITE, Faults, build
from support.server import wait_for, write_told

DISKS = {"large disk": 40 << 20, "disk smaller than the WAL may grow": 6 << 20, "pretended": 0}
ROUNDS = 3


class RealDisk:
    """A small tmpfs; full when the ballast takes all that is left."""

    def __init__(self, server, size):
        server.data.mkdir()
        self.data = server.data
        words = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(server.data)]
        subprocess.run(words, check=True, capture_output=True)
        self.ballast = server.data / "ballast"

    def fill(self):
        with open(self.ballast, "wb", buffering=0) as out:
            try:
                while out.write(bytes(4096)):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC

    def room(self):
        self.ballast.unlink()

    def close(self):
        subprocess.run(["umount", "-l", str(self.data)], check=True)


class PretendedDisk:
    """Writes say that there is no room."""

    def __init__(self, server, library):
        self.faults = Faults(library, server.directory)
        server.env = self.faults.env

    def fill(self):
        self.faults.arm(WRITE, 1, FROM_THEN_ON, errno.ENOSPC, short=True)

    def room(self):
        self.faults.disarm()

    def close(self):
        pass


def may_mount(directory):
    """Whether this user may mount at all."""
    directory.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        return False
    subprocess.run(["umount", str(directory)], check=True)
    return True


@pytest.fixture
def on_disk(serve, tmp_path, request):
    """(server, its disk), of the kind that the test asks for."""
    disks = []

    def prepare(server):
        if DISKS[request.param] and may_mount(tmp_path / "probe"):
            disks.append(RealDisk(server, DISKS[request.param]))
        else:
            disks.append(PretendedDisk(server, build(tmp_path)))

    server = serve(prepare=prepare, threads=2, gate__sweep_after="200ms")
    yield server, disks[0]
    if server.alive():
        server.stop()
    disks[0].close()


def requests_of(server, coupon, users):
    """Everybody issues or reserves, and user 2 is charged in between."""
    for user in users:
        way = ("issue", "reserve")[user % 2]
        yield Request("POST", f"/api/coupons/{coupon}/{way}", {"userId": user}, user=user, way=way)
        if user % 4 == 0:
            body = {"amount": 1, "idempotencyKey": f"key-{user}"}
            yield Request("POST", "/api/users/2/balance/charge", body, user=user, way="charge")


@pytest.mark.parametrize("on_disk", DISKS, indirect=True)
def test_disk_full(on_disk):
    server, disk = on_disk
    pid, coupon = server.pid, server.make_coupon(3000)
    told, charged, users = {}, set(), iter(range(1000, 7000))

    def drop(users):
        """Asks; gives those who were refused."""
        asked = storm(server, requests_of(server, coupon, users), connections=32)
        write_told(server.directory / "told", [r for r in asked if r.way != "charge"])
        for request in asked:
            if request.way == "charge":
                charged.update([request.user] if request.answer.status == 200 else [])
            elif request.answer.status == 200:
                assert request.user not in told
                told[request.user] = request.answer.json["sequenceNumber"]
        statuses = {r.answer.status for r in asked}
        assert statuses <= {200, 503, 409}, statuses
        return [r for r in asked if r.answer.status == 503]

    assert not drop([next(users) for _ in range(400)])
    for _ in range(ROUNDS):
        disk.fill()
        late = [next(users) for _ in range(400)]
        refused = drop(late)
        assert refused and {r.answer.error for r in refused} <= {"STORE_UNAVAILABLE", "OVERLOADED"}
        assert all(r.answer.headers["retry-after"] for r in refused)
        for path in (
            "/health/live",
            f"/api/coupons/{coupon}",
            "/api/users/2/balance",
            f"/api/admin/coupons/{coupon}/proof",
        ):
            assert server.get(path)
        disk.room()
        wait_for(lambda: not drop(sorted({r.user for r in refused})), 10, 0.1, what="served again")
    assert server.pid == pid, "it went on"
    rest = list(users)
    wait_for(lambda: not drop([u for u in rest if u not in told]), 20, what="sold out")
    assert len(told) == 3000
    proof = server.settled(coupon)
    assert proof["ok"] and proof["issued"] == proof["lastSequence"] == 3000
    code, said = server.prove(coupon, server.directory / "told")
    assert code == 0, said
    server.kill9()
    server.start()
    assert {user: number for number, user in server.rows(coupon).items()} == told
    assert server.get("/api/users/2/balance")["balance"] == 500000 + len(charged)


@pytest.mark.parametrize("on_disk", ["large disk"], indirect=True)
def test_start_on_a_full_disk(on_disk):
    """It starts or says why not; with room again nothing is lost."""
    server, disk = on_disk
    coupon = server.make_coupon(100)
    for user in range(1000, 1020):
        assert server.take("reserve", coupon, user).status == 200
    server.kill9()
    disk.fill()
    server.launch()
    if not server.process.stdout.readline():
        assert server.process.wait() in (1, 74)
        assert "doorbuster: " in server.log_text()
    else:
        server.kill9()
    disk.room()
    server.start()
    wait_for(lambda: len(server.rows(coupon)) == 20, 2, what="rows")
    assert server.proof(coupon)["ok"]
