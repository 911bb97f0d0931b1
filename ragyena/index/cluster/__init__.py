"""Past one machine: shards of an index, built and searched by the nodes of a Ray cluster.

``session`` is the only module that imports ray. What runs on the nodes is in ``work`` (building) and ``shard``
(searching), which know nothing of it.
"""
