"""What a server is started with; remembered in ``server.json`` of its folder, so that every command knows it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from mlflow_server.errors import ServerError
from mlflow_server.private import generated, private_folder, write_private

LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: Random bytes of the secrets; as text a third longer: 32 and 43 characters.
_PASSWORD_BYTES, _SECRET_BYTES = 24, 32


@dataclass(frozen=True)
class ServerSettings:
    """Settings of one server.

    Attributes:
        folder: absolute folder of the server's own: settings, secrets, log; by default database and artefacts too.
        database: SQLAlchemy URI, without a password; empty for SQLite in the folder.
        artifacts: folder or ``s3://BUCKET/PREFIX``; empty for ``artifacts`` in the folder.
        host: address to listen on.
        port: TCP port.
        allowed_hosts: names by which clients reach it; each is allowed with and without the port.
        workers: processes that answer.
        tls_in_front: said explicitly: a proxy with TLS is the only way to a server that listens on more than the loopback.
        default_permission: what users may do with what nobody gave them.
        auth_cache_ttl_seconds: seconds for which a password that was checked is not checked again.
    """

    folder: Path
    database: str = ""
    artifacts: str = ""
    host: str = "127.0.0.1"
    port: int = 5000
    allowed_hosts: tuple[str, ...] = LOOPBACK[:2]
    workers: int = 1
    tls_in_front: bool = False
    default_permission: str = "NO_PERMISSIONS"
    auth_cache_ttl_seconds: int = 60

    @property
    def database_uri(self) -> str:
        """Return the SQLAlchemy URI of the tracking database; PostgreSQL by the driver psycopg."""
        uri = self.database or f"sqlite:///{self.folder / 'mlflow.db'}"
        scheme, separator, rest = uri.partition("://")
        return f"postgresql+psycopg{separator}{rest}" if scheme in ("postgres", "postgresql") else uri

    @property
    def auth_uri(self) -> str:
        """Return the SQLAlchemy URI of users and permissions: beside a SQLite database, in the same one of a database server."""
        return f"sqlite:///{self.folder / 'auth.db'}" if self.database_uri.startswith("sqlite") else self.database_uri

    @property
    def artifact_location(self) -> str:
        """Return where artefacts lie: an absolute path, or an ``s3://`` URI."""
        if "://" in self.artifacts:
            return self.artifacts.rstrip("/")
        return str((self.folder / (self.artifacts or "artifacts")).resolve())

    @property
    def url(self) -> str:
        """Return the URL at which this machine reaches the server."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def host_headers(self) -> tuple[str, ...]:
        """Return the Host headers that are answered: every allowed host with the port and without."""
        bare = [f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host for host in self.allowed_hosts]
        return tuple(dict.fromkeys(header for host in bare for header in (host, f"{host}:{self.port}")))

    @property
    def password_file(self) -> Path:
        """Return the file with the password that the administrator's account begins with."""
        return self.folder / "secrets" / "admin-password"

    @property
    def flask_secret_file(self) -> Path:
        """Return the file with the secret that signs forms."""
        return self.folder / "secrets" / "flask-secret"

    @property
    def auth_config(self) -> Path:
        """Return MLflow's configuration of basic-auth, written anew at every start."""
        return self.folder / "basic_auth.ini"

    @property
    def log(self) -> Path:
        """Return what the server's processes say."""
        return self.folder / "server.log"


def _file(folder: Path) -> Path:
    return folder / "server.json"


def read_settings(folder: Path) -> ServerSettings:
    """Return the settings of a folder, the defaults where it has none yet.

    Raises:
        ServerError: ``SETTINGS_UNREADABLE`` naming the file and what is wrong with it.
    """
    folder = folder.expanduser().resolve()
    path = _file(folder)
    if not path.exists():
        return ServerSettings(folder)
    try:
        return ServerSettings(folder, **_checked(json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError) as error:
        raise ServerError("SETTINGS_UNREADABLE", f"expected settings of a server in {path}, {error}; mend the file") from error


def _checked(given: Any) -> dict[str, Any]:
    known = {field.name: field.default for field in fields(ServerSettings) if field.name != "folder"}
    if not isinstance(given, dict):
        raise ValueError("it holds no object")
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{name!r} is none of {', '.join(known)}")
        wanted = type(known[name])
        if type(value) is not (list if wanted is tuple else wanted):
            raise ValueError(f"{name} is {value!r}, which is no {wanted.__name__}")
    return {name: tuple(map(str, value)) if isinstance(value, list) else value for name, value in given.items()}


def write_settings(settings: ServerSettings) -> Path:
    """Remember settings in their folder and return the file."""
    content = {name: value for name, value in asdict(settings).items() if name != "folder"}
    return write_private(_file(settings.folder), json.dumps(content, indent=1) + "\n")


def changed(settings: ServerSettings, **changes: Any) -> ServerSettings:
    """Return settings with those of the changes that are not None."""
    return replace(settings, **{name: value for name, value in changes.items() if value is not None})


def prepare(settings: ServerSettings) -> None:
    """Make the folder, the artefact folder and the secrets, where they are not there; each for the owner only."""
    private_folder(settings.folder)
    if "://" not in settings.artifact_location:
        private_folder(Path(settings.artifact_location))
    generated(settings.password_file, _PASSWORD_BYTES)
    generated(settings.flask_secret_file, _SECRET_BYTES)


def write_auth_config(settings: ServerSettings) -> Path:
    """Write MLflow's configuration of basic-auth and return the file; the password is not in it."""
    lines = {
        "default_permission": settings.default_permission,
        # configparser reads a percent sign as the beginning of a reference
        "database_uri": settings.auth_uri.replace("%", "%%"),
        "admin_username": "admin",
        "auth_cache_ttl_seconds": settings.auth_cache_ttl_seconds,
        "grant_default_workspace_access": "false",
    }
    text = "".join(f"{name} = {value}\n" for name, value in lines.items())
    return write_private(settings.auth_config, f"# Written at every start from server.json.\n[mlflow]\n{text}")
