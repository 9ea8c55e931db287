"""What a host can listen to: the outcomes of registrations, once they are final.

Both are sent with the app as sender and these keyword arguments: ``code``, that of the answer; ``user_id``,
the caller's ID number, redacted; ``machine``, the ``Machine``, whose ``repr`` shows no value. The last two
are ``None`` where a request was refused before they were known. A worker that dies between the database's
COMMIT and this sends nothing: what must never be missed belongs into the database. Where the host owns the
transaction, its COMMIT is still to come.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from blinker import NamedSignal, Namespace
from flask import Flask

__all__ = ["machine_registered", "registration_refused", "send"]

_signals = Namespace()

#: A machine was bound. A repetition by its owner, which stores nothing, sends none.
machine_registered = _signals.signal("aegis-machine-registered")
#: A registration was answered with an expected "no". An internal error (10005) is none.
registration_refused = _signals.signal("aegis-registration-refused")

_log = logging.getLogger(__package__)


def send(signal: NamedSignal, app: Flask, **facts: object) -> None:
    """Tell each receiver, whatever the others do.

    Args:
        signal: One of the signals of this module.
        app: The sender.
        facts: The keyword arguments for the receivers.

    Raises:
        Nothing. A receiver that fails is logged.
    """
    if signal.is_muted:
        return
    for receiver in signal.receivers_for(app):
        try:
            app.ensure_sync(receiver)(app, **facts)
        except Exception:
            with suppress(Exception):  # a log that fails
                _log.exception("A receiver of %s failed", signal.name)
