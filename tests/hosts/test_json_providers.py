"""Hosts that replace the JSON provider."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from flask.json.provider import DefaultJSONProvider, JSONProvider

from flask_aegis_machines.stores.memory import MemoryMachineStore
from tests.servers import require_module
from tests.support.hosts import FIRST, REGISTER_PATH, assert_answer, example, mount


class TestJson:
    """Hosts that replace the JSON provider."""

    def test_orjson(self) -> None:
        """Answers that orjson writes have the same content."""
        require_module("orjson", "orjson")
        import orjson

        class Orjson(JSONProvider):
            def dumps(self, obj: Any, **options: Any) -> str:
                return orjson.dumps(obj).decode()

            def loads(self, s: str | bytes, **options: Any) -> Any:
                return orjson.loads(s)

        app = mount(MemoryMachineStore())
        app.json = Orjson(app)
        client = app.test_client()
        bound = {"machine_code": example()["machine_code"], "user_id": "110***********1234"}
        assert_answer(client.post(REGISTER_PATH, json=example()), "10000", **bound)
        assert_answer(client.post(REGISTER_PATH, json=example()), "10004")

    def test_strings_that_look_like_dates(self) -> None:
        """A provider that makes datetimes of strings does not get at what is stored."""

        class Dated(DefaultJSONProvider):
            def loads(self, s: str | bytes, **options: Any) -> Any:
                return {
                    name: datetime.fromisoformat(value) if value[:2] == "20" else value
                    for name, value in json.loads(s).items()
                }

        machines = MemoryMachineStore()
        app = mount(machines)
        app.json = Dated(app)
        dated = {**example(), "machine_os_version": "2026-01-01T00:00:00"}
        assert isinstance(app.json.loads(json.dumps(dated))["machine_os_version"], datetime)
        answer = app.test_client().post(
            REGISTER_PATH, data=json.dumps(dated), content_type="application/json"
        )
        assert json.loads(answer.data)["code"] == "10000"
        (stored,) = machines.list_for(FIRST)
        assert stored.machine_os_version == "2026-01-01T00:00:00"
