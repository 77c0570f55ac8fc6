"""Settings for all tests; ``--hypothesis-profile=thorough`` searches ten times as long."""

from hypothesis import settings

from asyncsim.engine.compiled import ahead

# A slow machine is no error: the first call of a function may import half of SciPy
settings.register_profile("asyncsim", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("asyncsim")

ahead.warm_up()  # else the first tests would run plain kernels, and compile beside them
