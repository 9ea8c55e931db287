"""The page at /: what this is, who can sign in, and what to try."""

from __future__ import annotations

from flask import Blueprint, render_template, request

from example_app.demo import PASSWORD, USERS, curl_line

blueprint = Blueprint("page", __name__)


@blueprint.get("/")
def index() -> str:
    """Show the demo users and the line to try, for the address that the visitor came by.

    Returns:
        The page.

    Raises:
        Nothing.
    """
    return render_template("index.html", users=USERS, password=PASSWORD, curl=curl_line(request.url_root))
