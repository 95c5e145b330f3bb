"""Where the warehouse is: its URL, and the password kept apart from it.

Belongs here: taking a URL to pieces. Does not belong here: connecting (`warehouse/`).

A URL that is handed around, shown or logged never holds a password: `public_url` takes it out, and `secret_url`
looks it up again in the environment at the moment of connecting. Without one there libpq's own means apply
(PGPASSWORD, ~/.pgpass, PGSERVICE).
"""

from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

URL_VARIABLE = "STUDENT360_WAREHOUSE_URL"
DEFAULT_SCHEMA = "student360"
SCHEMES = ("postgresql", "postgres")
SECRETS = ("password", "sslpassword")


def is_postgres(url: str) -> bool:
    """Whether a warehouse URL names a PostgreSQL database."""
    return urlsplit(url).scheme in SCHEMES


def public_url(url: str, schema: str = "") -> str:
    """A PostgreSQL URL without its password, with the schema as its parameter: what may be shown and logged."""
    parts = urlsplit(url)
    parameters = {name: value for name, value in parse_qsl(parts.query) if name not in SECRETS}
    if schema:
        parameters["schema"] = schema
    return _joined(parts, _public_login(parts), parameters)


def schema_of(url: str) -> str:
    """The schema that a public URL names."""
    return dict(parse_qsl(urlsplit(url).query)).get("schema", DEFAULT_SCHEMA)


def login_of(url: str) -> str:
    """User, host and database of a URL, for messages: <user>@<host>/<database>."""
    parts = urlsplit(url)
    return f"{_public_login(parts) or 'the default address'}{parts.path}"


def secret_url(url: str, environment: Mapping[str, str], defaults: Mapping[str, str]) -> str:
    """What libpq is given: a public URL with the password of the environment's URL if that is about the same login.

    defaults: connection parameters that apply where the URL does not say otherwise.
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
