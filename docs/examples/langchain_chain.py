"""Ask a folder of documents through a LangChain chain: python langchain_chain.py FOLDER QUESTION."""

import sys
import tempfile
from pathlib import Path

from ragyena import Index
from ragyena.integrations.langchain import RagyenaReader, RagyenaRetriever, answer_chain

folder, question = sys.argv[1:]
with tempfile.TemporaryDirectory() as temporary, Index.create(Path(temporary) / "index") as index:
    index.add(folder)
    chain = answer_chain(RagyenaRetriever(index=index, k=200), RagyenaReader())
    for chunk in chain.stream(question):  # the question, then the documents, then the answer
        if "documents" in chunk:
            print(f"reading {len(chunk['documents'])} passages")
        if "answer" in chunk:
            answer = chunk["answer"]
            print(answer.text or "not found")
            for citation in answer.citations:
                print(f'  {citation.source}, line {citation.line_start}: "{citation.quote}"')
