# SPDX-License-Identifier: Apache-2.0
"""The reservation journal, as a crash, a bad disk or a careless hand leaves it."""

import shutil

import pytest

from support.client import Request, storm
from support.server import wait_for, write_told

HEADER_BYTES, RECORD_BYTES = 64, 48
PEOPLE = range(1000, 1020)
STORED_SECONDS = 10  # patience with a disk that is shared; it takes a fraction of a second


def reserve(server, coupon, users):
    """{number: user} of those who were told; sent in order over one connection."""
    path = f"/api/coupons/{coupon}/reserve"
    asked = storm(server, [Request("POST", path, {"userId": user}, user=user) for user in users], connections=1)
    assert all(r.answer.status == 200 for r in asked), [r.answer for r in asked if r.answer.status != 200]
    write_told(server.directory / "told", asked)
    return {r.answer.json["sequenceNumber"]: r.user for r in asked}


def journals(server):
    return sorted(server.data.glob("gate-*.journal"))


class Left:
    """A server that was killed while SQL was away: 20 places are told, and only the journal knows."""

    def __init__(self, server):
        self.server = server
        self.coupon = server.make_coupon(100)
        for user in PEOPLE:  # known from now on, without SQL
            server.call("POST", "/api/coupons/5/issue", {"userId": user})
        server.fault("ledger", True)
        self.told = reserve(server, self.coupon, PEOPLE)
        server.kill9()
        assert server.rows(self.coupon) == {}
        (self.file,) = journals(server)
        assert self.file.stat().st_size == HEADER_BYTES + len(PEOPLE) * RECORD_BYTES

    def wait_rows(self, rows):
        wait_for(lambda: len(self.server.rows(self.coupon)) >= len(rows), STORED_SECONDS, what="rows")
        assert self.server.rows(self.coupon) == rows

    def check_proof(self):
        proof = self.server.settled(self.coupon)
        assert proof["ok"], proof

    def flip_bit(self, at):
        data = bytearray(self.file.read_bytes())
        data[at] ^= 0x10
        self.file.write_bytes(data)


@pytest.fixture
def left(serve):
    return Left(serve(threads=1))


def test_replay(left):
    """At rest the proof counts them as pending; after the start they are rows, under the same numbers."""
    assert left.told == dict(enumerate(PEOPLE, 1))
    code, said = left.server.prove(left.coupon, left.server.directory / "told")
    assert code == 0 and "20 not stored yet" in said, said
    assert left.file.exists()
    left.server.start()
    left.wait_rows(left.told)
    code, said = left.server.prove(left.coupon, left.server.directory / "told")
    assert code == 0, said
    answer = left.server.take("issue", left.coupon, 1007)
    assert (answer.error, answer.json["sequenceNumber"]) == ("ALREADY_ISSUED_COUPON", 8)
    assert left.server.take("issue", left.coupon, 1500).json["sequenceNumber"] == 21
    wait_for(lambda: not left.file.exists(), what="the settled generation deleted")


@pytest.mark.parametrize("tail", [b"\x30", b"\x30\0\0\0" + b"x" * 43, bytes(RECORD_BYTES - 1), bytes(4096)])
def test_torn_tail(left, tail):
    """A write that did not finish: cut off, told to nobody, no alarm."""
    with open(left.file, "ab") as out:
        out.write(tail)
    left.server.start()
    left.wait_rows(left.told)
    left.check_proof()
    assert "a write that did not finish was cut off" in left.server.log_text()
    assert "damaged" not in left.server.log_text()


@pytest.mark.parametrize("cut", [1, RECORD_BYTES - 1, RECORD_BYTES, RECORD_BYTES * 3 + 5])
def test_cut_short(left, cut):
    """Whole records in front of the cut hold; the numbers behind it go to who comes next."""
    data = left.file.read_bytes()
    left.file.write_bytes(data[:-cut])
    whole = (len(data) - cut - HEADER_BYTES) // RECORD_BYTES
    left.server.start()
    left.wait_rows({number: user for number, user in left.told.items() if number <= whole})
    assert left.server.take("issue", left.coupon, 1500).json["sequenceNumber"] == whole + 1
    left.check_proof()


def test_cut_within_the_header(left):
    """Killed while the file was made."""
    left.file.write_bytes(left.file.read_bytes()[: HEADER_BYTES - 1])
    left.server.start()
    assert left.server.take("issue", left.coupon, 1500).json["sequenceNumber"] == 1
    left.check_proof()


@pytest.mark.parametrize("field", range(0, RECORD_BYTES, 4))
def test_flipped_bit_in_the_middle(left, field):
    """An alarm, never a silent end: the others are stored, the damaged file is kept."""
    left.flip_bit(HEADER_BYTES + 6 * RECORD_BYTES + field)
    left.server.start()
    left.wait_rows({number: user for number, user in left.told.items() if number != 7})
    said = left.server.log_text()
    assert "journal: damaged records" in said and "error" in said
    assert left.file.with_name(left.file.name + ".damaged").stat().st_size > HEADER_BYTES
    again = left.server.take("issue", left.coupon, 1006)
    assert (again.status, again.json["sequenceNumber"]) == (200, 7)
    left.check_proof()


@pytest.mark.parametrize("at", [0, 8, 12, 16, 32])
def test_damaged_header_is_refused(left, at):
    """Magic, version, generation, database, checksum: the start says which file."""
    left.flip_bit(at)
    code, said = left.server.start_refused()
    assert code == 1
    assert str(left.file) in said and "its header is damaged or not a journal's" in said
    left.flip_bit(at)
    left.server.start()
    left.wait_rows(left.told)


def test_beside_another_database(left, serve):
    """Refused with a clear message, and nothing is touched."""
    other = serve()
    other.stop()
    stranger = other.data / left.file.name
    shutil.copy(left.file, stranger)
    before = stranger.read_bytes()
    code, said = other.start_refused()
    assert code == 1
    assert str(stranger) in said and "belongs to another database" in said
    assert stranger.read_bytes() == before
    stranger.unlink()
    other.start()
    left.server.start()
    left.wait_rows(left.told)


def test_replay_after_the_rows_exist(left):
    """The same places are there already: success, not a second row and no alarm."""
    saved = left.file.read_bytes()
    left.server.start()
    left.wait_rows(left.told)
    left.check_proof()
    left.server.stop()
    for path in journals(left.server):
        path.unlink()
    left.file.write_bytes(saved)
    before = len(left.server.log_text())
    left.server.start()
    left.check_proof()
    assert left.server.rows(left.coupon) == left.told
    assert "error" not in left.server.log_text()[before:]
    assert left.server.take("issue", left.coupon, 1500).json["sequenceNumber"] == 21
    left.server.stop()
    assert not left.file.exists()


def test_places_that_were_given_to_others_meanwhile(left):
    """The journal was away for a while, and back: an alarm, and the next free places for the losers."""
    saved = left.file.read_bytes()
    left.file.unlink()
    left.server.start()
    for user in range(2000, 2010):
        assert left.server.take("issue", left.coupon, user).status == 200
    assert left.server.take("issue", left.coupon, 1015).json["sequenceNumber"] == 11
    left.server.stop()
    for path in journals(left.server):
        path.unlink()
    left.file.write_bytes(saved)
    left.server.start()
    wait_for(lambda: len(left.server.rows(left.coupon)) == 30, STORED_SECONDS, what="rows")
    rows = left.server.rows(left.coupon)
    assert sorted(rows) == list(range(1, 31))
    assert set(rows.values()) == {*PEOPLE, *range(2000, 2010)}
    kept = {number: left.told[number] for number in range(12, 21) if left.told[number] != 1015}
    assert kept.items() <= rows.items()
    assert [rows[number] for number in range(1, 11)] == list(range(2000, 2010)) and rows[11] == 1015
    left.check_proof()
    assert "reservation moved" in left.server.log_text()


def test_many_generations(serve):
    """They are written one after the other, all replayed, and deleted when all their entries are rows."""
    server = serve(journal__generation_bytes_max="4K")
    coupon, people = server.make_coupon(2000), range(1000, 2000)
    for user in people:
        server.call("POST", "/api/coupons/5/issue", {"userId": user})
    server.fault("ledger", True)
    told = reserve(server, coupon, people)
    server.kill9()
    old = journals(server)
    assert len(old) >= 1000 * RECORD_BYTES // 4096
    assert sum(path.stat().st_size - HEADER_BYTES for path in old) == 1000 * RECORD_BYTES
    server.start()
    wait_for(lambda: server.rows(coupon) == told, STORED_SECONDS, what="rows")
    wait_for(lambda: not set(old) & set(journals(server)), what="old generations deleted")
    assert server.settled(coupon)["ok"]


def test_killed_again_while_sql_is_away(serve):
    """Three lives without SQL, each with its own reservations: nobody is forgotten."""
    server = serve(gate__sweep_after="200ms")
    coupon, told = server.make_coupon(100), {}
    for life in range(3):
        people = range(1000 + life * 10, 1010 + life * 10)
        for user in people:
            server.call("POST", "/api/coupons/5/issue", {"userId": user})
        server.fault("ledger", True)
        told.update(reserve(server, coupon, people))
        server.kill9()
        if life < 2:
            server.start()
    assert sorted(told) == list(range(1, 31))
    server.start()
    wait_for(lambda: server.rows(coupon) == told, STORED_SECONDS, what="rows")
    assert server.settled(coupon)["ok"]


def test_a_coupon_that_ended_meanwhile(left):
    """Its reservations are stored all the same."""
    left.server.change_sql("UPDATE coupons SET ends_at = starts_at + 1 WHERE coupon_id = ?", left.coupon)
    left.server.start()
    left.wait_rows(left.told)
    left.check_proof()
    assert left.server.take("issue", left.coupon, 1005).error == "ALREADY_ISSUED_COUPON"
    assert left.server.take("issue", left.coupon, 1500).error == "EXPIRED_COUPON"
