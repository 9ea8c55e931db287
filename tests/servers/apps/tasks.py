"""A Celery app whose tasks call the stores; its workers are forked after the engine was used."""

from __future__ import annotations

import json
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

celery = Celery("tasks", broker="filesystem://")
celery.conf.broker_transport_options = {
    "data_folder_in": str(_folder / "queue"),
    "data_folder_out": str(_folder / "queue"),
    "control_folder": str(_folder / "control"),
}


@celery.task(ignore_result=True)
def bind(user_id: int, codes: list[str]) -> None:
    """Bind machine codes to a user, and write the outcome of each into a file."""
    user = _users.get(str(user_id))
    outcomes = dict.fromkeys(codes, "10003")
    for code in codes if user else ():
        try:
            _machines.bind(make_machine(code), user)
        except MachineCodeTaken:
            outcomes[code] = "10004"
        except Exception as error:
            outcomes[code] = repr(error)
        else:
            outcomes[code] = "10000"
    # Celery's own results in files can be read while they are written; a file is renamed at once.
    name = f"{user_id}-{codes[0]}"
    (_folder / name).write_text(json.dumps(outcomes))
    (_folder / name).rename(_folder / "results" / name)
