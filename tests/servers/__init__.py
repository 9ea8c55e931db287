"""Private database servers on loopback, with the faults that tests inject into them."""

from .availability import (
    require,
    require_driver,
    require_galera,
    require_mariadb,
    require_module,
    require_postgres,
)
from .mariadb import GaleraCluster, GaleraNode, MariaDBServer, galera_library
from .postgres import PostgresServer, SynchronousPair
from .process import ServerError, wait_until
from .proxy import Proxy

__all__ = [
    "GaleraCluster",
    "GaleraNode",
    "MariaDBServer",
    "PostgresServer",
    "Proxy",
    "ServerError",
    "SynchronousPair",
    "galera_library",
    "require",
    "require_driver",
    "require_galera",
    "require_mariadb",
    "require_module",
    "require_postgres",
    "wait_until",
]
