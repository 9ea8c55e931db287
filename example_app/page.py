"""The page at /: forms that send what a client sends, and show the request and its answer."""

from __future__ import annotations

from flask import Blueprint, Response, render_template, request

from example_app.demo import PASSWORD, REQUEST_EXAMPLE, USERS, curl_line

blueprint = Blueprint("page", __name__)

CONTENT_SECURITY_POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"
LABELS = {
    "user_AegisSpeed_id": "AegisSpeed ID",
    "machine_code": "Machine code",
    "windows_uuid": "Windows UUID",
    "windows_product_id": "Windows product ID",
    "machine_os_name": "Operating system",
    "machine_os_version": "OS version",
    "machine_architecture": "Architecture",
    "machine_architecture_type": "Architecture type",
    "machine_platform": "Platform",
    "machine_cpu": "Processor",
    "machine_motherboard": "Motherboard",
    "machine_mac_address": "MAC address",
}


@blueprint.get("/")
def index() -> str:
    """Render the page, with terminal commands for the address that the visitor used."""
    return render_template(
        "index.html",
        users=USERS,
        password=PASSWORD,
        labels=LABELS,
        sample=REQUEST_EXAMPLE,
        curl=curl_line(request.url_root),
    )


def add_security_headers(response: Response) -> Response:
    """Let a browser load and run only files of this app, and guess no other type for a response."""
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
