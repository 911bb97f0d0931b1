"""`python -m ragyena.cli ...` is `ragyena ...`."""

from ragyena.cli.main import run

run()
