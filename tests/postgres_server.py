"""Debian's PostgreSQL, started in a place of its own by a user that is not root, ended with the test; it can be killed and come back."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from live_server import free_port


def programs():
    """Return the folder of PostgreSQL's server programs; Debian keeps them off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    where = shutil.which("initdb")
    return found[-1].parent if found else Path(where).parent if where else None


class Postgres:
    """A server of one user, whose password is in a file that libpq reads."""

    def __init__(self, where, place, name, user):
        self.where, self.place, self.name, self.user = where, place, name, user
        self.port, password = free_port(), secrets.token_hex(16)
        self.passfile = place / "pgpass"
        self.passfile.write_text(f"127.0.0.1:{self.port}:*:{name}:{password}\n")
        self.passfile.chmod(0o600)
        (place / "password").write_text(password)
        if user:
            shutil.chown(place, user)
            shutil.chown(place / "password", user)
        make = ["initdb", "-D", place / "data", "-U", name, "--pwfile", place / "password", "--auth=scram-sha-256", "--no-sync"]
        subprocess.run([where / make[0], *make[1:]], check=True, capture_output=True, cwd=place, **self._as_user())
        self.start()

    def start(self):
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.place}", "-c", "fsync=off"]
        command = [self.where / "postgres", "-D", self.place / "data", "-p", str(self.port), *options]
        self.process = subprocess.Popen(command, cwd=self.place, stderr=subprocess.DEVNULL, start_new_session=True, **self._as_user())
        deadline = time.monotonic() + 60
        while subprocess.run(["pg_isready", "-h", "127.0.0.1", "-p", str(self.port)], capture_output=True).returncode:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def kill(self):
        """Lose the server with all its processes, as a machine that loses power."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # fast: whoever is connected is sent away
            self.process.wait(timeout=30)

    def new_database(self, name):
        """Make an empty database, and return its address without a password."""
        asked = ["createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", self.name, name]
        subprocess.run(asked, check=True, capture_output=True, env={**os.environ, "PGPASSFILE": str(self.passfile)})
        return f"postgresql://{self.name}@127.0.0.1:{self.port}/{name}"

    def _as_user(self):
        return {"user": self.user} if self.user else {}


@contextlib.contextmanager
def postgres_server(name):
    """Yield a server with a user of that name, or skip."""
    where = programs()
    if where is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    user = None
    if os.getuid() == 0:  # PostgreSQL does not run as root
        try:
            user = pwd.getpwnam("postgres").pw_name
        except KeyError:
            pytest.skip("there is no user postgres to run PostgreSQL as (Debian: apt-get install postgresql)")
    place = Path(tempfile.mkdtemp(prefix="postgres-"))
    server = Postgres(where, place, name, user)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(place, ignore_errors=True)
