# SPDX-License-Identifier: Apache-2.0
"""Real PostgreSQL 15 servers, a streaming standby, and PgBouncer in front."""

import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from support.daemon import TOOLS, Daemon, binary, unprivileged, wait_until
from support.pq import Pq, query

BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
USER = "doorbuster"
DATABASE = "shop"
STANDBY = "standby"


def program(name):
    return binary(name, BIN / name) if not (BIN / name).exists() else str(BIN / name)


def run_as(user, *words, data=None):
    who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    done = subprocess.run([str(word) for word in words], input=data, capture_output=True, check=False, cwd="/", **who)
    if done.returncode != 0:
        raise ChildProcessError(f"{words[0]}: {(done.stdout + done.stderr).decode(errors='replace')}")


def template():
    """A fresh cluster with an empty database, made once and copied ever after."""
    user = unprivileged()
    path = TOOLS / f"postgres-template-1-{user.pw_uid if user else os.getuid()}"
    if path.exists():
        return path
    TOOLS.mkdir(parents=True, exist_ok=True)
    with open(TOOLS / "postgres-template.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            make_template(path, user)
    return path


def make_template(path, user):
    """In a place that the server's user can write to; then moved whole to where it is kept."""
    with tempfile.TemporaryDirectory(prefix="doorbuster-initdb-") as scratch:
        if user:
            os.chown(scratch, user.pw_uid, user.pw_gid)
        data = pathlib.Path(scratch) / "data"
        run_as(user, program("initdb"), "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        run_as(user, program("postgres"), "--single", "-D", data, "postgres", data=f"CREATE DATABASE {DATABASE}\n".encode())
        new = path.with_name(path.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        subprocess.run(["cp", "-a", str(data), str(new)], check=True)
        new.rename(path)


class Postgres(Daemon):
    """One server. `durable` is fsync, which a test that kills only processes does not need."""

    name = "postgres"
    stop_signal = signal.SIGINT

    def __init__(self, directory, port=None, durable=False, **settings):
        super().__init__(directory, port)
        self.user = unprivileged()
        self.data = self.directory / "data"
        self.settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": self.port,
            "fsync": "on" if durable else "off",
            "max_connections": 200,
            "shared_buffers": "64MB",
            "wal_level": "replica",
            "wal_keep_size": "256MB",
            "hot_standby": "on",
            "jit": "off",
            "wal_retrieve_retry_interval": "200ms",
            "log_min_messages": "warning",
            "log_line_prefix": "%m [%p] ",
        } | settings

    @property
    def url(self):
        return self.database_url(DATABASE)

    def database_url(self, name):
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def command(self):
        if not self.data.exists():
            subprocess.run(["cp", "-a", "--reflink=auto", str(template()), str(self.data)], check=True)
            self.write_settings()
        return [program("postgres"), "-D", self.data]

    def write_settings(self):
        lines = [f"{name} = '{value}'\n" for name, value in self.settings.items()]
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.writelines(lines)

    def ready(self):
        try:
            return self.query("SELECT 1") == [(1,)]
        except ConnectionError:
            return False

    def query(self, statement, *values, database=DATABASE):
        """Rows as tuples; of a statement that gives none, how many rows it touched."""
        return query(self.database_url(database), statement, *values)

    def connect(self, database=DATABASE):
        return Pq(self.database_url(database))

    def make_database(self, name, template=None):
        """An empty one, or a copy of one that nobody uses; gives its URL."""
        self.query(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""), database="postgres")
        return self.database_url(name)

    def drop_database(self, url):
        """At once: files that are gone soon are never written."""
        self.query(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)", database="postgres")

    def set(self, name, value):
        """Changes a setting that needs no restart."""
        self.query(f"ALTER SYSTEM SET {name} = '{value}'")
        self.query("SELECT pg_reload_conf()")

    def backends(self, database=DATABASE):
        """The process ids of those that serve a client, without the one that asks."""
        rows = self.query(
            "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend' "
            "AND pid <> pg_backend_pid()",
            database,
        )
        return [row[0] for row in rows]

    def terminate_backends(self):
        """Each client is hung up on, as an administrator does it."""
        return self.query("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                          "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")[0][0]

    def kill_backend(self):
        """kill -9 of one: the server then ends all the others and recovers. False where there is none."""
        pids = self.backends()
        if pids:
            os.kill(pids[0], signal.SIGKILL)
        return bool(pids)

    def statements(self):
        """How many transactions it has seen, for counting round trips."""
        return self.query("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1", DATABASE)[0][0]

    def promote(self):
        """This standby becomes a primary."""
        self.query("SELECT pg_promote(true, 20)")


class Standby(Postgres):
    """Follows a primary. It starts from the template as its primary did, so nothing need be copied."""

    name = "standby"

    def __init__(self, directory, primary, **settings):
        super().__init__(directory, **settings)
        self.primary = primary

    def write_settings(self):
        self.settings["primary_conninfo"] = (
            f"host=127.0.0.1 port={self.primary.port} user={USER} application_name={STANDBY}"
        )
        super().write_settings()
        signal_file = self.data / "standby.signal"
        signal_file.touch()
        if self.user:
            os.chown(signal_file, self.user.pw_uid, self.user.pw_gid)

    def copy_of(self, primary):
        """Anew from a running primary, whatever was here."""
        self.primary = primary
        shutil.rmtree(self.data, ignore_errors=True)
        if self.user:
            os.chown(self.directory, self.user.pw_uid, self.user.pw_gid)
        run_as(
            self.user, program("pg_basebackup"), "-D", self.data, "-c", "fast", "-X", "stream",
            "-d", f"host=127.0.0.1 port={primary.port} user={USER}",
        )
        self.write_settings()
        return self

    def streams(self):
        rows = self.primary.query("SELECT state FROM pg_stat_replication WHERE application_name = $1", STANDBY)
        return rows == [("streaming",)]

    def cut_off(self):
        """It hears nothing of its primary any more, until `join`."""
        self.set("primary_conninfo", "host=127.0.0.1 port=1")
        wait_until(lambda: not self.primary.query("SELECT 1 FROM pg_stat_replication"), f"{self} is cut off")

    def join(self):
        self.query("ALTER SYSTEM RESET primary_conninfo")
        self.query("SELECT pg_reload_conf()")
        wait_until(self.streams, f"{self} streams")


class PostgresPair:
    """A primary and its standby; synchronous: a commit waits for both."""

    def __init__(self, scratch, synchronous=True, durable=False, **settings):
        more = {"synchronous_standby_names": STANDBY} if synchronous else {}
        self.primary = Postgres(scratch.folder("postgres-primary"), durable=durable, **more, **settings)
        self.standby = Standby(scratch.folder("postgres-standby"), self.primary, durable=durable, **settings)

    def start(self):
        self.primary.start()
        self.standby.start()
        wait_until(self.standby.streams, f"{self.standby} streams")
        return self

    @property
    def url(self):
        """Both hosts; whoever takes writes."""
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return f"postgresql://{USER}@{hosts}/{DATABASE}?target_session_attrs=read-write"

    def end(self):
        self.standby.end()
        self.primary.end()


class PgBouncer(Daemon):
    """In transaction mode, as Debian has it, in front of a server."""

    name = "pgbouncer"

    def __init__(self, directory, postgres, port=None, **settings):
        super().__init__(directory, port)
        self.user = unprivileged()
        self.postgres = postgres
        self.settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": self.directory / "users.txt",
            "admin_users": USER,
            "pool_mode": "transaction",
            "default_pool_size": 50,
            "max_client_conn": 500,
            "server_login_retry": 1,
        } | settings

    @property
    def url(self):
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{DATABASE}"

    def command(self):
        (self.directory / "users.txt").write_text(f'"{USER}" ""\n', encoding="utf-8")
        lines = ["[databases]", f"* = host=127.0.0.1 port={self.postgres.port}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in self.settings.items()]
        conf = self.directory / "pgbouncer.ini"
        conf.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return [binary("pgbouncer", "/usr/sbin/pgbouncer"), conf]

    def ready(self):
        return query(self.url, "SELECT 1") == [(1,)]
