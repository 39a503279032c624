# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL from a test, over the system's libpq: no package of Python's is needed for it."""

import ctypes

CONNECTION_OK = 0
COMMAND_OK, TUPLES_OK = 1, 2
BYTEA, BOOL, FLOATS, INTEGERS, NUMERIC = 17, 16, (700, 701), (20, 21, 23, 26), 1700

libpq = ctypes.CDLL("libpq.so.5")
for name, result, arguments in (
    ("PQconnectdb", ctypes.c_void_p, [ctypes.c_char_p]),
    ("PQstatus", ctypes.c_int, [ctypes.c_void_p]),
    ("PQerrorMessage", ctypes.c_char_p, [ctypes.c_void_p]),
    ("PQfinish", None, [ctypes.c_void_p]),
    ("PQexec", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]),
    ("PQexecParams", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int] + [ctypes.c_void_p] * 4 + [ctypes.c_int]),
    ("PQresultStatus", ctypes.c_int, [ctypes.c_void_p]),
    ("PQresultErrorField", ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_int]),
    ("PQntuples", ctypes.c_int, [ctypes.c_void_p]),
    ("PQnfields", ctypes.c_int, [ctypes.c_void_p]),
    ("PQftype", ctypes.c_uint, [ctypes.c_void_p, ctypes.c_int]),
    ("PQgetisnull", ctypes.c_int, [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]),
    ("PQgetvalue", ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]),
    ("PQcmdTuples", ctypes.c_char_p, [ctypes.c_void_p]),
    ("PQclear", None, [ctypes.c_void_p]),
):
    function = getattr(libpq, name)
    function.restype, function.argtypes = result, arguments


class SqlError(Exception):
    """What PostgreSQL refused; `state` is its SQLSTATE."""

    def __init__(self, message, state=None):
        super().__init__(message)
        self.state = state


def value_of(text, kind):
    if kind in INTEGERS or (kind == NUMERIC and b"." not in text):
        return int(text)
    if kind in FLOATS or kind == NUMERIC:
        return float(text)
    if kind == BOOL:
        return text == b"t"
    if kind == BYTEA:
        return bytes.fromhex(text[2:].decode())
    return text.decode()


def text_of(value):
    """A parameter in PostgreSQL's text format."""
    if value is None:
        return None
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, bytes):
        return b"\\x" + value.hex().encode()
    return str(value).encode()


class Pq:
    """One connection; every statement is a transaction unless it says BEGIN."""

    def __init__(self, url):
        self.connection = libpq.PQconnectdb(url.encode())
        if libpq.PQstatus(self.connection) != CONNECTION_OK:
            message = libpq.PQerrorMessage(self.connection).decode(errors="replace").strip()
            self.close()
            raise ConnectionError(message)

    def close(self):
        if self.connection:
            libpq.PQfinish(self.connection)
        self.connection = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def run(self, statement, *values):
        """Rows as tuples; of a statement that gives none, how many rows it touched."""
        if values:
            texts = (ctypes.c_char_p * len(values))(*map(text_of, values))
            result = libpq.PQexecParams(self.connection, statement.encode(), len(values), None, texts, None, None, 0)
        else:
            result = libpq.PQexec(self.connection, statement.encode())
        try:
            return self.take(result)
        finally:
            libpq.PQclear(result)

    def take(self, result):
        status = libpq.PQresultStatus(result)
        if status == COMMAND_OK:
            return int(libpq.PQcmdTuples(result) or 0)
        if status != TUPLES_OK:
            state = libpq.PQresultErrorField(result, ord("C"))
            message = libpq.PQerrorMessage(self.connection).decode(errors="replace").strip()
            if libpq.PQstatus(self.connection) != CONNECTION_OK:
                raise ConnectionError(message)
            raise SqlError(message, state.decode() if state else None)
        kinds = [libpq.PQftype(result, column) for column in range(libpq.PQnfields(result))]
        return [
            tuple(
                None if libpq.PQgetisnull(result, row, column) else value_of(libpq.PQgetvalue(result, row, column), kind)
                for column, kind in enumerate(kinds)
            )
            for row in range(libpq.PQntuples(result))
        ]


def query(url, statement, *values):
    """One statement on a connection of its own."""
    with Pq(url) as connection:
        return connection.run(statement, *values)
