"""`python -m ragyena ...` is `ragyena ...`: what torchrun needs."""

from ragyena.cli.main import run

if __name__ == "__main__":
    run()
