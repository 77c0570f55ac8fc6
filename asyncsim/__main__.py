"""``python -m asyncsim`` is the command ``asyncsim``."""

import sys

from asyncsim.cli import main

sys.exit(main())
