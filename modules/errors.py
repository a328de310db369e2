"""Every error that a user may meet, each with one sentence: what, where, what to do.

WebuiError
├── ParameterError(field)       a value of a form, a request or a flag
├── SettingsError               the settings file or one of its values
├── FileFormatError             a file that is not what its reader needs
│   ├── CheckpointError         … as a Stable Diffusion model
│   └── EmbeddingError          … as a textual-inversion embedding
├── ImageError                  a picture that cannot be opened or is too large
├── StorageError                a full, read-only or vanished disk
├── OutOfMemory                 device or main memory
├── ModelMissing                nothing is loaded that could do the work
├── JobBusy                     the queue is full
└── NumericalError              NaN or infinity where a picture should be

Front ends translate once: beside the control, as 4xx JSON, or as exit code 2. Anything that is not a
WebuiError is our own mistake: it is logged with its traceback, and the user sees its log id.
"""


class WebuiError(Exception):
    """Base of all errors with a message written for the user."""


class ParameterError(WebuiError):
    """A value that cannot be used.

    Args:
        field: name of the field in its dataclass (`cfg_scale`), so that a front end can point at the control.
        message: one sentence naming the value, the allowed range and what to do.
    """

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


class SettingsError(WebuiError):
    """The settings file cannot be read, or a setting has no such value."""


class FileFormatError(WebuiError):
    """A file is damaged, unsafe, or of another kind than its reader needs."""


class CheckpointError(FileFormatError):
    """A file that cannot be used as a Stable Diffusion checkpoint: names what was found and what is needed."""


class EmbeddingError(FileFormatError):
    """A file that cannot be used as an embedding, or an embedding that does not fit the model."""


class ImageError(WebuiError):
    """A picture that cannot be opened, or that is larger than the limit."""


class StorageError(WebuiError):
    """Nothing could be written: disk full, read-only, or the folder has gone. Old files are intact."""


class OutOfMemory(WebuiError):
    """The device or the machine has too little memory for this size and batch."""


class ModelMissing(WebuiError):
    """No model is loaded, so nothing can be drawn."""


class JobBusy(WebuiError):
    """The queue is full; the work was not accepted."""


class NumericalError(WebuiError):
    """The model answered with NaN or infinity."""
