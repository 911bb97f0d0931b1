"""An agent that looks things up: any chat model of LangChain that calls tools, with an index as its tool.

from langchain_openai import ChatOpenAI          # or another chat model
print(run(ChatOpenAI(model="..."), "my-index", "Which bridge is older?"))
"""

import os

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from ragyena import Pipeline

TURNS = 6
INSTRUCTIONS = "Look up every fact with ask_documents, one simple question at a time. Quote what it cites."


def run(model: BaseChatModel, index: str | os.PathLike[str], task: str) -> str:
    """The last message of ``model`` after it has asked the index what it wants to know."""
    with Pipeline.open(index) as pipeline:

        @tool
        def ask_documents(question: str) -> str:
            """Answer a question from the documents, with the sentence it stands in; says so where it is not there."""
            answer = pipeline.ask(question)
            if not answer.text:
                return "not found in the documents"
            quotes = [f'"{cited.quote}" ({cited.source}, line {cited.line_start})' for cited in answer.citations]
            return "\n".join([answer.text, *quotes])

        bound = model.bind_tools([ask_documents])
        messages: list[BaseMessage] = [SystemMessage(INSTRUCTIONS), HumanMessage(task)]
        for _ in range(TURNS):
            reply = bound.invoke(messages)
            messages.append(reply)
            calls = getattr(reply, "tool_calls", [])
            if not calls:
                return str(reply.content)
            messages += [ToolMessage(ask_documents.invoke(call["args"]), tool_call_id=call["id"]) for call in calls]
        return "no answer within the turns"
