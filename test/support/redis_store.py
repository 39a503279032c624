# SPDX-License-Identifier: Apache-2.0
"""Real Redis processes: alone, with replicas, under Sentinel, as a cluster."""

import pathlib
import shutil

from support.daemon import Daemon, binary, free_port, wait_until
from support.resp import RedisError, Resp

CHECKER = "/usr/bin/redis-check-rdb"
NAME = "shop"
SLOTS = 16384


def program_words(name):
    """Debian's redis-tools holds the server under another name; what it does is in argv[0]."""
    program = binary(name, CHECKER)
    if pathlib.Path(program).name == name:
        return [program]
    return ["bash", "-c", f'exec -a {name} {program} "$@"', name]


class Redis(Daemon):
    """A server that keeps what it acknowledged, as the gate demands; `settings` override."""

    name = "redis"

    def __init__(self, directory, port=None, password=None, **settings):
        super().__init__(directory, port)
        self.password, self.following = password, None
        self.settings = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.directory,
            "daemonize": "no",
            "save": '""',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "repl-backlog-ttl": 0,
            "repl-diskless-sync-delay": 0,
            "repl-ping-replica-period": 1,
            "enable-debug-command": "yes",
            "protected-mode": "no",
        }
        if password:
            self.settings |= {"requirepass": password, "masterauth": password}
        self.settings |= {name.replace("_", "-"): value for name, value in settings.items()}

    @property
    def url(self):
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    def command(self):
        conf = self.directory / "redis.conf"
        if not conf.exists():
            conf.write_text("".join(f"{name} {value}\n" for name, value in self.settings.items()), encoding="utf-8")
        more = ["--replicaof", "127.0.0.1", self.following.port] if self.following else []
        self.following = None
        return [*program_words("redis-server"), conf, *more]

    def ready(self):
        try:
            return self.call("PING") == "PONG"
        except RedisError:
            return False

    def call(self, *words, timeout=5):
        """One command on a connection of its own; raises RedisError for an error reply."""
        with Resp(self.port, timeout, self.password) as connection:
            return connection.call(*words)

    def info(self, section="everything"):
        lines = (line.partition(":") for line in self.call("INFO", section).splitlines() if ":" in line)
        return {name: value for name, _, value in lines}

    def config(self, name, value=None):
        """Reads a setting, or sets it."""
        if value is None:
            return self.call("CONFIG", "GET", name)[1]
        return self.call("CONFIG", "SET", name, value)

    def functions(self):
        """The names of the libraries that are loaded."""
        return [dict(zip(row[::2], row[1::2]))["library_name"] for row in self.call("FUNCTION", "LIST")]

    def flush(self):
        self.call("FLUSHALL")

    def sleep(self, seconds):
        """It does nothing at all for so long; does not wait for it."""
        connection = Resp(self.port, 5, self.password)
        connection.send("DEBUG", "SLEEP", seconds)
        connection.close()

    def cpu_seconds(self):
        info = self.info("cpu")
        return float(info["used_cpu_sys_main_thread"]) + float(info["used_cpu_user_main_thread"])

    # ---- old states ----

    def snapshot(self):
        """What it holds now, as files; for `restore`."""
        copy = self.directory / f"snapshot{len(list(self.directory.glob('snapshot*')))}"
        shutil.copytree(self.directory / "appendonlydir", copy)
        return copy

    def restore(self, snapshot):
        """Killed, put back to how it was then, and started: as after a restored backup."""
        self.kill9()
        shutil.rmtree(self.directory / "appendonlydir")
        (self.directory / "dump.rdb").unlink(missing_ok=True)
        shutil.copytree(snapshot, self.directory / "appendonlydir")
        return self.start()

    # ---- as a replica ----

    def replicate(self, primary):
        self.call("REPLICAOF", "127.0.0.1", primary.port)

    def start_as_replica(self, primary):
        """An old primary comes back and follows the new one, before anybody tells it to."""
        self.following = primary
        return self.start()

    def promote(self):
        self.call("REPLICAOF", "NO", "ONE")

    def role(self):
        return self.call("ROLE")[0]

    def synced(self, primary):
        """Does this replica have all that the primary has?"""
        mine, its = self.info("replication"), primary.info("replication")
        return mine.get("master_link_status") == "up" and mine["slave_repl_offset"] == its["master_repl_offset"]

    def fence(self):
        """This replica hears nothing any more, though it still knows whose replica it is: what its
        primary acknowledges from now on is lost when this one is promoted."""
        self.config("masterauth", "fenced-off")
        self.call("CLIENT", "KILL", "TYPE", "master")
        wait_until(lambda: self.info("replication")["master_link_status"] == "down", f"{self} is fenced off")

    def unfence(self):
        """For good: a promotion has written the settings down as they were then."""
        self.config("masterauth", self.password or "")
        self.call("CONFIG", "REWRITE")


class Replicated:
    """A primary and its replicas. `primary` is who was it at the start."""

    def __init__(self, scratch, replicas=1, **settings):
        self.nodes = [Redis(scratch.folder(f"redis{i}-{free_port()}"), **settings) for i in range(1 + replicas)]
        self.primary, self.replicas = self.nodes[0], self.nodes[1:]
        for replica in self.replicas:
            replica.settings["replicaof"] = f"127.0.0.1 {self.primary.port}"

    def start(self):
        for node in self.nodes:
            node.start(wait=False)
        for node in self.nodes:
            node.wait_ready()
        for replica in self.replicas:
            wait_until(lambda: replica.info("replication").get("master_link_status") == "up", f"{replica} replicates")
        return self

    @property
    def url(self):
        return self.primary.url

    def end(self):
        for node in self.nodes:
            node.end()


class SentinelNode(Daemon):
    """One of those that watch."""

    name = "sentinel"

    def command(self):
        return [*program_words("redis-sentinel"), self.directory / "sentinel.conf"]

    def ready(self):
        return self.call("PING") == "PONG"

    password = None

    def call(self, *words):
        with Resp(self.port, password=self.password) as connection:
            return connection.call(*words)

    def primary_port(self):
        return int(self.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])


class Sentinel(Replicated):
    """A primary, replicas, and three that watch and fail over."""

    def __init__(self, scratch, replicas=1, sentinels=3, down_after_ms=1000, failover_ms=3000,
                 sentinel_password=None, sentinel_acl=(), **settings):  # fmt: skip
        super().__init__(scratch, replicas, **settings)
        self.sentinels = [SentinelNode(scratch.folder(f"sentinel{i}-{free_port()}")) for i in range(sentinels)]
        self.sentinel_password, self.sentinel_acl = sentinel_password, sentinel_acl
        for node in self.sentinels:
            node.password = sentinel_password
        self.down_after_ms, self.failover_ms = down_after_ms, failover_ms

    def configure(self, node):
        """They know each other from the start, and need not wait for hearing of one another."""
        password = self.primary.password
        lines = [
            f"port {node.port}",
            "bind 127.0.0.1",
            f"dir {node.directory}",
            "protected-mode no",
            f"sentinel myid {self.run_id(node)}",
            f"sentinel monitor {NAME} 127.0.0.1 {self.primary.port} {len(self.sentinels) // 2 + 1}",
            *([f"sentinel auth-pass {NAME} {password}"] if password else []),
            *([f"requirepass {self.sentinel_password}"] if self.sentinel_password else []),
            *self.sentinel_acl,
            f"sentinel down-after-milliseconds {NAME} {self.down_after_ms}",
            f"sentinel failover-timeout {NAME} {self.failover_ms}",
            *(f"sentinel known-replica {NAME} 127.0.0.1 {replica.port}" for replica in self.replicas),
            *(
                f"sentinel known-sentinel {NAME} 127.0.0.1 {other.port} {self.run_id(other)}"
                for other in self.sentinels
                if other is not node
            ),
        ]
        (node.directory / "sentinel.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")

    @staticmethod
    def run_id(node):
        return f"{node.port:040x}"

    def start(self):
        super().start()
        for node in self.sentinels:
            self.configure(node)
            node.start(wait=False)
        for node in self.sentinels:
            node.wait_ready()
            wait_until(lambda: self.watches(node), f"{node} watches all")
        return self

    def watches(self, node):
        """Has it heard from all the others?"""
        state = dict(zip(*[iter(node.call("SENTINEL", "MASTER", NAME))] * 2))
        others = node.call("SENTINEL", "REPLICAS", NAME) + node.call("SENTINEL", "SENTINELS", NAME)
        flags = [dict(zip(*[iter(row)] * 2))["flags"] for row in others]
        return state["flags"] == "master" and all("down" not in flag and "disconnected" not in flag for flag in flags)

    @property
    def url(self):
        secret = f":{self.primary.password}@" if self.primary.password else ""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.sentinels)
        return f"redis+sentinel://{secret}{hosts}/{NAME}"

    def current(self):
        """The node that Sentinel calls the primary now."""
        port = next(node for node in self.sentinels if node.alive()).primary_port()
        return next(node for node in self.nodes if node.port == port)

    def others(self):
        current = self.current()
        return [node for node in self.nodes if node is not current]

    def wait_switched(self, old, seconds=20):
        """The new primary, once it takes writes."""

        def look():
            new = self.current()
            return new if new is not old and new.role() == "master" else None

        return wait_until(look, f"Sentinel takes another than {old}", seconds)

    def wait_whole(self, seconds=30):
        """All nodes are up, replicate, and are seen by all that watch: ready for the next failure."""
        current = self.current()

        def look():
            return all(node.info("replication").get("master_link_status") == "up" for node in self.others()) and all(
                self.watches(node) for node in self.sentinels
            )

        wait_until(look, "all replicas are back", seconds, every=0.1)
        return current

    def end(self):
        for node in self.sentinels:
            node.end()
        super().end()


class Cluster:
    """Masters that share the slots, and replicas for each."""

    def __init__(self, scratch, masters=3, replicas=0, node_timeout_ms=2000, **settings):
        self.masters, self.replicas_each = masters, replicas
        self.nodes = []
        for i in range(masters * (1 + replicas)):
            bus = free_port()
            node = Redis(
                scratch.folder(f"cluster{i}-{bus}"),
                cluster_enabled="yes",
                cluster_config_file="nodes.conf",
                cluster_node_timeout=node_timeout_ms,
                cluster_port=bus,
                cluster_allow_replica_migration="no",
                **settings,
            )
            node.bus = bus
            self.nodes.append(node)

    def start(self):
        for node in self.nodes:
            node.start(wait=False)
        for i, node in enumerate(self.nodes):
            node.wait_ready()
            node.call("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            if i < self.masters:
                first, last = (SLOTS * n // self.masters for n in (i, i + 1))
                node.call("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
        for node in self.nodes[1:]:
            self.nodes[0].call("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus)
        for i, replica in enumerate(self.nodes[self.masters :]):
            master = self.nodes[i % self.masters]
            identity = master.call("CLUSTER", "MYID")
            wait_until(lambda: identity in replica.call("CLUSTER", "NODES"), f"{replica} knows {master}")
            wait_until(lambda: self.follow(replica, identity), f"{replica} follows {master}")
        self.wait_whole()
        return self

    @staticmethod
    def follow(replica, identity):
        try:
            return replica.call("CLUSTER", "REPLICATE", identity) == "OK"
        except RedisError:
            return False

    @property
    def url(self):
        secret = f":{self.nodes[0].password}@" if self.nodes[0].password else ""
        return f"redis+cluster://{secret}" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def wait_whole(self, seconds=30):
        """Every node that is alive says the cluster is well, and knows all the others."""

        def well(node):
            state = dict(line.split(":") for line in node.call("CLUSTER", "INFO").split())
            return state["cluster_state"] == "ok" and int(state["cluster_known_nodes"]) >= len(self.nodes)

        def linked(node):
            return node.role() == "master" or node.info("replication").get("master_link_status") == "up"

        wait_until(
            lambda: all(well(node) and linked(node) for node in self.nodes if node.alive()), "cluster is whole", seconds
        )

    def owner_of(self, key):
        """The master that holds the key now."""
        for node in self.nodes:
            if not node.alive():
                continue
            slot = node.call("CLUSTER", "KEYSLOT", key)
            for first, last, master, *_ in node.call("CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    return next(other for other in self.nodes if other.port == master[1])
        raise LookupError(key)

    def replicas_of(self, master):
        identity = master.call("CLUSTER", "MYID")
        lines = [line.split() for line in master.call("CLUSTER", "REPLICAS", identity)]
        ports = {int(line[1].partition("@")[0].rpartition(":")[2]) for line in lines}
        return [node for node in self.nodes if node.port in ports]

    def wait_switched(self, key, old, seconds=20):
        """The new owner of the key, once it takes writes."""

        def look():
            new = self.owner_of(key)
            return new if new is not old and new.role() == "master" else None

        return wait_until(look, f"another than {old} holds {key}", seconds)

    def end(self):
        for node in self.nodes:
            node.end()
