"""Index a folder in shards on a Ray cluster, and ask them: python cluster.py FOLDER INDEX QUESTION [ADDRESS].

Without an address, a cluster of this machine alone is started. Run it again to resume, or to add what is new.
"""

import sys
from pathlib import Path

from ragyena import Pipeline
from ragyena.config import PipelineConfig
from ragyena.index.cluster.build import build
from ragyena.index.cluster.serving import ShardedIndex
from ragyena.index.cluster.session import connect

folder, place, question = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
address = sys.argv[4] if len(sys.argv) > 4 else "local"
settings = PipelineConfig()

report = build(folder, place, address, settings, shards=2)
for failure in report.added.failed:
    print(f"not read: {failure.message}", file=sys.stderr)
print(f"{report.added.total_passages} passages in {len(report.shards)} shards")

with (
    connect(address) as session,
    ShardedIndex(session, place, settings) as index,
    Pipeline.open(index) as pipeline,
):
    answer = pipeline.ask(question)
    print(answer.text, [(Path(cited.source).name, cited.quote) for cited in answer.citations])
