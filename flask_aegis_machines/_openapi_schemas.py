"""The JSON Schemas of the OpenAPI document: requests, fields and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._answers import BOUND, BOUND_TO_USER, INVALID_REQUEST, REGISTERED, RETRIEVED, Answer
from ._endpoint_definitions import REGISTER, Endpoint
from ._placeholders import SHAPES
from ._records import MACHINE_FIELDS
from ._redaction import redact
from ._request_schemas import AEGISSPEED_ID, AFTER, LIMIT, MACHINE_CODE, MAX_PAGE

__all__ = ["answer_schema", "field_name", "field_schema", "ref", "request_schema", "shared_schemas"]

_KEYWORDS = {"type": "type", "min": "minimum", "max": "maximum"}

# What the rules of a field do not say: its meaning and an example.
_FIELDS: Mapping[str, tuple[str, str | int]] = {
    AEGISSPEED_ID: ("AegisSpeed ID of the signed-in user", "ASD000001"),
    MACHINE_CODE: ("Machine code", "abcd1234efgh5678ijkl9012mnop3456"),
    "windows_uuid": ("Windows system UUID", "12345678-1234-1234-1234-123456789012"),
    "windows_product_id": ("Windows product ID", "12345-12345-12345-12345-12345"),
    "machine_os_name": ("Name of the operating system", "Microsoft Windows 11"),
    "machine_os_version": ("Version of the operating system", "10.0.22631"),
    "machine_architecture": ("Architecture", "x64"),
    "machine_architecture_type": ("Type of architecture", "AMD64"),
    "machine_platform": ("Platform of the operating system", "Win32"),
    "machine_cpu": ("Model of the processor", "12th Gen Intel(R) Core(TM) i7-12700K"),
    "machine_motherboard": ("Model of the motherboard", "ASUS PRIME Z690-A"),
    "machine_mac_address": ("MAC address", "00:11:22:33:44:55"),
    LIMIT: (f"How many machines at most, {MAX_PAGE} unless given", MAX_PAGE),
    AFTER: ("Code of the last machine of the page before", "abcd1234efgh5678ijkl9012mnop3456"),
}

_NO_PLACEHOLDER = (
    " A code that identifies no machine is refused: one character 32 times, 24 asterisks between 4 "
    "characters on either side, and, which this schema does not show, a list of known placeholders, compared "
    "without case: default UUIDs of firmware, machine IDs of published images, and the MD5 of what programs "
    "write for nothing."
)
_NULL = " Send an empty string or null where the machine has no such thing; null is kept as an empty string."


def ref(name: str) -> dict[str, str]:
    """Return a reference to a component.

    Args:
        name: Name of the component.

    Returns:
        The reference.
    """
    return {"$ref": f"#/components/schemas/{name}"}


def field_name(endpoint: Endpoint, name: str) -> str:
    """Return the name of the component that describes a field of a request.

    Args:
        endpoint: The endpoint.
        name: Name of the field.

    Returns:
        The name of the field, or ``new_machine_code`` for the code of a registration: it has one more rule.
    """
    return "new_machine_code" if endpoint is REGISTER and name == MACHINE_CODE else name


def request_schema(endpoint: Endpoint) -> dict[str, Any]:
    """Return the schema of a request.

    Args:
        endpoint: The endpoint.

    Returns:
        The schema, in which each field refers to its component.
    """
    rules = endpoint.schema.rules
    return {
        "type": "object",
        "properties": {name: ref(field_name(endpoint, name)) for name in rules},
        "required": [name for name in rules if rules[name]["required"]],
    }


def field_schema(name: str, rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return in JSON Schema what the Cerberus rules of a field say.

    Args:
        name: Name of the field.
        rules: Its rules.

    Returns:
        The schema. What JSON Schema cannot say is in its description.
    """
    schema = {_KEYWORDS[rule]: value for rule, value in rules.items() if rule in _KEYWORDS}
    meaning, example = _FIELDS[name]
    description = f"{meaning}: {rules['meta']['description']}."
    if "regex" in rules:
        schema["pattern"] = f"^(?:{rules['regex']})$"
    if "check_with" in rules:
        schema["not"] = {"pattern": f"^(?:{SHAPES})$"}
        description += _NO_PLACEHOLDER
    if rules.get("nullable"):
        schema["type"] = [schema["type"], "null"]
        description += _NULL
    return {**schema, "description": description, "examples": [example]}


def answer_schema(
    endpoint: Endpoint, answer: Answer, data: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the schema of an answer of an endpoint.

    Args:
        endpoint: The endpoint; its envelope is used.
        answer: The answer.
        data: The schema of ``data`` of a refusal that the app defines; derived from the answer unless given.

    Returns:
        The schema, in which the fixed parts are constants.
    """
    properties: dict[str, Any] = {
        "status": {"type": "integer", "const": answer.status},
        "code": {"type": "string", "const": answer.code},
    }
    data_schema = _data(endpoint, answer) if data is None else data
    if endpoint.envelope == "info":
        properties["info"] = {"type": "string", "const": answer.result}
        properties["result"] = {
            "type": "boolean",
            "const": answer in (BOUND, BOUND_TO_USER),
            "description": "Whether the machine code is bound; false on errors.",
        }
        schema = _object({**properties, "data": data_schema} if data_schema.get("properties") else properties)
        if data is not None:  # sent only where the refusal has any
            schema["properties"] = {**properties, "data": data}
        return schema
    properties["result"] = {"type": "string", "const": answer.result}
    return _object({**properties, "data": data_schema})


def shared_schemas() -> dict[str, Any]:
    """Return the components that belong to no single endpoint or field."""
    registration = REGISTER.schema.rules
    facts = {
        name: field_schema(name, {**registration[name], "nullable": False}) for name in MACHINE_FIELDS[1:]
    }
    return {
        "Machine": _object({MACHINE_CODE: ref(MACHINE_CODE), **facts, "registered_at": ref("registered_at")}),
        "Messages": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "examples": [["required field"]],
        },
        "user_id": {
            "type": "string",
            "description": "ID number of the user, its middle starred.",
            "examples": [redact("110101199003071234")],
        },
        "registered_at": {
            "type": "string",
            "format": "date-time",
            "description": "When the machine was bound, in UTC.",
            "examples": ["2026-02-26T08:00:00.000000+00:00"],
        },
    }


def _data(endpoint: Endpoint, answer: Answer) -> dict[str, Any]:
    if answer is REGISTERED:
        return _object({MACHINE_CODE: ref(MACHINE_CODE), "user_id": ref("user_id")})
    if answer is RETRIEVED:
        following = {
            "anyOf": [ref(MACHINE_CODE), {"type": "null"}],
            "description": f"What to send as `{AFTER}` for the next page; null on the last one.",
        }
        machines = {"type": "array", "maxItems": MAX_PAGE, "items": ref("Machine")}
        return _object({"user_id": ref("user_id"), "machines": machines, "next": following})
    if answer is INVALID_REQUEST:
        return _object({"errors": _errors(endpoint)})
    return _object({})


def _errors(endpoint: Endpoint) -> dict[str, Any]:
    names = ["body", *(name for name in endpoint.schema.rules if name != AEGISSPEED_ID)]
    return {
        "type": "object",
        "description": "Messages by field; `body` stands for the body as a whole.",
        "properties": dict.fromkeys(names, ref("Messages")),
        "minProperties": 1,
        "additionalProperties": False,
    }


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
