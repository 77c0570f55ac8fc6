"""Studies: what many comparisons together show, and the report of it.

Begin with `sweep`, which compares strategies over a grid of parameters (`parameters` names them,
`checkpoint` keeps what has been played). `steady_state` measures a system that never ends, and
`report` writes a comparison or an answer down as a page, with the `checklist` of a method section.
"""
