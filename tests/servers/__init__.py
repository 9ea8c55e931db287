"""Private servers on loopback, with the faults that tests inject into them."""

from .availability import (
    require,
    require_driver,
    require_galera,
    require_mariadb,
    require_module,
    require_nginx,
    require_pgbouncer,
    require_postgres,
    require_web_server,
)
from .mariadb import GaleraCluster, GaleraNode, MariaDBServer, galera_library
from .nginx import Nginx
from .pgbouncer import PgBouncer
from .postgres import PostgresServer, SynchronousPair
from .process import ServerError, wait_until
from .proxy import Proxy
from .web import Gunicorn, Hypercorn, Uwsgi, UwsgiBehindNginx, Waitress, WebServer

__all__ = [
    "GaleraCluster",
    "GaleraNode",
    "Gunicorn",
    "Hypercorn",
    "MariaDBServer",
    "Nginx",
    "PgBouncer",
    "PostgresServer",
    "Proxy",
    "ServerError",
    "SynchronousPair",
    "Uwsgi",
    "UwsgiBehindNginx",
    "Waitress",
    "WebServer",
    "galera_library",
    "require",
    "require_driver",
    "require_galera",
    "require_mariadb",
    "require_module",
    "require_nginx",
    "require_pgbouncer",
    "require_postgres",
    "require_web_server",
    "wait_until",
]
