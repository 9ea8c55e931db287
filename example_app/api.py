"""The endpoints' own document: as OpenAPI at /openapi.json, and to read at /api."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request

from example_app.page import allow_own_files_alone
from flask_aegis_machines import openapi

blueprint = Blueprint("api", __name__)
blueprint.after_request(allow_own_files_alone)


@blueprint.get("/openapi.json")
def document() -> Response:
    """Serve the OpenAPI document.

    Returns:
        The document, as JSON.

    Raises:
        Nothing.
    """
    return jsonify(_document())


@blueprint.get("/api")
def page() -> str:
    """Show the same document as a page.

    Returns:
        The page.

    Raises:
        Nothing.
    """
    document = _document()
    schemas = document["components"]["schemas"]

    def resolve(reference: dict[str, str]) -> dict[str, Any]:
        schema: dict[str, Any] = schemas[reference["$ref"].rpartition("/")[2]]
        return schema

    return render_template("api.html", document=document, resolve=resolve)


def _document() -> dict[str, Any]:
    return openapi.document(request.script_root)
