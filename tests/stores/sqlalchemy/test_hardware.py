"""The values that real machines report, on every driver."""

from __future__ import annotations

from typing import Any

from flask_aegis_machines import machine_from_document
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore
from tests.support.engines import DRIVERS, on
from tests.support.hardware import FACTS, fact_sets, stored
from tests.support.hosts import FIRST


@on(*DRIVERS)
def test_real_machines_are_listed_as_they_were_sent(store: SQLAlchemyMachineStore) -> None:
    """Blanks at either end, emoji, empty and missing values come back on every database."""
    sent = [*fact_sets(""), *fact_sets(None)]
    documents: list[dict[str, Any]] = [
        {**facts, "machine_code": f"{number:031}x"} for number, facts in enumerate(sent)
    ]
    refusals = store.bind_many([(machine_from_document(document), FIRST) for document in documents])
    assert refusals == [None] * len(sent)
    listed = {machine.machine_code: machine for machine in store.list_for(FIRST, limit=len(sent) + 1)}
    for document, facts in zip(documents, sent, strict=True):
        machine = listed[document["machine_code"]]
        assert {name: getattr(machine, name) for name in FACTS} == stored(facts)
