"""Ask a folder of PDF files many questions, and write a table: python folder_of_pdfs.py FOLDER QUESTIONS.txt OUT.csv.

The index is kept in FOLDER/.ragyena: the next run reads only what changed.
"""

import csv
import sys
from pathlib import Path

from ragyena import Index, Pipeline

folder, questions, out = map(Path, sys.argv[1:])
place = folder / ".ragyena"
with Index.open(place, create=True) as index:
    report = index.add([folder])
for left_out in report.skipped:
    print(f"not read: {left_out.source}: {left_out.message}", file=sys.stderr)
with Pipeline.open(place) as pipeline, out.open("w", newline="", encoding="utf-8") as file:
    table = csv.writer(file)
    table.writerow(["question", "answer", "confidence", "file", "page", "quote"])
    for question in questions.read_text(encoding="utf-8").splitlines():
        if not question.strip():
            continue
        answer = pipeline.ask(question)
        cited = answer.citations[0] if answer.citations else None
        where = [Path(cited.source).name, cited.page, cited.quote] if cited else ["", "", ""]
        table.writerow([question, answer.text, f"{answer.confidence:.2f}", *where])
