"""One module a file format, each with ``load(path, config)``; ``ragyena.documents.loading`` says how to add one."""
