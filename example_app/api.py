"""The OpenAPI document of the machine endpoints at /openapi.json, and Swagger UI for it at /api/."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request
from flask_swagger_ui import get_swaggerui_blueprint

from example_app.demo import PASSWORD, USERS
from flask_aegis_machines import openapi

blueprint = Blueprint("api", __name__)


@blueprint.get("/openapi.json")
def document() -> Response:
    """Return the OpenAPI document, with the prefix under which the app is mounted."""
    return jsonify(openapi.document(request.script_root))


# Serves the files of Swagger UI. Its page is templates/index.template.html of this app, which takes
# precedence over the template of that name in the package: the package's needs an inline script.
viewer: Blueprint = get_swaggerui_blueprint("/api", "/openapi.json")
viewer.context_processor(lambda: {"users": USERS, "password": PASSWORD})
