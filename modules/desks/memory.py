"""Memory of work that is over, given back. Loads no torch."""

import gc
import sys


def free_memory() -> None:
    """Give what nothing refers to any more back to the system, on the device too."""
    gc.collect()
    torch = sys.modules.get("torch")  # not imported for this: without torch there is nothing of it to free
    if torch is None:
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
