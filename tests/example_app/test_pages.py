"""The pages without a browser: what they hold, link to and allow."""

from __future__ import annotations

import html
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient

from example_app import demo, page

POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"


class Elements(HTMLParser):
    """Collects the elements of a page, and the URLs that it loads or links to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.targets: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect one element."""
        self.elements.append((tag, dict(attrs)))
        self.targets += [value or "" for name, value in attrs if name in {"href", "src", "srcset", "action"}]


def test_page_shows_what_to_try(client: FlaskClient) -> None:
    """The page shows the users, their password, and the line to paste, for the URL that the visitor used."""
    answer = client.get("/", base_url="http://demo.example:8080")
    assert answer.status_code == 200
    assert answer.mimetype == "text/html"
    for aegisspeed_id in ["ASD000001", "ASD000002"]:
        assert f">Sign in as {aegisspeed_id}</button>" in answer.text
    assert "<code>demo</code>" in answer.text
    assert demo.curl_line("http://demo.example:8080/") in html.unescape(answer.text)
    assert "python -m example_app.this_machine --url http://demo.example:8080/<" in answer.text


def test_form_has_each_field_of_a_request(client: FlaskClient) -> None:
    """The form holds the sample machine, in the order of the API document."""
    assert list(page.LABELS) == list(demo.REQUEST_EXAMPLE)
    text = html.unescape(client.get("/").text)
    for name, value in demo.REQUEST_EXAMPLE.items():
        assert f'name="{name}" value="{value}"' in text


@pytest.mark.parametrize("path", ["/", "/api/"])
def test_every_link_leads_somewhere(client: FlaskClient, path: str) -> None:
    """Every URL of a page is one of this app: the forms' accept POST, the others answer 200."""
    targets = [target for target in Elements(client.get(path).text).targets if not target.startswith("#")]
    assert len(targets) >= 9
    for target in targets:
        answer = client.get(target)
        accepts_post_only = "login" in target or "_by_aegisspeed_id" in target
        assert answer.status_code == (405 if accepts_post_only else 200)
        answer.close()


@pytest.mark.parametrize("path", ["/", "/api/"])
def test_page_needs_only_its_own_files(client: FlaskClient, path: str) -> None:
    """The policy allows only files of this app, and the page has no inline script or style."""
    answer = client.get(path)
    assert answer.headers["Content-Security-Policy"] == POLICY
    for tag, attributes in Elements(answer.text).elements:
        assert tag != "style"
        assert tag != "script" or "src" in attributes
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


@pytest.mark.parametrize(
    "path", ["/", "/api/", "/api/swagger-ui.css", "/static/page.js", "/openapi.json", "/login", "/nowhere"]
)
def test_every_response_has_the_security_headers(client: FlaskClient, path: str) -> None:
    """Pages, files, JSON and errors have the policy, and no browser guesses another type."""
    answer = client.get(path)
    assert answer.headers.getlist("Content-Security-Policy") == [POLICY]
    assert answer.headers.getlist("X-Content-Type-Options") == ["nosniff"]
    answer.close()


@pytest.mark.parametrize("path", ["/", "/api/"])
def test_every_page_has_the_site_header(client: FlaskClient, path: str) -> None:
    """Both pages have the same header, in which only the page itself is marked as current."""
    elements = Elements(client.get(path).text).elements
    assert ("header", {"class": "site"}) in elements
    current = [attributes["href"] for tag, attributes in elements if attributes.get("aria-current") == "page"]
    assert current == [path]
    links = {attributes.get("href") for tag, attributes in elements if tag == "a"}
    assert {"/", "/api/", "/openapi.json"} <= links


def test_api_redirects_to_the_viewer(client: FlaskClient) -> None:
    """The URL without the slash leads to the viewer too."""
    answer = client.get("/api", follow_redirects=True)
    assert answer.request.path == "/api/"
    assert "swagger-ui-bundle.js" in answer.text


def test_openapi_document_names_the_prefix(client: FlaskClient) -> None:
    """Under a prefix, the document and the viewer's link to it have that prefix."""
    below = {"SCRIPT_NAME": "/demo"}
    assert client.get("/openapi.json", environ_overrides=below).json["servers"] == [{"url": "/demo"}]
    assert 'data-document="/demo/openapi.json"' in client.get("/api/", environ_overrides=below).text
