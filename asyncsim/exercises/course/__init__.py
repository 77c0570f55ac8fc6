"""The exercises, one module per notebook: ``nb01_quickstart`` for ``01_quickstart.ipynb``.

A module has `EXERCISES`, a tuple, and `SHOWN`: the objects that they refer to, by their name in the
notebook. Tests compare both with the notebook. New modules are found automatically.
"""
