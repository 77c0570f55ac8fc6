"""``python -m asyncsim`` is the command ``asyncsim``."""

import sys

from asyncsim.cli.main import main

sys.exit(main())
