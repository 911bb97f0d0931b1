"""Run the command line from a checkout: `python app.py ...` is `ragyena ...`."""

from ragyena.__main__ import run

if __name__ == "__main__":
    run()
