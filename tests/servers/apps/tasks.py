"""A Celery app whose tasks call the stores; its workers are forked after the engine was used."""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery
from sqlalchemy import create_engine

from flask_aegis_machines import MachineCodeTaken
from flask_aegis_machines.testing import make_machine
from tests.faults.app import DATABASE_VARIABLE, FOLDER_VARIABLE, stores

_engine = create_engine(os.environ[DATABASE_VARIABLE])
_users, _machines = stores(_engine)
_folder = Path(os.environ[FOLDER_VARIABLE])

celery = Celery("tasks", broker="filesystem://", backend=f"file://{_folder / 'results'}")
celery.conf.broker_transport_options = {
    "data_folder_in": str(_folder / "queue"),
    "data_folder_out": str(_folder / "queue"),
    "control_folder": str(_folder / "control"),
}


@celery.task
def bind(user_id: int, codes: list[str]) -> dict[str, str]:
    """Bind machine codes to a user; return the outcome of each."""
    user = _users.get(str(user_id))
    if user is None:
        return dict.fromkeys(codes, "10003")
    outcomes = {}
    for code in codes:
        try:
            _machines.bind(make_machine(code), user)
        except MachineCodeTaken:
            outcomes[code] = "10004"
        except Exception as error:
            outcomes[code] = repr(error)
        else:
            outcomes[code] = "10000"
    return outcomes
