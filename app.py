"""Run the command line from a checkout: `python app.py ...` is `ragyena ...`."""

from ragyena.cli.main import run

if __name__ == "__main__":
    run()
