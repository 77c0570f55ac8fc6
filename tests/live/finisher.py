"""Run as a program: finishes one number many times, from several threads, and counts successes."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from asyncsim.engine.waits import Answer
from asyncsim.live.journal import Finish
from asyncsim.live.open import finish_record
from asyncsim.live.records import StoredWaits
from asyncsim.live.setup import Setup
from asyncsim.live.store import Store

path, number, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = Store(path)
waits = StoredWaits(Setup.kept_in(store).scenario, store)
print("ready", flush=True)
while not Path(path + ".go").exists():
    time.sleep(0.001)
with ThreadPoolExecutor(8) as pool:
    answers = list(
        pool.map(lambda _: finish_record(store, waits, Finish(number, {})), range(times))
    )
assert set(answers) <= {Answer.FINISHED, Answer.DUPLICATE}, answers
print(answers.count(Answer.FINISHED))
store.close()
