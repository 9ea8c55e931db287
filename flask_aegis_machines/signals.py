"""Signals of registrations, sent when the outcome is final.

Both are sent with the app as sender and these keyword arguments:

- ``code``: the code of the answer.
- ``user_id``: the redacted ID number of the user, as the answer's ``user_id`` has it.
- ``user_key``: the key of the user, as the column ``user_id`` of a machine has it.
- ``machine``: the ``Machine``. Its ``repr`` shows no value. Its ``registered_at`` is set if it was bound.

The last three are ``None`` if the request was refused before they were known.

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
