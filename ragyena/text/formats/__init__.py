"""One module a file format, each with ``load(path, config)``; ``ragyena.text.loading`` says how to add one."""
