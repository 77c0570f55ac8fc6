"""The exercises, one module per notebook: ``nb01_quickstart`` for ``01_quickstart.ipynb``.

A module has `EXERCISES`, a tuple, and `SHOWN`: what they speak of, by its name in the notebook. The
tests hold both against the notebook. A new module is found by itself.
"""
