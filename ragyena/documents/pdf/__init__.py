"""Layout of PDF pages: characters at places -> columns, tables, paragraphs, headings in reading order."""
