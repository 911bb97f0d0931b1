"""The HTTP server: ragyena's own API, OpenAI's, and the page."""
