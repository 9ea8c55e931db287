"""Which engines a store may use: no shared connection, and none that another process made."""

from __future__ import annotations

import os
from threading import Lock
from weakref import ReferenceType, WeakKeyDictionary, ref

from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.pool import Pool, SingletonThreadPool, StaticPool

from flask_aegis_machines._errors import ConfigurationError

__all__ = ["address_of", "prepare_engine", "require_separate_connections"]


class _UsedEngines:
    """The engines that the stores have used in one process, with the pool that each had."""

    def __init__(self) -> None:
        self.lock = Lock()
        # The dialect stands for the engine: engine.execution_options() returns another Engine on the same
        # pool. A pool refers to its dialect, so it would keep both for ever.
        self.pools: WeakKeyDictionary[Dialect, ReferenceType[Pool]] = WeakKeyDictionary()


# By process id. os.register_at_fork() does not run under uWSGI, so each call compares the id.
_processes: dict[int, _UsedEngines] = {}
# The collection of an inherited pool would end the sessions of the parent process (mysqlclient).
_inherited_pools: list[Pool] = []


def prepare_engine(engine: Engine, made_in: int) -> None:
    """Prepare an engine for the current process, once.

    The connections that an engine had at a fork belong to the parent process. Two processes on one
    connection receive each other's replies, so the child leaves them alone and opens its own.

    Args:
        engine: The engine of the host.
        made_in: The id of the process that made the store.

    Raises:
        ConfigurationError: The engine shares one connection with the host.
    """
    pid = os.getpid()
    # setdefault() is atomic. A lock that is older than the fork could be held forever in the child.
    process = _processes.get(pid) or _processes.setdefault(pid, _UsedEngines())
    if engine.dialect in process.pools:
        return
    with process.lock:
        if engine.dialect in process.pools:
            return
        require_separate_connections(engine)
        if pid != made_in and not _is_in_memory(engine):
            _drop_inherited_pool(engine, _processes.get(made_in))
        process.pools[engine.dialect] = ref(engine.pool)


def require_separate_connections(engine: Engine) -> None:
    """Refuse a pool that gives the same connection to the stores and to the host.

    Args:
        engine: The engine of the host.

    Raises:
        ConfigurationError: It has such a pool, or is async. In-memory SQLite is accepted, since it needs one.
    """
    if getattr(engine.dialect, "is_async", False):
        raise ConfigurationError(
            "The engine is async, and the stores are not: give them a sessionmaker on an engine with a sync "
            "driver."
        )
    if isinstance(engine.pool, (StaticPool, SingletonThreadPool)) and not _is_in_memory(engine):
        raise ConfigurationError(
            f"The engine's {type(engine.pool).__name__} shares one connection with your own code, so a "
            "COMMIT of the stores would commit your rows, and your ROLLBACK would undo a binding: create "
            "the engine with poolclass=QueuePool."
        )


def address_of(engine: Engine) -> str:
    """Return where an engine connects to, without the password.

    Args:
        engine: The engine of the host.
    """
    url = engine.url
    if engine.dialect.name == "sqlite":
        return f"the file {url.database}"
    hosts = url.query.get("host", url.host or "the default host")
    where = ", ".join(hosts) if isinstance(hosts, tuple) else str(hosts)
    port = "" if url.port is None else f":{url.port}"
    return f"database {url.database} at {where}{port} as {url.username}"


def _drop_inherited_pool(engine: Engine, parent: _UsedEngines | None) -> None:
    seen = None if parent is None else parent.pools.get(engine.dialect)
    if seen is None or seen() is engine.pool:  # otherwise the host has disposed of it after the fork
        _inherited_pools.append(engine.pool)
        engine.dispose(close=False)


def _is_in_memory(engine: Engine) -> bool:
    """Return whether the database is SQLite in memory: a new connection would lose its tables."""
    url = engine.url
    has_memory_url = url.database in (None, "", ":memory:") or "mode=memory" in str(url)
    return engine.dialect.name == "sqlite" and has_memory_url
