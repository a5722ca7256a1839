"""brainxr beside its peers and beside what the machine can do: ``python -m benchmarks``.

stacks ──▶ work: rows of ways ──▶ measure: interleaved, checked ──▶ results ──▶ report, targets
limits, peers ──┘                     memory, window: processes of their own ──┘
"""
