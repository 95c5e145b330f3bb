"""Parsing of warehouse URLs, and separation of the password from the URL.

A URL that is passed between functions, shown or logged never contains a password: `public_url` removes it, and
`secret_url` reads it from the environment again when a connection is opened. If the environment has no password,
libpq's own sources apply (PGPASSWORD, ~/.pgpass, PGSERVICE). Connections are opened in `warehouse/`.
"""

from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

URL_VARIABLE = "STUDENT360_WAREHOUSE_URL"
DEFAULT_SCHEMA = "student360"
SCHEMES = ("postgresql", "postgres")
SECRETS = ("password", "sslpassword")


def is_postgres(url: str) -> bool:
    """Return whether a warehouse URL refers to a PostgreSQL database."""
    return urlsplit(url).scheme in SCHEMES


def public_url(url: str, schema: str = "") -> str:
    """Return a PostgreSQL URL without its password and with the schema as a parameter. It may be shown and logged."""
    parts = urlsplit(url)
    parameters = {name: value for name, value in parse_qsl(parts.query) if name not in SECRETS}
    if schema:
        parameters["schema"] = schema
    return _joined(parts, _public_login(parts), parameters)


def schema_of(url: str) -> str:
    """Return the schema of a public URL; the default schema if it has none."""
    return dict(parse_qsl(urlsplit(url).query)).get("schema", DEFAULT_SCHEMA)


def login_of(url: str) -> str:
    """Return user, host and database of a URL as <user>@<host>/<database>, for messages."""
    parts = urlsplit(url)
    return f"{_public_login(parts) or 'the default address'}{parts.path}"


def secret_url(url: str, environment: Mapping[str, str], defaults: Mapping[str, str]) -> str:
    """Return the URL for libpq: a public URL plus the password of the environment's URL if both have the same login.

    defaults: connection parameters that apply unless the URL sets them.
    """
    parts = urlsplit(url)
    parameters = dict(defaults) | dict(parse_qsl(parts.query))
    parameters.pop("schema", None)
    given = urlsplit(environment.get(URL_VARIABLE, ""))
    login = parts.netloc
    if given.scheme in SCHEMES and (_public_login(given), given.path) == (login, parts.path):
        login = given.netloc
        parameters |= {name: value for name, value in parse_qsl(given.query) if name in SECRETS}
    return _joined(parts, login, parameters)


def _public_login(parts: SplitResult) -> str:
    userinfo, at, host = parts.netloc.rpartition("@")
    return f"{userinfo.partition(':')[0]}{at}{host}"


def _joined(parts: SplitResult, login: str, parameters: Mapping[str, str]) -> str:
    return SplitResult("postgresql", login, parts.path, urlencode(parameters, quote_via=quote), "").geturl()
