"""How long the tests wait, said in one place: for an event, and never for a time to pass."""

import os

#: Seconds after which a wait has failed. What is waited for takes far less, but a busy machine may be slow:
#: HITCOUNTER_PATIENCE=5 lets every wait last five times as long.
PATIENCE = 60.0 * float(os.environ.get('HITCOUNTER_PATIENCE') or 1)
