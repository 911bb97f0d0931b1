"""OpenAI's API, as far as an extractive reader can serve it: models, chat, responses, embeddings."""
