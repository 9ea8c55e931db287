"""The page at /: who can sign in, and forms that send what any client sends."""

from __future__ import annotations

from flask import Blueprint, Response, render_template, request

from example_app.demo import PASSWORD, REQUEST_EXAMPLE, USERS, curl_line

blueprint = Blueprint("page", __name__)

POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"
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
    """Show the forms, and the line to paste, for the address that the visitor came by.

    Returns:
        The page.

    Raises:
        Nothing.
    """
    return render_template(
        "index.html",
        users=USERS,
        password=PASSWORD,
        labels=LABELS,
        sample=REQUEST_EXAMPLE,
        curl=curl_line(request.url_root),
    )


@blueprint.after_request
def allow_own_files_alone(response: Response) -> Response:
    """Tell the browser to run and load nothing but this app's own files.

    Args:
        response: The page.

    Returns:
        The page, with its policy.

    Raises:
        Nothing.
    """
    response.headers["Content-Security-Policy"] = POLICY
    return response
