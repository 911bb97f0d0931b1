"""Answers that need several rows of a table: computed from the whole table, where the question leaves no doubt."""
