"""Signals of registrations, sent when the outcome is final.

Both are sent with the app as sender and these keyword arguments: ``code``, that of the answer; ``user_id``,
the user's ID number, redacted; ``user_key``, the key of the user, as in a machine's ``user_id`` column;
``machine``, the ``Machine``, whose ``repr`` shows no value and whose ``registered_at`` is set where it was
bound. The last three are ``None`` where a request was refused before they were known.

A worker that dies after the COMMIT sends no signal. Write what must not be lost in the same transaction, in a
``within=`` hook. With ``transaction="host"`` the COMMIT of the host comes after the signal.
"""

from __future__ import annotations

from blinker import Namespace

__all__ = ["machine_registered", "registration_refused"]

_signals = Namespace()

#: A machine was bound. A repetition by its owner, which stores nothing, sends no signal.
machine_registered = _signals.signal("aegis-machine-registered")
#: A registration was refused. An internal error (10005) is no refusal.
registration_refused = _signals.signal("aegis-registration-refused")
